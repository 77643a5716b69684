"""
What the kernel tells of one TCP connection to a storage server: pure values.

``agent/host`` fills them from sock_diag and getsockopt, ``agent/early`` judges them.
"""

from agent.path import TCP_TIMESTAMP_BYTES, mss_bytes, packet_bytes
from agent.state import Address, Finding, Proof
from common.record import dataclass, field

BUSY_SECONDS = 1.0
"""How long after its last data a connection still counts as in use."""

TICKS_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """The fields of struct tcp_info in use; the MSS values leave out the timestamp option."""

    has_timestamps: bool
    snd_mss_bytes: int
    rcv_mss_bytes: int  # the largest segment received lately; 536 before any data
    pmtu_bytes: int
    rtt_seconds: float
    advmss_bytes: int
    retransmits: int  # all of this connection's, SYNs included
    acked_bytes: int  # the SYN counts as one
    received_bytes: int
    received_segments: int = (
        0  # with data; one that was merged on arrival counts as the many it was
    )
    unacked: int = 0
    sent_ago_seconds: float = 0.0  # when data was last sent
    received_ago_seconds: float = 0.0  # when data last came
    min_rtt_seconds: float = 0.0  # the smallest of the last minutes, 0 before any


@dataclass(frozen=True, slots=True)
class TcpConnection:
    """One connection to a server; ``identity`` is the kernel's own name for it."""

    family: int
    local: Address
    local_port: int
    remote: Address
    remote_port: int
    info: TcpInfo
    identity: bytes = field(repr=False)
    uid: int = 0  # the kernel's own NFS connections have 0

    @property
    def is_busy(self) -> bool:
        """Return whether a request is under way, or was a moment ago."""
        info = self.info
        quiet_seconds = min(info.sent_ago_seconds, info.received_ago_seconds)
        return bool(info.unacked) or quiet_seconds < BUSY_SECONDS

    @property
    def is_between_requests(self) -> bool:
        """
        Return whether the last request seems to be answered: a reply came after it was sent.

        The kernel counts in ticks of 1 to 10 ms, so what is equal must have been so for a while.
        """
        info = self.info
        if info.unacked or info.received_ago_seconds > info.sent_ago_seconds:
            return False
        is_later = info.received_ago_seconds < info.sent_ago_seconds
        return is_later or info.received_ago_seconds >= TICKS_SECONDS

    @property
    def announced_mss_bytes(self) -> int:
        """
        Return the MSS option of our SYN: it bounds what the server may send, for ever.

        ``tcpi_advmss`` has the timestamp option taken off once both sides agreed on it.
        """
        return self.info.advmss_bytes + TCP_TIMESTAMP_BYTES * self.info.has_timestamps

    @property
    def largest_sent_bytes(self) -> int:
        """Return the size of the largest packet that this end sends."""
        return self._packet_bytes(self.info.snd_mss_bytes)

    @property
    def largest_received_bytes(self) -> int:
        """Return the size of the largest packet that came lately; means nothing before any data."""
        return self._packet_bytes(self.info.rcv_mss_bytes)

    def _packet_bytes(self, segment_bytes: int) -> int:
        return packet_bytes(segment_bytes, self.remote, timestamps=self.info.has_timestamps)

    def fits(self, mtu_bytes: int) -> bool:
        """Return whether everything that the server may send fits this MTU."""
        return self.announced_mss_bytes <= mss_bytes(mtu_bytes, self.remote)


@dataclass(frozen=True, slots=True)
class Listing:
    """
    The established connections to some servers.

    ``unlisted`` is how many more of them /proc/net/tcp and tcp6 show: a kernel that cannot tell
    sometimes says nothing instead of an error.
    """

    connections: tuple[TcpConnection, ...]
    unlisted: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What the connections to storage show in one pass.

    ``proofs`` are the pass's, with the way back shown where reads show it. ``early`` is how many
    connections were opened too early and still are; ``healed`` how many were ended for that.
    """

    proofs: tuple[Proof, ...]
    findings: tuple[Finding, ...] = ()
    early: int = 0
    healed: int = 0
