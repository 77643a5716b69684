"""
Look at the connections to storage, and end those that were opened too early.

Orders what ``early`` judges: list once, judge, end where allowed, look again. To end a connection
of a hard mount is safe: the kernel's NFS client opens a new one and sends again what was under way
(measured in the middle of reads and writes, NFSv3 and v4.2). The mount stays.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from errno import EOPNOTSUPP, EPERM

from agent.connections import Listing, Seen, TcpConnection
from agent.early import Served, is_early, serve, shown
from agent.early_findings import (
    Obstacle,
    clamped_finding,
    early_finding,
    foreign_finding,
    healed_finding,
    obstacle,
    unchanged_obstacle,
    unreadable_finding,
    writes_finding,
)
from agent.ending import end_between_requests
from agent.ports import HostError, Prober, Server
from agent.scene import Scene
from agent.state import Finding, Proof, Verdict
from common.record import dataclass

LOOK_AGAIN_SECONDS = 0.05
PATIENCE_SECONDS = 1.0
"""How long a connection that was in use may take to be open again; an idle one is not awaited."""

PROOFS_MORE = 2
"""One lost echo leaves the way back unproven, which matters once something is to be healed."""

_REFUSALS = {
    EOPNOTSUPP: "this kernel cannot end them (it was built without CONFIG_INET_DIAG_DESTROY)",
    EPERM: "the agent may not end them (it lacks CAP_NET_ADMIN)",
}


@dataclass(frozen=True, slots=True)
class _Ended:
    """One server whose early connections were ended, and how many."""

    served: Served
    early: tuple[TcpConnection, ...]
    number: int

    @property
    def server(self) -> Server:
        return self.served.endpoint.address, self.served.endpoint.port

    @property
    def was_busy(self) -> bool:
        return any(connection.is_busy for connection in self.early)


class Healer:
    """Looks at connections pass after pass, and remembers which servers ending did not help."""

    def __init__(
        self, prober: Prober, policy: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Take the wire, the setting connections.early, and how to wait."""
        self._prober = prober
        self._policy = policy
        self._sleep = sleep
        self._futile: set[tuple[Server, int]] = set()

    def look(self, scene: Scene, proofs: Sequence[Proof], *, heals: bool) -> Seen:
        """
        Judge the connections to every proven server; end early ones where ``heals`` allows it.

        Returns the findings, the counts, and the proofs with what the connections show of them.
        """
        proven = [proof for proof in proofs if proof.passes_bytes and _carried(scene, proof)]
        try:
            listing = self._list(proven)
        except HostError as error:
            return Seen(tuple(proofs), (unreadable_finding(error.detail),))
        findings: list[Finding] = []
        if listing.unlisted:
            detail = f"the kernel lists {listing.unlisted} fewer than /proc/net/tcp and tcp6 show"
            findings.append(unreadable_finding(detail))
        if heals:
            proven = [self._surer(scene, proof, listing.connections) for proof in proven]
        served = _served(scene, proven, listing.connections)
        ended: list[_Ended] = []
        for one in served:
            findings += self._judge(one, ended, heals=heals)
        again = self._await_again(proven, ended) if ended else listing.connections
        for item in ended:
            findings += self._judge_again(item, again)
        return Seen(
            proofs=_latest(proofs, [shown(proof, listing.connections) for proof in proven]),
            findings=tuple(findings),
            early=sum(len(one.early) for one in _served(scene, proven, again)),
            healed=sum(item.number for item in ended),
        )

    def _surer(self, scene: Scene, proof: Proof, connections: Sequence[TcpConnection]) -> Proof:
        """Return the proof, tried again where only its unproven way back is in the way."""
        (served,) = _served(scene, [proof], connections)
        if proof.way_back != "unproven" or not (served.early and served.mounts and served.doubt):
            return proof
        for _ in range(PROOFS_MORE):
            again = self._prober.prove(proof.endpoint, proof.wanted_bytes)
            if again.verdict is Verdict.PASSED and again.way_back == "icmp":
                return again
        return proof

    def _list(self, proofs: Iterable[Proof]) -> Listing:
        servers = {(proof.endpoint.address, proof.endpoint.port) for proof in proofs}
        return self._prober.connections(servers) if servers else Listing(())

    def _judge(self, served: Served, ended: list[_Ended], *, heals: bool) -> list[Finding]:
        """Return what one server's connections are; end early ones and note that in ``ended``."""
        findings = []
        if foreign := [item for item in served.early if not served.is_mounts(item)]:
            findings.append(foreign_finding(served, foreign))
        if early := [item for item in served.early if served.is_mounts(item)]:
            blocked = obstacle(served, heals=heals, policy=self._policy)
            blocked = blocked or self._tried(served) or self._end(served, early, ended)
            if blocked:
                findings.append(early_finding(served, early, blocked))
        if small := served.early_for_writes:
            findings.append(writes_finding(served, small))
        if clamped := served.clamped:
            findings.append(clamped_finding(served, clamped))
        return findings

    def _tried(self, served: Served) -> Obstacle | None:
        server = (served.endpoint.address, served.endpoint.port)
        is_futile = (server, served.allowed_bytes) in self._futile
        return unchanged_obstacle(served) if is_futile else None

    def _end(
        self, served: Served, early: Sequence[TcpConnection], ended: list[_Ended]
    ) -> Obstacle | None:
        """End these connections; return what the kernel refused, None when they ended."""
        try:
            number = end_between_requests(self._prober, early, self._sleep)
        except HostError as error:
            why = _REFUSALS.get(error.errno, f"the kernel does not end them: {error.detail}")
            return Obstacle(why)
        ended.append(_Ended(served, tuple(early), number))
        return None

    def _await_again(
        self, proofs: Sequence[Proof], ended: Sequence[_Ended]
    ) -> tuple[TcpConnection, ...]:
        """Return the connections there are, once each server that was in use has one, or later."""
        busy = {item.server for item in ended if item.was_busy}
        gone = {connection.identity for item in ended for connection in item.early}
        waited = 0.0
        while True:
            try:
                listed = self._list(proofs).connections
            except HostError:
                return ()
            found = tuple(item for item in listed if item.identity not in gone)
            if waited >= PATIENCE_SECONDS or busy <= {(i.remote, i.remote_port) for i in found}:
                return found
            self._sleep(LOOK_AGAIN_SECONDS)
            waited += LOOK_AGAIN_SECONDS

    def _judge_again(
        self, item: _Ended, connections: Sequence[TcpConnection]
    ) -> tuple[Finding, ...]:
        """Return what came of ending a server's connections."""
        served = item.served
        new = [one for one in connections if (one.remote, one.remote_port) == item.server]
        small = [
            one for one in new if is_early(one, served.allowed_bytes) and served.is_mounts(one)
        ]
        opened = len(new) - len(small) - (len(served.connections) - len(item.early))
        healed = healed_finding(served, item.number, max(0, opened))
        if not small:
            return (healed,)
        self._futile.add((item.server, served.allowed_bytes))
        return healed, early_finding(served, small, unchanged_obstacle(served))


def _latest(proofs: Sequence[Proof], newer: Iterable[Proof]) -> tuple[Proof, ...]:
    """Return the proofs with newer ones in place of those of the same endpoint."""
    by_endpoint = {proof.endpoint: proof for proof in newer}
    return tuple(by_endpoint.get(proof.endpoint, proof) for proof in proofs)


def _carried(scene: Scene, proof: Proof) -> bool:
    return scene.carrier(proof.endpoint.address) is not None


def _served(
    scene: Scene, proofs: Iterable[Proof], connections: Sequence[TcpConnection]
) -> tuple[Served, ...]:
    by_server: dict[Server, list[TcpConnection]] = {}
    for item in connections:
        by_server.setdefault((item.remote, item.remote_port), []).append(item)
    found = []
    for proof in proofs:
        address = proof.endpoint.address
        link = scene.carrier(address)
        if link:
            mine = by_server.get((address, proof.endpoint.port), ())
            route = scene.state.routes.get(address)
            found.append(serve(proof, link, route, mine, scene.state.mounts))
    return tuple(found)
