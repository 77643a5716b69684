"""
Bytes that a server takes as valid and that fill a segment: RPC calls, a TLS hello.

A probe must not look like an attack or leave an error in the server's log, so both are complete,
well-formed messages.
"""

import os
import struct

_RPC_CALL = 0
_RPC_VERSION = 2
_NFS_PROGRAM = 100003
_NFS_VERSION = 4
_LAST_FRAGMENT = 0x80000000
_RPC_BODY = struct.Struct("!10I")
RPC_CALL_BYTES = 4 + _RPC_BODY.size

_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1
_HELLO_LIMIT_BYTES = 16000  # one TLS record holds 16384
_CIPHER_SUITES = (0x1301, 0x1303, 0x1302, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8)
_SIGNATURES = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0807)
_VERSIONS = (0x0304, 0x0303)
_X25519 = 0x001D
_P256 = 0x0017


def rpc_null_calls(at_least_bytes: int) -> bytes:
    """
    Return enough NFS NULL calls (RFC 5531, AUTH_NONE) to fill this many bytes and a little more.

    The last few bytes travel in a small segment of their own, whose selective acknowledgement
    makes TCP send a lost full one again at once. A server without NFSv4 answers PROG_MISMATCH.
    """
    calls = at_least_bytes // RPC_CALL_BYTES + 1
    return b"".join(_rpc_null_call(xid) for xid in range(1, calls + 1))


def _rpc_null_call(xid: int) -> bytes:
    null_procedure = no_flavor = no_length = 0
    body = _RPC_BODY.pack(
        *(xid, _RPC_CALL, _RPC_VERSION, _NFS_PROGRAM, _NFS_VERSION, null_procedure),
        *(no_flavor, no_length, no_flavor, no_length),
    )
    return struct.pack("!I", _LAST_FRAGMENT | len(body)) + body


def count_rpc_records(stream: bytes) -> int:
    """Return how many whole record-marked messages a stream of replies holds."""
    records = at = 0
    while at + 4 <= len(stream):
        (mark,) = struct.unpack_from("!I", stream, at)
        at += 4 + (mark & ~_LAST_FRAGMENT)
        records += at <= len(stream) and bool(mark & _LAST_FRAGMENT)
    return records


def client_hello(at_least_bytes: int) -> bytes:
    """
    Return a TLS 1.3 ClientHello padded to this size (RFC 8446; padding extension of RFC 7685).

    The key share is random: every 32 bytes are a valid X25519 public key, and nobody will finish
    the handshake. One record cannot hold more than 16 KiB, so the size is limited to 16000.
    """
    plain = _hello_record(padding=b"")
    missing = min(at_least_bytes, _HELLO_LIMIT_BYTES) + RPC_CALL_BYTES - len(plain)
    return _hello_record(padding=_extension(21, bytes(max(missing - 4, 0))))


def _hello_record(padding: bytes) -> bytes:
    extensions = (
        _extension(43, struct.pack("!B", 2 * len(_VERSIONS)) + _shorts(_VERSIONS))
        + _extension(10, _counted(_shorts((_X25519, _P256))))
        + _extension(13, _counted(_shorts(_SIGNATURES)))
        + _extension(51, _counted(struct.pack("!H", _X25519) + _counted(os.urandom(32))))
        + padding
    )
    session = os.urandom(32)
    hello = (
        struct.pack("!H", 0x0303)
        + os.urandom(32)
        + struct.pack("!B", len(session))
        + session
        + _counted(_shorts(_CIPHER_SUITES))
        + b"\x01\x00"  # one compression method: none
        + _counted(extensions)
    )
    message = struct.pack("!I", _CLIENT_HELLO << 24 | len(hello)) + hello
    return struct.pack("!BH", _HANDSHAKE_RECORD, 0x0301) + _counted(message)


def _extension(kind: int, body: bytes) -> bytes:
    return struct.pack("!H", kind) + _counted(body)


def _counted(body: bytes) -> bytes:
    return struct.pack("!H", len(body)) + body


def _shorts(values: tuple[int, ...]) -> bytes:
    return struct.pack(f"!{len(values)}H", *values)
