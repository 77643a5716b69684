"""
Decode ``struct tcp_info`` (include/uapi/linux/tcp.h), from getsockopt or from sock_diag.

Only the fields that are looked at. The struct has only ever grown at its end; what decode_info
reads is complete since Linux 4.6.
"""

import struct

from agent.connections import TcpInfo

TCP_INFO_BYTES = 256
_WORDS = struct.Struct("=8B24I")
_COUNTS = struct.Struct("=2Q")  # bytes_acked, bytes_received
_COUNTS_AT = 120
_MIN_RTT = struct.Struct("=I")
_MIN_RTT_AT = 148
_NO_RTT = 0xFFFFFFFF
_DATA_SEGMENTS_IN = struct.Struct("=I")
_DATA_SEGMENTS_IN_AT = 152
_OPTION_TIMESTAMPS = 1


def decode_info(raw: bytes) -> TcpInfo:
    """Return the fields of one tcp_info; raises struct.error when it is too short."""
    words = _WORDS.unpack_from(raw)
    (min_rtt,) = _MIN_RTT.unpack_from(raw, _MIN_RTT_AT)
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
        received_segments=_DATA_SEGMENTS_IN.unpack_from(raw, _DATA_SEGMENTS_IN_AT)[0],
        unacked=words[12],
        sent_ago_seconds=words[17] / 1e3,
        received_ago_seconds=words[19] / 1e3,
        min_rtt_seconds=0.0 if min_rtt == _NO_RTT else min_rtt / 1e6,
    )
