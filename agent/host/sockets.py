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
from collections.abc import Iterator, Sequence

from agent.host.tcp_info import TcpInfo, decode_info
from agent.path import TCP_TIMESTAMP_BYTES, is_ipv6, mss_bytes
from agent.ports import HostError
from agent.state import Address
from common.record import dataclass, field

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
_REPLY_HEAD_BYTES, _REPLY_TAIL_BYTES = 4, 20
_ATTRIBUTE = struct.Struct("=HH")
_RECEIVE_BYTES = 65536
_REPLY_SECONDS = 5.0

_ENDING = "connections are left to end by themselves: an NFS mount made meanwhile must be unmounted"


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

    @property
    def announced_mss_bytes(self) -> int:
        """
        Return the MSS option of our SYN: it bounds what the server may send, for ever.

        ``tcpi_advmss`` has the timestamp option taken off once both sides agreed on it.
        """
        return self.info.advmss_bytes + TCP_TIMESTAMP_BYTES * self.info.has_timestamps

    def fits(self, mtu_bytes: int) -> bool:
        """Return whether everything that the server may send fits this MTU."""
        return self.announced_mss_bytes <= mss_bytes(mtu_bytes, self.remote)


def list_connections(
    remote: Sequence[Address], port: int, states: Sequence[int] = (_ESTABLISHED,)
) -> tuple[TcpConnection, ...]:
    """Return the connections to these addresses and this port; raises HostError."""
    wanted = {_canonical(address) for address in remote}
    with _open() as sock:
        return tuple(
            connection
            for family in (socket.AF_INET, socket.AF_INET6)
            for connection in _dump(sock, family, port, states)
            if connection.remote in wanted and connection.remote_port == port
        )


def end_connections(remote: Sequence[Address], port: int, above_bytes: int) -> int:
    """
    Destroy connections to these servers that announced a larger MSS than this MTU allows.

    Includes connections still in their handshake. Returns how many were destroyed; one that is
    gone already is not counted. Raises HostError.
    """
    listed = list_connections(remote, port, (_ESTABLISHED, _SYN_SENT))
    with _open() as sock:
        return sum(_destroy(sock, found) for found in listed if not found.fits(above_bytes))


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


def _dump(
    sock: socket.socket, family: int, port: int, states: Sequence[int]
) -> Iterator[TcpConnection]:
    """Yield all connections of one family to this port."""
    mask = sum(1 << state for state in states)
    anything = _SOCKET_ID.pack(
        bytes(2), port.to_bytes(2, "big"), bytes(16), bytes(16), bytes(4), _NO_COOKIE
    )
    head = _REQUEST_HEAD.pack(family, socket.IPPROTO_TCP, 1 << (_INFO_EXTENSION - 1), 0, mask)
    for body in _ask(sock, _SOCK_DIAG_BY_FAMILY, _DUMP, head + anything):
        connection = _decode(family, body)
        if connection is not None:
            yield connection


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
        detail = f"this kernel lacks CONFIG_INET_DIAG_DESTROY; {_ENDING}"
    elif code == errno.EPERM:
        detail = f"destroying connections needs CAP_NET_ADMIN; {_ENDING}"
    elif code == errno.ENOENT:
        detail = "this kernel cannot list TCP connections (module tcp_diag is missing)"
    return HostError("connections", code, detail)


def _decode(family: int, body: bytes) -> TcpConnection | None:
    """Return one inet_diag_msg with its tcp_info; None when the kernel sent none."""
    identity = body[_REPLY_HEAD_BYTES : _REPLY_HEAD_BYTES + _SOCKET_ID.size]
    info = _attribute(body, _REPLY_HEAD_BYTES + _SOCKET_ID.size + _REPLY_TAIL_BYTES)
    if info is None:
        return None
    local_port, remote_port, local, remote, _, _ = _SOCKET_ID.unpack(identity)
    return TcpConnection(
        family=family,
        local=_text(family, local),
        local_port=int.from_bytes(local_port, "big"),
        remote=_text(family, remote),
        remote_port=int.from_bytes(remote_port, "big"),
        info=decode_info(info),
        identity=identity,
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


def _canonical(address: Address) -> Address:
    family = socket.AF_INET6 if is_ipv6(address) else socket.AF_INET
    return _text(family, socket.inet_pton(family, address))
