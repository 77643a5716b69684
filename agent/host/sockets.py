"""
List and destroy this namespace's TCP connections to storage servers (sock_diag(7)).

Written against the kernel's structs (include/uapi/linux/inet_diag.h): pyroute2's DiagSocket
swallows the kernel's errors, cannot send SOCK_DESTROY for what it decoded, and costs 90 ms to
import. Listing needs no capability; destroying needs CAP_NET_ADMIN and a kernel with
CONFIG_INET_DIAG_DESTROY. The kernel's own NFS connections are listed like any other.
"""

import errno
import os
import socket
import struct
from collections.abc import Collection, Container, Iterable, Iterator, Sequence

from agent.connections import Listing, TcpConnection
from agent.host.proc_tcp import count_established
from agent.host.tcp_info import decode_info
from agent.path import is_ipv6
from agent.ports import HostError, Server
from agent.state import Address

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_SOCK_DESTROY = 21
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_INFO_EXTENSION = 2  # INET_DIAG_INFO
_ESTABLISHED, _SYN_SENT = 1, 2
_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96
_NO_COOKIE = bytes([0xFF] * 8)

_MESSAGE = struct.Struct("=IHHII")  # length, type, flags, sequence, port id
_REQUEST_HEAD = struct.Struct("=BBBBI")  # family, protocol, extensions, pad, states
_SOCKET_ID = struct.Struct("=2s2s16s16s4s8s")  # ports, addresses, interface, cookie
_REPLY_HEAD_BYTES = 4
_REPLY_TAIL = struct.Struct("=5I")  # expires, queues, uid, inode
_REMOTE_PORT, _REMOTE = slice(6, 8), slice(24, 40)  # of an answer
_ATTRIBUTE = struct.Struct("=HH")
_RECEIVE_BYTES = 65536
_REPLY_SECONDS = 5.0
_ATTEMPTS = 3
"""A connection that closes between the count and the list is no missing one."""


def list_connections(servers: Collection[Server]) -> Listing:
    """
    Return the established connections to these servers, and whether /proc shows more.

    One dump a port and family, whatever the number of servers. Raises HostError.
    """
    wanted = {_key(address, port) for address, port in servers}
    for attempt in range(_ATTEMPTS):
        found: list[TcpConnection] = []
        unlisted = 0
        for port in sorted({port for _, port in servers}):
            there = count_established(port)  # first: what opens meanwhile is listed and not missed
            bodies = _dump_all(port, (_ESTABLISHED,))
            unlisted += max(0, there - len(bodies))
            found += _decode_wanted(bodies, wanted)
        if not unlisted or attempt == _ATTEMPTS - 1:
            break
    return Listing(tuple(found), unlisted)


def destroy(connections: Iterable[TcpConnection]) -> int:
    """
    Destroy these very connections; return how many were still there.

    Raises HostError (EOPNOTSUPP: the kernel was built without CONFIG_INET_DIAG_DESTROY; EPERM:
    CAP_NET_ADMIN is missing).
    """
    with _open() as sock:
        return sum(_destroy(sock, found) for found in connections)


def end_connections(remote: Sequence[Address], port: int, above_bytes: int) -> int:
    """
    Destroy connections to these servers that announced a larger MSS than this MTU allows.

    Includes connections still in their handshake. Returns how many were destroyed; one that is
    gone already is not counted. Raises HostError.
    """
    wanted = {_key(address, port) for address in remote}
    listed = _decode_wanted(_dump_all(port, (_ESTABLISHED, _SYN_SENT)), wanted)
    return destroy(found for found in listed if not found.fits(above_bytes))


def _open() -> socket.socket:
    """Return a netlink socket; a kernel that does not answer must not hold the agent."""
    try:
        sock = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG
        )
    except OSError as error:
        raise _refusal(error.errno or errno.EIO) from error
    sock.settimeout(_REPLY_SECONDS)
    return sock


def _dump_all(port: int, states: Sequence[int]) -> list[bytes]:
    """Return every connection to this port, of both families, as the kernel wrote it."""
    with _open() as sock:
        return [
            body
            for family in (socket.AF_INET, socket.AF_INET6)
            for body in _dump(sock, family, port, states)
            if body[_REMOTE_PORT] == port.to_bytes(2, "big")
        ]


def _dump(sock: socket.socket, family: int, port: int, states: Sequence[int]) -> Iterator[bytes]:
    """Yield all connections of one family to this port."""
    mask = sum(1 << state for state in states)
    anything = _SOCKET_ID.pack(
        bytes(2), port.to_bytes(2, "big"), bytes(16), bytes(16), bytes(4), _NO_COOKIE
    )
    head = _REQUEST_HEAD.pack(family, socket.IPPROTO_TCP, 1 << (_INFO_EXTENSION - 1), 0, mask)
    return _ask(sock, _SOCK_DIAG_BY_FAMILY, _DUMP, head + anything)


def _decode_wanted(bodies: Iterable[bytes], wanted: Container[bytes]) -> list[TcpConnection]:
    """Return the connections to the wanted servers; only those are decoded."""
    decoded = [_decode(body) for body in bodies if _remote_key(body) in wanted]
    return [connection for connection in decoded if connection]


def _key(address: Address, port: int) -> bytes:
    """Return what _remote_key gives for a connection to this server."""
    host, _, _ = address.partition("%")
    if is_ipv6(address):
        packed = socket.inet_pton(socket.AF_INET6, host)
    else:
        packed = _MAPPED + socket.inet_pton(socket.AF_INET, host)
    return port.to_bytes(2, "big") + packed


def _remote_key(body: bytes) -> bytes:
    """Return port and address of the far end, an IPv4 address as the IPv6 one that it maps to."""
    packed = body[_REMOTE]
    if body[0] == socket.AF_INET:
        packed = _MAPPED + packed[:4]
    return body[_REMOTE_PORT] + packed


def _destroy(sock: socket.socket, connection: TcpConnection) -> bool:
    """Return whether the connection was there to destroy."""
    head = _REQUEST_HEAD.pack(connection.family, socket.IPPROTO_TCP, 0, 0, 1 << _ESTABLISHED)
    try:
        for _ in _ask(sock, _SOCK_DESTROY, _ACK, head + connection.identity):
            pass
    except HostError as refused:
        if refused.errno == errno.ENOENT:
            return False
        raise
    return True


def _ask(sock: socket.socket, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
    """Send one request and yield the bodies of the answers; raises HostError."""
    length = _MESSAGE.size + len(body)
    try:
        sock.send(_MESSAGE.pack(length, kind, _REQUEST | flags, 1, 0) + body)
        while True:
            received = sock.recv(_RECEIVE_BYTES)
            for answer, content in _messages(received):
                if answer in (_NLMSG_ERROR, _NLMSG_DONE):
                    _raise_error(content)
                    return
                yield content
    except OSError as error:
        raise _refusal(error.errno or errno.ETIMEDOUT) from error


def _messages(received: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _MESSAGE.size <= len(received):
        length, kind, _, _, _ = _MESSAGE.unpack_from(received, at)
        yield kind, received[at + _MESSAGE.size : at + length]
        at += (max(length, _MESSAGE.size) + 3) & ~3


def _raise_error(content: bytes) -> None:
    """Raise what an error or the end of a dump carries; 0 is success."""
    (code,) = struct.unpack_from("=i", content) if len(content) >= 4 else (0,)  # noqa: PLR2004
    if code:
        raise _refusal(-code)


def _refusal(code: int) -> HostError:
    """Return the error in words that tell what to do."""
    detail = os.strerror(code).lower()
    if code == errno.EOPNOTSUPP:
        detail = "this kernel was built without CONFIG_INET_DIAG_DESTROY"
    elif code == errno.EPERM:
        detail = "destroying connections needs CAP_NET_ADMIN"
    elif code == errno.ENOENT:
        detail = "this kernel cannot list TCP connections (module tcp_diag is missing)"
    return HostError("connections", code, detail)


def _decode(body: bytes) -> TcpConnection | None:
    """Return one inet_diag_msg with its tcp_info; None when the kernel sent none."""
    identity = body[_REPLY_HEAD_BYTES : _REPLY_HEAD_BYTES + _SOCKET_ID.size]
    tail = _REPLY_HEAD_BYTES + _SOCKET_ID.size
    info = _attribute(body, tail + _REPLY_TAIL.size)
    if info is None:
        return None
    family = body[0]
    local_port, remote_port, local, remote, _, _ = _SOCKET_ID.unpack(identity)
    return TcpConnection(
        family=family,
        local=_text(family, local),
        local_port=int.from_bytes(local_port, "big"),
        remote=_text(family, remote),
        remote_port=int.from_bytes(remote_port, "big"),
        info=decode_info(info),
        identity=identity,
        uid=_REPLY_TAIL.unpack_from(body, tail)[3],
    )


def _attribute(body: bytes, at: int) -> bytes | None:
    """Return the INET_DIAG_INFO attribute."""
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if kind == _INFO_EXTENSION:
            return body[at + _ATTRIBUTE.size : at + length]
        at += (max(length, _ATTRIBUTE.size) + 3) & ~3
    return None


def _text(family: int, packed: bytes) -> Address:
    """Return an address as text, an IPv4-mapped one as the IPv4 address that is on the wire."""
    if family == socket.AF_INET:
        return Address(socket.inet_ntop(family, packed[:4]))
    if packed.startswith(_MAPPED):
        return Address(socket.inet_ntop(socket.AF_INET, packed.removeprefix(_MAPPED)))
    return Address(socket.inet_ntop(family, packed))
