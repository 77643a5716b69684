"""
Decode ``struct tcp_info`` (include/uapi/linux/tcp.h), from getsockopt or from sock_diag.

Only the fields that the probes read. The struct has only ever grown at its end; what decode_info
reads is complete since Linux 4.1.
"""

import struct

from common.record import dataclass

TCP_INFO_BYTES = 256
_WORDS = struct.Struct("=8B24I")
_COUNTS = struct.Struct("=2Q")  # bytes_acked, bytes_received
_COUNTS_AT = 120
_OPTION_TIMESTAMPS = 1


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """One connection as the kernel sees it; the MSS values leave out the timestamp option."""

    has_timestamps: bool
    snd_mss_bytes: int
    rcv_mss_bytes: int  # the largest segment received lately; 536 before any data
    pmtu_bytes: int
    rtt_seconds: float
    advmss_bytes: int
    retransmits: int  # all of this connection's, SYNs included
    acked_bytes: int  # the SYN counts as one
    received_bytes: int


def decode_info(raw: bytes) -> TcpInfo:
    """Return the fields of one tcp_info; raises struct.error when it is too short."""
    words = _WORDS.unpack_from(raw)
    acked, received = _COUNTS.unpack_from(raw, _COUNTS_AT)
    return TcpInfo(
        has_timestamps=bool(words[5] & _OPTION_TIMESTAMPS),
        snd_mss_bytes=words[10],
        rcv_mss_bytes=words[11],
        pmtu_bytes=words[21],
        rtt_seconds=words[23] / 1e6,
        advmss_bytes=words[27],
        retransmits=words[31],
        acked_bytes=acked,
        received_bytes=received,
    )
