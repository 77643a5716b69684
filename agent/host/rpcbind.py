"""
Ask a server's rpcbind where mountd is, and reach it: what a mount of NFS version 3 needs first.

Plain TCP from an unprivileged port. Source: RFC 1833 (PMAPPROC_GETPORT, which knows only IPv4, and
RPCBPROC_GETADDR), RFC 5531 sections 9 and 11 (the call, and the record that carries it).
"""

import os
import socket
import struct

from agent.path import is_ipv6
from agent.state import Address

RPCBIND_PORT = 111
ANSWER_SECONDS = 1.0
"""For each of: connect, answer, connect to mountd."""

_MOUNTD, _MOUNTD_VERSION = 100005, 3
_RPCBIND = 100000
_GETPORT, _GETPORT_VERSION = 3, 2
_GETADDR, _GETADDR_VERSION = 3, 4
_LAST_FRAGMENT = 0x80000000
_MAX_ANSWER_BYTES = 1024
_WORD = struct.Struct("!I")
_CALL = struct.Struct("!10I")
_XID = 1


class RpcError(Exception):
    """The answer is no answer; the message says why, for the end of a sentence."""


def mount_service_problem(server: Address, port: int = RPCBIND_PORT) -> str:
    """Return what keeps a new NFSv3 mount of this server from working, "" when nothing does."""
    try:
        mountd_port = _mountd_port(server, port)
    except (OSError, RpcError) as error:
        return f"rpcbind (port {port}) {_words(error)}"
    if not mountd_port:
        return f"rpcbind (port {port}) knows of no mountd"
    try:
        _connected(server, mountd_port).close()
    except OSError as error:
        return f"mountd (port {mountd_port}) {_words(error)}"
    return ""


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "does not answer"
    if isinstance(error, OSError):
        return f"cannot be reached: {os.strerror(error.errno).lower()}" if error.errno else "fails"
    return str(error)


def _connected(server: Address, port: int) -> socket.socket:
    return socket.create_connection((server, port), timeout=ANSWER_SECONDS)


def _mountd_port(server: Address, port: int) -> int:
    """Return mountd's TCP port, 0 when it has none; raises OSError or RpcError."""
    with _connected(server, port) as sock:
        if is_ipv6(server):
            netid, owner = _text("tcp6"), _text("")
            arguments = struct.pack("!2I", _MOUNTD, _MOUNTD_VERSION) + netid + _text("") + owner
            return _port_of(_ask(sock, _GETADDR_VERSION, _GETADDR, arguments))
        arguments = struct.pack("!4I", _MOUNTD, _MOUNTD_VERSION, socket.IPPROTO_TCP, 0)
        answer = _ask(sock, _GETPORT_VERSION, _GETPORT, arguments)
        if len(answer) < _WORD.size:
            raise RpcError("gives a short answer")
        return int(_WORD.unpack_from(answer)[0])


def _text(value: str) -> bytes:
    """Return an XDR string (RFC 4506 section 4.11)."""
    raw = value.encode("ascii")
    return _WORD.pack(len(raw)) + raw + bytes(-len(raw) % 4)


def _port_of(answer: bytes) -> int:
    """Return the port of a universal address such as ``::.78.80``, 0 when it is empty."""
    if len(answer) < _WORD.size:
        raise RpcError("gives a short answer")
    (length,) = _WORD.unpack_from(answer)
    parts = answer[_WORD.size : _WORD.size + length].decode("ascii", "replace").split(".")
    if parts == [""]:
        return 0
    try:
        high, low = map(int, parts[-2:])
    except ValueError:
        raise RpcError("gives an address that makes no sense") from None
    return high * 256 + low


def _ask(sock: socket.socket, version: int, procedure: int, arguments: bytes) -> bytes:
    """Return the results of one call; raises OSError or RpcError."""
    call = _CALL.pack(_XID, 0, 2, _RPCBIND, version, procedure, 0, 0, 0, 0) + arguments
    sock.sendall(_WORD.pack(_LAST_FRAGMENT | len(call)) + call)
    (mark,) = _WORD.unpack(_received(sock, _WORD.size))
    length = mark & ~_LAST_FRAGMENT
    if length > _MAX_ANSWER_BYTES:
        raise RpcError("gives an answer that is too long")
    reply = _received(sock, length)
    try:
        xid, kind, denied, _, verifier_bytes = struct.unpack_from("!5I", reply)
        (status,) = _WORD.unpack_from(reply, 20 + verifier_bytes)
    except struct.error:
        raise RpcError("gives a short answer") from None
    if (xid, kind, denied, status) != (_XID, 1, 0, 0):
        raise RpcError("refuses to answer")
    return reply[24 + verifier_bytes :]


def _received(sock: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        part = sock.recv(length - len(received))
        if not part:
            raise RpcError("ends the connection")
        received += part
    return received
