"""Listening sockets, the same for every server of ours."""

import socket

BACKLOG = 1024
"""Connections that may wait to be accepted; the kernel's own limit is net.core.somaxconn."""


def listen(address: str, port: int) -> socket.socket:
    """
    Return a listening TCP socket; "" is every address, IPv6 and IPv4, and port 0 any free port.

    Raises:
        OSError: The address is not here, or the port is taken or forbidden.
    """
    if not address and socket.has_dualstack_ipv6():
        family, dualstack = socket.AF_INET6, True
    else:
        family, dualstack = (socket.AF_INET6 if ":" in address else socket.AF_INET), False
    listener = socket.create_server(
        (address, port), family=family, backlog=BACKLOG, dualstack_ipv6=dualstack
    )
    # inherited by what is accepted; asyncio sets it only where the socket names its protocol, and
    # without it an answer in two parts waits 40 ms for the other side's delayed acknowledgement
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
