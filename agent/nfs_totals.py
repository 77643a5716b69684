"""
What was read from each storage server, added up over mounts and connections that come and go. Pure.

The kernel counts for each superblock, client and connection since it was made. Summed as they are,
an unmount would make the sum fall, which a reader of counters takes for a restart; so what each
count grew by since the last look is added instead.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

from agent.connections import TcpConnection
from agent.nfs import DEFAULT_PORT, NfsMount
from agent.nfs_stats import Operations, Statistics, clients
from common.record import dataclass, field

MAX_SERVERS = 64
OTHER = "other"
"""Where servers beyond MAX_SERVERS are counted: a metric's label must have a bound."""

READ, REST = "read", "other"
"""The operations that are told apart: a load is reads, all else is looking at names."""

Name = tuple[str, str]
"""A count's name, and the operation that it is of or ""."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one thing (superblock, client, connection) has counted for its server so far."""

    key: Hashable
    server: str
    counts: Mapping[Name, float]


@dataclass(frozen=True, slots=True)
class Present:
    """How a server is reached right now."""

    transports: int = 0  # xprt slots of all its clients here
    connections: int = 0  # of this network namespace
    round_trip_seconds: float | None = None  # the mean of TCP's smoothed times


@dataclass(slots=True)
class Totals:
    """Counts by server that only grow."""

    sums: dict[str, dict[Name, float]] = field(default_factory=dict)
    _last: dict[Hashable, Mapping[Name, float]] = field(default_factory=dict)

    def add(self, readings: Iterable[Reading]) -> None:
        """Add what each count grew by; one that fell belongs to a new thing of the same name."""
        seen: dict[Hashable, Mapping[Name, float]] = {}
        for reading in readings:
            before = self._last.get(reading.key, {})
            if any(value < before.get(name, 0) for name, value in reading.counts.items()):
                before = {}
            sums = self._of(reading.server)
            for name, value in reading.counts.items():
                # the difference first: rounded otherwise, a sum could fall by its last digit, which
                # a reader of counters takes for a restart
                sums[name] = sums.get(name, 0.0) + (value - before.get(name, 0))
            seen[reading.key] = reading.counts
        self._last = seen

    def _of(self, server: str) -> dict[Name, float]:
        if server not in self.sums and len(self.sums) >= MAX_SERVERS:
            server = OTHER
        return self.sums.setdefault(server, {})


def label(address: str, port: int) -> str:
    """Return a server as a metric's label: the port only where it is not NFS's own."""
    if port == DEFAULT_PORT:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _label(mount: NfsMount) -> str:
    return label(mount.server or mount.source.rpartition(":/")[0], mount.port)


def readings(
    mounts: Sequence[NfsMount], statistics: Statistics, connections: Iterable[TcpConnection]
) -> Iterator[Reading]:
    """Yield what every superblock, client and connection has counted, each once."""
    for mount in mounts:
        if stats := statistics.of(mount):
            counts = {
                ("nfs_read_bytes", ""): float(stats.read_bytes),
                **_operation_counts(stats.reads, READ),
                **_operation_counts(stats.rest, REST),
            }
            yield Reading(("mount", mount.device), _label(mount), counts)
    for key, shared in clients(mounts).items():
        found = (statistics.of(mount) for mount in shared)
        if stats := next((one for one in found if one), None):
            backlog = float(sum(transport.backlog for transport in stats.transports))
            counts = {("nfs_backlog", ""): backlog}
            yield Reading(("client", key), _label(shared[0]), counts)
    for connection in connections:
        server = label(connection.remote, connection.remote_port)
        counts = {("nfs_tcp_retransmits", ""): float(connection.info.retransmits)}
        yield Reading(("tcp", connection.identity), server, counts)


def _operation_counts(operations: Operations, name: str) -> dict[Name, float]:
    return {
        ("nfs_operations", name): float(operations.calls),
        ("nfs_retransmissions", name): float(operations.transmissions - operations.calls),
        ("nfs_timeouts", name): float(operations.timeouts),
        ("nfs_queue_seconds", name): operations.queue_seconds,
        ("nfs_round_trip_seconds", name): operations.round_trip_seconds,
    }


def present(
    mounts: Sequence[NfsMount], statistics: Statistics, connections: Iterable[TcpConnection]
) -> dict[str, Present]:
    """Return how each server of these mounts is reached now, at most MAX_SERVERS of them."""
    transports: dict[str, int] = {}
    for shared in clients(mounts).values():
        stats = next((one for mount in shared if (one := statistics.of(mount))), None)
        number = len(stats.transports) if stats else shared[0].nconnect
        server = _label(shared[0])
        transports[server] = transports.get(server, 0) + number
    times: dict[str, list[float]] = {}
    for connection in connections:
        server = label(connection.remote, connection.remote_port)
        times.setdefault(server, []).append(connection.info.rtt_seconds)
    return {
        server: Present(number, len(found), sum(found) / len(found) if found else None)
        for server, number in list(transports.items())[:MAX_SERVERS]
        for found in [times.get(server, [])]
    }
