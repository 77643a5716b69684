"""Ready-made connections as the kernel shows them, for the tests of the agent's core."""

import socket
from dataclasses import replace
from itertools import count

from agent.connections import TcpConnection, TcpInfo
from agent.state import Address

_COOKIES = count(1)
_TIMESTAMPS = 12
_NODE, _NODE_V6 = "10.1.0.5", "fd01::5"


def headers(address: str) -> int:
    """Return the bytes of IP and TCP headers of packets to this address."""
    return 60 if ":" in address else 40


def opened(
    remote: str = "10.1.0.10", mtu: int = 1500, *, peer_mtu: int = 9000, **details: object
) -> TcpConnection:
    """Return a connection that was opened at this MTU and has timestamps; details replace."""
    overhead = headers(remote) + _TIMESTAMPS
    cookie = next(_COOKIES)
    info = TcpInfo(
        has_timestamps=True,
        snd_mss_bytes=min(mtu, peer_mtu) - overhead,
        rcv_mss_bytes=536,
        pmtu_bytes=mtu,
        rtt_seconds=0.0005,
        advmss_bytes=mtu - overhead,
        retransmits=0,
        acked_bytes=1,
        received_bytes=0,
        sent_ago_seconds=90.0,
        received_ago_seconds=90.0,
    )
    fields = {name: details.pop(name) for name in tuple(details) if hasattr(info, name)}
    connection = TcpConnection(
        family=socket.AF_INET6 if ":" in remote else socket.AF_INET,
        local=Address(_NODE_V6 if ":" in remote else _NODE),
        local_port=600 + cookie % 400,
        remote=Address(remote),
        remote_port=2049,
        info=replace(info, **fields),  # type: ignore[arg-type]  # fields of TcpInfo
        identity=cookie.to_bytes(8, "big"),
    )
    return replace(connection, **details)  # type: ignore[arg-type]  # fields of TcpConnection


def read(connection: TcpConnection, size: int, packet: int) -> TcpConnection:
    """Return the connection after it just read so many bytes in packets of this size."""
    segment = packet - headers(connection.remote) - _TIMESTAMPS
    info = replace(
        connection.info,
        rcv_mss_bytes=segment,
        received_bytes=size,
        received_segments=-(-size // segment),
        received_ago_seconds=0.0,
    )
    return replace(connection, info=info)
