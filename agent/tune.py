"""
One pass over the node: plan, journal, write, plan again, prove the path, fall back if need be.

Decisions are the pure functions of ``plan`` and ``verdict``; this file only orders them. It knows
nothing of Kubernetes: ``plan``, ``apply``, ``verify`` and ``revert`` run on any Linux host.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from agent import baseline
from agent.config import AgentConfig
from agent.connections import Seen
from agent.mount_judge import MountJudge
from agent.plan import floor_bytes
from agent.ports import AgentError, Contact
from agent.proving import Paths
from agent.readahead import ReadAheadChange
from agent.report import build, journal_findings, put_off
from agent.scene import Scene, Survey, Tools
from agent.state import (
    Change,
    Endpoint,
    Finding,
    LinkMtuChange,
    LinkName,
    Plan,
    Proof,
    Reason,
    Report,
    Severity,
)
from agent.verdict import (
    Ceiling,
    outcome_of,
    path_ceiling,
    smallest_passing,
)
from agent.writer import Writer
from common.record import dataclass, replace

if TYPE_CHECKING:
    from agent.heal import Healer


def _go_on() -> None:
    """Let the pass write."""


@dataclass(frozen=True, slots=True)
class Repair:
    """
    What a repair wrote, what was refused, and the scene after it.

    ``drifts`` are the writes that put drift right: all but the first one to a new mount.
    ``is_put_off``: not all was written, because a link would grow to a size it never had from us.
    """

    scene: Scene
    applied: tuple[Change, ...]
    drifts: tuple[Change, ...]
    failures: tuple[Finding, ...]
    is_put_off: bool = False


class Tuner:
    """Tunes one host by one configuration, remembering what it learned between passes."""

    def __init__(
        self, config: AgentConfig, tools: Tools, folder: str, before: Survey | None = None
    ) -> None:
        """Take the settings, the outside, the folder of the journal, and what was known before."""
        self._tools = tools
        advisory = frozenset(row.key for row in config.sysctls if not row.is_required)
        self._survey = Survey(config, tools, folder, before)
        self._paths = Paths(tools.prober, self._survey.again)
        self._early_policy = config.connections_early
        self._healer: Healer | None = None
        self._writer = Writer(tools.host, self._survey, advisory)
        self.mounts = MountJudge(config, tools.storage, tools.prober, tools.volumes)
        self.scene: Scene | None = None

    def renewed(self, config: AgentConfig, tools: Tools) -> "Tuner":
        """Return a tuner by other settings, which goes on where this one ends."""
        self._writer.rest()
        return Tuner(config, tools, self._survey.folder, self._survey)

    def plan(self) -> tuple[Scene, Plan]:
        """Return what would change now; writes nothing and sends no packet but DNS."""
        scene = self._survey.look()
        plan = scene.plan
        findings = (*plan.findings, *self.mounts.findings(scene.state))
        return scene, replace(plan, findings=findings)

    def verify(self) -> Report:
        """Hold the host against what is desired and prove the paths as they are."""
        self._survey.withheld = {}
        scene = self._survey.look()
        contacts = self._paths.contact(scene)
        self.mounts.ask(scene.state, contacts)
        scene = self._withhold_silent(scene, contacts)
        seen = self._inspect(scene, self._paths.prove(scene, contacts), heals=False)
        return self._report(scene, (), seen, ())

    def tune(
        self,
        ignored: frozenset[str] = frozenset(),
        before_write: Callable[[], None] = _go_on,
        *,
        heals: bool = False,
    ) -> Report:
        """
        Bring the host to what is desired, prove it, and fall back where it is not safe.

        ``before_write`` is called right before the first write and may take its time; what it
        raises leaves the host untouched. It is asked again before connections are ended. With
        ``heals`` connections that were opened too early are ended, where that is safe.
        """
        self._survey.withheld = {}
        scene = began = self._survey.look(ignored)
        contacts = self._paths.contact(scene)
        if self.scene:  # the first pass has the gate to open
            self.mounts.ask(scene.state, contacts)
        scene = self._withhold_silent(scene, contacts)
        before = baseline.ask(self._tools, scene)
        before_write()
        self._writer.tends_mounts = True
        asked = self._writer.grows_first(scene)
        scene, applied, failures = self._writer.converge(scene, asked)
        self._survey.end_release(scene)
        scene, restored, lost = self._keep_baseline(scene, before)
        applied += restored
        proofs = self._paths.prove(scene, contacts)
        scene, proofs, lowered, refused = self._fall_back(scene, proofs)
        if restored or lowered:
            failures = _still_wanted(failures, scene.plan)
        heals = heals and _is_let(before_write)  # a proof takes its time
        seen = self._inspect(scene, proofs, heals=heals)
        report = self._report(scene, (*failures, *lost, *refused), seen, (*applied, *lowered))
        return put_off(report, began, scene)

    def observe(self) -> Report:
        """Say what tune would change and what it would find now; writes nothing."""
        report = self.verify()
        found = [item for item in report.findings if item.reason is not Reason.NOT_CONVERGED]
        return replace(report, findings=tuple(found), outcome=outcome_of(found))

    def repair(
        self,
        ignored: frozenset[str] = frozenset(),
        before_write: Callable[[], None] = _go_on,
        *,
        resolve: bool = False,
    ) -> Repair:
        """
        Write back what drifted, without probing: the quick half of a pass.

        ``before_write`` is as in ``tune``. A link that is new to us is left to that: what works
        over it must be asked before it grows.
        """
        scene = self._survey.look(ignored, resolve=resolve)
        before = self._survey.open_journal(scene.state)
        if self._writer.grows_first(scene):
            return Repair(scene, (), (), (), is_put_off=True)
        before_write()
        scene, applied, failures = self._writer.converge(scene)
        drifts = [
            change
            for change in applied
            if not isinstance(change, ReadAheadChange) or before.has_written(change)
        ]
        is_put_off = bool(self._writer.grows_first(scene))
        return Repair(scene, applied, tuple(drifts), failures, is_put_off=is_put_off)

    def revert(self) -> tuple[Plan, tuple[Finding, ...]]:
        """
        Put first values back where a value of ours still stands; forget the journal if all.

        Returns what was put back and what was left, and what was refused.
        """
        return self._writer.put_back()

    def tend_mounts(self) -> tuple[Change, ...]:
        """
        Give new mounts their read-ahead at once and return what was written.

        Safe from any thread, whatever else this one is at: a proof may take seconds, and a pod
        reads as soon as it is mounted. Nothing is written before the first pass writes, nor after
        ``rest`` or ``revert``.
        """
        return self._writer.tend_mounts()

    def rest(self) -> None:
        """Leave new mounts alone until the next pass."""
        self._writer.rest()

    def forget(self) -> None:
        """Drop what was learned about paths, so that the next pass tries the full size again."""
        self._survey.forget_ceilings()

    def _inspect(self, scene: Scene, proofs: tuple[Proof, ...], *, heals: bool) -> Seen:
        """Look at the connections of the mounts; where nothing is mounted there are none."""
        if not scene.state.mounts:
            return Seen(proofs)
        from agent.heal import Healer  # noqa: PLC0415 - a fresh node has no mounts

        self._healer = self._healer or Healer(self._tools.prober, self._early_policy)
        return self._healer.look(scene, proofs, heals=heals)

    def _withhold_silent(self, scene: Scene, contacts: dict[Endpoint, Contact]) -> Scene:
        """Do not raise a link whose every endpoint is silent: nothing could prove it."""
        by_link: dict[LinkName, list[Contact]] = {}
        for endpoint, name in scene.served():
            by_link.setdefault(name, []).append(contacts[endpoint])
        for name, answers in by_link.items():
            link = scene.state.named(name)
            if link and not any(answer.answered for answer in answers):
                held = scene.desired.ceilings.get(name, link.mtu_bytes)
                self._survey.withheld[name] = min(link.mtu_bytes, held)
        ceilings = {**scene.desired.ceilings, **self._survey.withheld}
        return replace(scene, desired=replace(scene.desired, ceilings=ceilings))

    def _keep_baseline(
        self, scene: Scene, before: dict[LinkName, tuple[Contact, ...]]
    ) -> tuple[Scene, tuple[Change, ...], tuple[Finding, ...]]:
        """Hold what answered before against now; what was lost rolls its link back."""
        restored: dict[LinkName, tuple[Change, ...]] = {}
        for name, contacts in before.items():
            if lost := baseline.lost(self._tools, scene, name, contacts):
                what = f"{lost} stopped answering"
                scene, restored[name] = self._restore(scene, name, what)
        # only now: a link below another is down again when all that stand on it are
        findings = [
            Finding(
                "baseline",
                Severity.FAILED,
                Reason.BASELINE_LOST,
                name,
                f"{still} does not answer though {name} has its first MTU back",
            )
            for name in restored
            if (still := baseline.lost(self._tools, scene, name, before[name]))
        ]
        written = tuple(change for changes in restored.values() for change in changes)
        return scene, written, tuple(findings)

    def _restore(self, scene: Scene, name: LinkName, what: str) -> tuple[Scene, tuple[Change, ...]]:
        link = scene.state.named(name)
        if link is None:
            return scene, ()
        first = floor_bytes(link, scene.desired.first_values)
        message = f"{what} at MTU {link.mtu_bytes}, so {name} has its first MTU {first} back"
        return self._lower(scene, Ceiling(name, first, Reason.BASELINE_LOST, message))

    def _lower(self, scene: Scene, ceiling: Ceiling) -> tuple[Scene, tuple[Change, ...]]:
        """Bring a link down to what is safe and end the connections born above that."""
        self._survey.ceilings[ceiling.link] = ceiling
        held = {**scene.desired.ceilings, ceiling.link: ceiling.mtu_bytes}
        scene = replace(scene, desired=replace(scene.desired, ceilings=held))
        scene, applied, _ = self._writer.converge(scene)
        lowered = {change.link for change in applied if isinstance(change, LinkMtuChange)}
        self._end_connections(scene, ceiling, lowered | {ceiling.link})
        return scene, applied

    def _end_connections(self, scene: Scene, ceiling: Ceiling, lowered: set[LinkName]) -> None:
        from agent.ending import end_born_between  # noqa: PLC0415 - only a roll-back needs it

        if error := end_born_between(self._tools.prober, scene, lowered):
            message = f"{ceiling.message}; connections opened in between stay stuck until their "
            message += f"mounts are unmounted ({error.detail})"
            self._survey.ceilings[ceiling.link] = replace(ceiling, message=message)

    def _fall_back(
        self, scene: Scene, proofs: tuple[Proof, ...]
    ) -> tuple[Scene, tuple[Proof, ...], tuple[Change, ...], tuple[Finding, ...]]:
        """Lower each link whose path passes less: first to what passes, else to its first MTU."""
        lowered: list[Change] = []
        for name in scene.plan.links:
            for is_last in (False, True):
                mine = [proof for proof in proofs if _is_on(scene, proof, name)]
                small = smallest_passing(mine)
                link = scene.state.named(name)
                if not small or link is None:
                    break
                first = floor_bytes(link, scene.desired.first_values)
                mtu = first if is_last else max(first, min(small.values()))
                if mtu >= link.mtu_bytes:
                    break
                scene, applied = self._lower(scene, path_ceiling(name, mtu, link.mtu_bytes, mine))
                lowered += applied
                proofs = self._paths.prove_lowered(scene, proofs)
        refused = self._writer.keep_ceilings()
        return scene, proofs, tuple(lowered), refused

    def _report(
        self, scene: Scene, failures: Iterable[Finding], seen: Seen, applied: tuple[Change, ...]
    ) -> Report:
        self.scene = scene
        journal = self._survey.open_journal(scene.state)
        notes = journal_findings(journal.path, self._survey.damage)
        ceilings = self._survey.ceilings.values()
        report = build(scene, ceilings, (*failures, *notes), seen, applied)
        return self.mounts.judged(scene.state, report)


def _is_let(before_write: Callable[[], None]) -> bool:
    """Return whether the host may still be changed."""
    try:
        before_write()
    except AgentError:
        return False
    return True


def _still_wanted(failures: Iterable[Finding], plan: Plan) -> tuple[Finding, ...]:
    """Leave out refused MTUs that nothing asks for any more, once a link below was lowered."""
    wanted = {change.target for change in plan.changes}
    return tuple(
        one for one in failures if one.target in wanted or not one.target.startswith("link/")
    )


def _is_on(scene: Scene, proof: Proof, name: LinkName) -> bool:
    link = scene.carrier(proof.endpoint.address)
    return link is not None and link.name == name
