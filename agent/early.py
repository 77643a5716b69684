"""
Judge the connections to storage servers: opened too early, bounded on their way, or well. Pure.

A server may never send larger segments than this end announced in its SYN, and nothing raises
that later (RFC 9293 section 3.7.1; ``__tcp_mtu_to_mss`` in net/ipv4/tcp_output.c): a connection
that was opened at MTU 1500 reads 1448 bytes a segment for ever. Nor does this end send larger ones
than the server announced then. So ``advmss`` tells of reads, ``snd_mss`` of writes, and ``rcvmss``
of what really arrives.
"""

from collections.abc import Iterable, Iterator, Sequence

from agent.connections import TcpConnection
from agent.nfs import NfsMount
from agent.path import IPV6_LEAST_BYTES, TCP_TIMESTAMP_BYTES, mss_bytes
from agent.state import Endpoint, Link, Proof, Route, Verdict
from agent.verdict import smallest_passing
from common.record import dataclass, replace

SLACK_BYTES = 100
"""What is not worth a new connection: 1 % of a jumbo frame, or an IPsec header on the route."""

ORDINARY_MSS_BYTES = 1448
"""The largest segment at MTU 1500, timestamps taken off: what is larger came as a jumbo frame."""

SEEN_BYTES = 64 << 10
"""What must have arrived before rcvmss, 536 at first, says anything."""

SEEN_SECONDS = 60.0
"""How long ago data may have come and still show what the path carries now."""

BULK_BYTES = 16 << 20
FULL_SHARE = 0.8
"""Bulk data comes in full segments, but for each reply's last; a load of small files does not."""

_TCP = ("", "tcp", "tcp6")


@dataclass(frozen=True, slots=True)
class Served:
    """
    One server: its connections and mounts here, and what a new connection would get.

    ``allowed_bytes`` is the largest packet that a read of a new connection could have. ``doubt``
    says why packets of that size are not shown to pass in both directions, "" when they are.
    """

    endpoint: Endpoint
    allowed_bytes: int
    doubt: str
    connections: tuple[TcpConnection, ...]
    mounts: tuple[NfsMount, ...]

    @property
    def early(self) -> tuple[TcpConnection, ...]:
        """Return the connections whose reads are bounded below what a new one's would be."""
        return tuple(item for item in self.connections if is_early(item, self.allowed_bytes))

    @property
    def early_for_writes(self) -> tuple[TcpConnection, ...]:
        """Return the connections whose writes alone are bounded: the server announced less then."""
        return tuple(item for item in self._wide() if is_early_for_writes(item, self.allowed_bytes))

    @property
    def clamped(self) -> tuple[TcpConnection, ...]:
        """
        Return the connections whose reads arrive small though both ends announced more.

        One whose server announced less at first may have got its data before the server grew.
        """
        return tuple(
            item
            for item in self._wide()
            if is_clamped(item, self.allowed_bytes)
            and not is_early_for_writes(item, self.allowed_bytes)
        )

    def _wide(self) -> Iterator[TcpConnection]:
        """Yield the connections that are not early."""
        return (item for item in self.connections if not is_early(item, self.allowed_bytes))

    def is_mounts(self, connection: TcpConnection) -> bool:
        """Return whether this connection may be a mount's: the kernel's own are root's."""
        return bool(self.mounts) and connection.uid == 0

    @property
    def soft_mounts(self) -> tuple[NfsMount, ...]:
        """
        Return the mounts whose requests may fail when a connection ends.

        Whatever their version: nothing tells the connections of two versions apart.
        """
        return tuple(mount for mount in self.mounts if mount.is_soft)


def serve(
    proof: Proof,
    link: Link,
    route: Route | None,
    connections: Sequence[TcpConnection],
    mounts: Iterable[NfsMount],
) -> Served:
    """Put together what belongs to one endpoint of a proven size, and its connections."""
    endpoint = proof.endpoint
    server = (endpoint.address, endpoint.port)
    sizes = (link.mtu_bytes, route.mtu_bytes if route else None, proof.passes_bytes)
    allowed = min(size for size in sizes if size)
    return Served(
        endpoint=endpoint,
        allowed_bytes=allowed,
        doubt=_doubt(proof, link, connections, allowed),
        connections=tuple(connections),
        mounts=tuple(
            mount
            for mount in mounts
            if (mount.server, mount.port) == server and mount.protocol in _TCP
        ),
    )


def is_early(connection: TcpConnection, allowed_bytes: int) -> bool:
    """Return whether this end announced less than it would now."""
    allowed = mss_bytes(allowed_bytes, connection.remote) - SLACK_BYTES
    return connection.announced_mss_bytes < allowed


def is_early_for_writes(connection: TcpConnection, allowed_bytes: int) -> bool:
    """
    Return whether this end sends less than the path allows: the server announced no more.

    What is smaller than any server announces is MTU probing's work (tcp_base_mss is 1024).
    """
    allowed = min(allowed_bytes, connection.info.pmtu_bytes or allowed_bytes)
    return IPV6_LEAST_BYTES <= connection.largest_sent_bytes < allowed - SLACK_BYTES


def is_clamped(connection: TcpConnection, allowed_bytes: int) -> bool:
    """Return whether bulk data comes in full segments that are smaller than they may be."""
    info = connection.info
    if info.received_bytes < BULK_BYTES or not info.received_segments:
        return False
    is_full = info.received_bytes >= FULL_SHARE * info.rcv_mss_bytes * info.received_segments
    return is_full and connection.largest_received_bytes < allowed_bytes - SLACK_BYTES


def arrived_bytes(connections: Iterable[TcpConnection]) -> int:
    """Return the largest packet that came lately, 0 when none was larger than ordinary."""
    return max(
        (
            item.largest_received_bytes
            for item in connections
            if item.info.rcv_mss_bytes > ORDINARY_MSS_BYTES
            and item.info.received_bytes >= SEEN_BYTES
            and item.info.received_ago_seconds <= SEEN_SECONDS
        ),
        default=0,
    )


def shown(proof: Proof, connections: Iterable[TcpConnection]) -> Proof:
    """Return the proof with the way back shown by what the mounts really read, where it was not."""
    if proof.way_back != "unproven" or not proof.passes_bytes:
        return proof
    arrived = arrived_bytes(item for item in connections if item.remote == proof.endpoint.address)
    if arrived < proof.passes_bytes - SLACK_BYTES:
        return proof
    sign = f"packets of {arrived} bytes from it arrive in a connection that is in use"
    return replace(proof, way_back="reads", signs=(*proof.signs, sign))


def _doubt(
    proof: Proof, link: Link, connections: Sequence[TcpConnection], allowed_bytes: int
) -> str:
    """Return why a new connection is not known to work at the full size, "" when it is."""
    if proof.verdict is Verdict.INCONCLUSIVE or proof.wanted_bytes != link.mtu_bytes:
        return "the path to it is not proven"
    if smallest_passing((proof,)):
        return f"packets of {proof.wanted_bytes} bytes do not pass"
    if proof.way_back == "unproven" and arrived_bytes(connections) < allowed_bytes - SLACK_BYTES:
        return "full-size packets from it could not be shown to arrive"
    return ""


def segment_bytes(packet_bytes: int, connection: TcpConnection) -> int:
    """Return the data in a packet of this size, as ``ss -ti`` shows it."""
    options = TCP_TIMESTAMP_BYTES * connection.info.has_timestamps
    return mss_bytes(packet_bytes, connection.remote) - options
