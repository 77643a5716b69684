"""
What the kernel has counted of its NFS mounts, and what that means per server. Pure.

Two things are shared and must be counted once: a superblock's counters by all the places where it
is mounted, and a client's transports by all the superblocks of that server and version.
"""

from collections.abc import Iterable, Mapping

from agent.nfs import NfsMount
from common.record import dataclass, field

READS = ("READ", "READ_PLUS")


@dataclass(frozen=True, slots=True)
class Transport:
    """One ``xprt:`` line: a connection slot of a client, whether connected or not."""

    protocol: str  # tcp (also over IPv6), udp, rdma, local
    connects: int = 0
    idle_seconds: int = 0  # above 0 only while it is connected
    sends: int = 0
    receives: int = 0
    backlog: int = 0  # for each send, how many calls waited for a slot, added up


@dataclass(frozen=True, slots=True)
class Operations:
    """Counts of calls since the mount was made; ``transmissions`` above ``calls`` are repeats."""

    calls: int = 0
    transmissions: int = 0
    timeouts: int = 0  # major timeouts: all the repeats of a call went unanswered
    received_bytes: int = 0
    queue_seconds: float = 0.0  # waiting in this node before being sent
    round_trip_seconds: float = 0.0  # between the send and the server's answer
    errors: int = 0

    def __add__(self, other: "Operations") -> "Operations":
        """Return both together."""
        return Operations(
            calls=self.calls + other.calls,
            transmissions=self.transmissions + other.transmissions,
            timeouts=self.timeouts + other.timeouts,
            received_bytes=self.received_bytes + other.received_bytes,
            queue_seconds=self.queue_seconds + other.queue_seconds,
            round_trip_seconds=self.round_trip_seconds + other.round_trip_seconds,
            errors=self.errors + other.errors,
        )


@dataclass(frozen=True, slots=True)
class MountStats:
    """What mountstats says of one place where an NFS superblock is mounted."""

    path: str
    source: str
    options: Mapping[str, str]
    age_seconds: int = 0
    read_bytes: int = 0  # fetched from the server, page cache hits not counted
    transports: tuple[Transport, ...] = ()
    operations: Mapping[str, Operations] = field(default_factory=dict)

    @property
    def reads(self) -> Operations:
        """Return the reads: version 4.2 uses READ_PLUS on newer kernels and READ on older ones."""
        rows = (row for name, row in self.operations.items() if name in READS)
        return sum(rows, Operations())

    @property
    def rest(self) -> Operations:
        """Return all other operations together."""
        rows = (row for name, row in self.operations.items() if name not in READS)
        return sum(rows, Operations())


@dataclass(frozen=True, slots=True)
class Statistics:
    """All of mountstats; ``problem`` says why there is none, "" when there is."""

    by_path: Mapping[str, MountStats] = field(default_factory=dict)
    problem: str = ""

    def of(self, mount: NfsMount) -> MountStats | None:
        """Return what was counted for a mount, None when it is not known."""
        found = (self.by_path.get(path) for path in mount.mount_points)
        return next((stats for stats in found if stats), None)


ClientKey = tuple[str, int, str, str, str, str]


def client_key(mount: NfsMount) -> ClientKey:
    """
    Return what two mounts have in common when the kernel gives them the same transports.

    Server, port, protocol, version and transport security; a mount made in another network
    namespace has another ``clientaddr``. Source: nfs_match_client() in fs/nfs/client.c.
    """
    local = mount.options.get("clientaddr", "")
    server = mount.server or mount.source.rpartition(":/")[0]
    secured = mount.transport_security
    return (server, mount.port, mount.protocol, mount.version, secured, local)


def clients(mounts: Iterable[NfsMount]) -> dict[ClientKey, list[NfsMount]]:
    """Return the mounts that share transports, by client."""
    found: dict[ClientKey, list[NfsMount]] = {}
    for mount in mounts:
        found.setdefault(client_key(mount), []).append(mount)
    return found
