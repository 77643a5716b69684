"""Ask the wire about each served endpoint: does it answer, what size passes at its link's MTU."""

from collections.abc import Callable

from agent.parallel import side_by_side
from agent.ports import Contact, Prober
from agent.scene import Scene
from agent.state import Endpoint, Proof
from agent.verdict import disturbed, silent_proof

MAX_FLAPS = 10
"""In how many proofs in a row a link may go away before what it lost in one of them counts."""


class Paths:
    """Proves the paths of a scene; ``again`` observes the host once more."""

    def __init__(self, prober: Prober, again: Callable[[Scene], Scene]) -> None:
        """Take the wire and the host."""
        self._prober = prober
        self._again = again
        self._flaps = 0

    def contact(self, scene: Scene) -> dict[Endpoint, Contact]:
        """Return whether each endpoint answers at all."""
        endpoints = [endpoint for endpoint, _ in scene.served()]
        answers = side_by_side(self._prober.contact, endpoints)
        return dict(zip(endpoints, answers, strict=True))

    def prove(
        self,
        scene: Scene,
        contacts: dict[Endpoint, Contact] | None = None,
        only: frozenset[Endpoint] | None = None,
    ) -> tuple[Proof, ...]:
        """Prove each endpoint, or only these, at its link's MTU; a silent one is not asked."""

        def prove(target: tuple[Endpoint, int]) -> Proof:
            contact = (contacts or {}).get(target[0])
            if contact and not contact.answered:
                return silent_proof(*target, contact)
            return self._prober.prove(*target)

        targets = [
            (endpoint, link.mtu_bytes)
            for endpoint, name in scene.served()
            if (link := scene.state.named(name)) and (only is None or endpoint in only)
        ]
        return self._undisturbed(scene, tuple(side_by_side(prove, targets)))

    def prove_lowered(self, scene: Scene, proofs: tuple[Proof, ...]) -> tuple[Proof, ...]:
        """Prove again what was proven at another MTU than its link has now."""
        stale = frozenset(
            proof.endpoint
            for proof in proofs
            if (link := scene.carrier(proof.endpoint.address))
            and link.mtu_bytes != proof.wanted_bytes
        )
        again = {item.endpoint: item for item in self.prove(scene, only=stale)}
        return tuple(again.get(proof.endpoint, proof) for proof in proofs)

    def _undisturbed(self, scene: Scene, proofs: tuple[Proof, ...]) -> tuple[Proof, ...]:
        """Take back what was measured while the link went away or somebody changed its MTU."""
        if all(disturbed(proof) is proof for proof in proofs):
            self._flaps = 0
            return proofs
        now = self._again(scene)
        flapped = [proof for proof in proofs if _has_flapped(proof, scene, now)]
        self._flaps = self._flaps + 1 if flapped else 0
        doubted = flapped if self._flaps <= MAX_FLAPS else []
        return tuple(
            proof if proof not in doubted and _is_as_asked(proof, now) else disturbed(proof)
            for proof in proofs
        )


def _is_as_asked(proof: Proof, now: Scene) -> bool:
    link = now.carrier(proof.endpoint.address)
    return link is not None and link.mtu_bytes == proof.wanted_bytes


def _has_flapped(proof: Proof, before: Scene, now: Scene) -> bool:
    """Return whether a proof was not carried by one link all the time."""
    links = [scene.carrier(proof.endpoint.address) for scene in (before, now)]
    return len({(link.index, link.carrier_changes) for link in links if link}) != 1
