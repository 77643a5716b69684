"""
Speak netlink: frames, attributes, dumps, acknowledgements and the kernel's words of refusal.

Knows nothing of links or routes (``agent.host.rtnetlink`` does). Written by hand because it
is on the way from exec to the open gate: ``import pyroute2`` alone takes longer than all of it.

Source: kernel documentation, userspace-api/netlink/intro.rst; include/uapi/linux/netlink.h.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import Protocol, Self

NETLINK_ROUTE = 0

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP = 0x300
_NLM_F_DUMP_INTR = 0x10
_NLM_F_CAPPED = 0x100
_NLM_F_ACK_TLVS = 0x200

_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_FIRST_PROTOCOL_TYPE = 16  # below are control messages

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12
_NLMSGERR_ATTR_MSG = 1

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length with these four bytes, type
_INT = struct.Struct("=i")
_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER

# The kernel fills at most 32 KiB of a dump per read (netlink_dump, net/netlink/af_netlink.c).
_RECEIVE_BYTES = 1 << 16
_DUMP_ATTEMPTS = 10


def frame(message_type: int, flags: int, sequence: int, body: bytes) -> bytes:
    """Return one request as bytes; port 0 lets the kernel fill in the sender."""
    return _HEADER.pack(_HEADER.size + len(body), message_type, flags, sequence, 0) + body


def messages(datagram: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield (type, flags, sequence, body) of each message; stop at the first impossible length."""
    offset = 0
    while offset + _HEADER.size <= len(datagram):
        length, message_type, flags, sequence, _ = _HEADER.unpack_from(datagram, offset)
        if length < _HEADER.size or offset + length > len(datagram):
            return
        yield message_type, flags, sequence, datagram[offset + _HEADER.size : offset + length]
        offset += length + 3 & ~3


def attribute(attribute_type: int, value: bytes) -> bytes:
    """Return one attribute with its padding."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, attribute_type) + value + bytes(-length % 4)


def attributes(body: bytes, offset: int = 0) -> dict[int, bytes]:
    """Return the attributes from this offset on by type; a repeated type keeps its last value."""
    found = {}
    end = len(body)
    while offset + 4 <= end:
        length, attribute_type = _ATTRIBUTE.unpack_from(body, offset)
        if length < 4 or offset + length > end:  # noqa: PLR2004
            break
        found[attribute_type & _TYPE_MASK] = body[offset + 4 : offset + length]
        offset += length + 3 & ~3
    return found


def refusal(flags: int, body: bytes) -> OSError | None:
    """
    Return the error that an NLMSG_ERROR or NLMSG_DONE carries, None for success.

    Its text is the kernel's extended acknowledgement where there is one, else strerror.
    """
    code = -_INT.unpack_from(body)[0] if len(body) >= _INT.size else 0
    if code <= 0:
        return None
    words = b""
    if flags & _NLM_F_ACK_TLVS:
        offset = _INT.size + _HEADER.size
        if not flags & _NLM_F_CAPPED:
            (echoed_bytes,) = struct.unpack_from("=I", body, _INT.size)
            offset = _INT.size + (echoed_bytes + 3 & ~3)
        words = attributes(body, offset).get(_NLMSGERR_ATTR_MSG, b"")
    text = words.rstrip(b"\0").decode("utf-8", "replace")
    return OSError(code, text or os.strerror(code))


class Wire(Protocol):
    """What carries the datagrams: a netlink socket, or a script in a test."""

    def send(self, datagram: bytes) -> None:
        """Send one request; raises OSError."""
        ...

    def receive(self) -> bytes:
        """Return the next datagram from the kernel; raises OSError (ENOBUFS: some were lost)."""
        ...

    def close(self) -> None:
        """Close the socket."""
        ...


class KernelWire:
    """A netlink socket of the caller's network namespace that asks for readable refusals."""

    def __init__(self, protocol: int) -> None:
        """Open it; raises OSError."""
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol
        )
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
            try:
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            except OSError:  # a kernel before 4.12 or 4.20: shorter words, longer dumps
                continue
        self._buffer = bytearray(_RECEIVE_BYTES)

    def send(self, datagram: bytes) -> None:
        """Send one request to the kernel (port 0); raises OSError."""
        self._socket.sendto(datagram, (0, 0))

    def receive(self) -> bytes:
        """Return the next datagram that the kernel, and nobody else, sent; raises OSError."""
        while True:
            size, _, flags, sender = self._socket.recvmsg_into([self._buffer])
            if flags & socket.MSG_TRUNC:
                raise OSError(errno.EMSGSIZE, "netlink answer larger than the buffer")
            if sender[0] == 0:
                return bytes(memoryview(self._buffer)[:size])

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Netlink:
    """Requests and answers over one wire; not for use by two threads at once."""

    def __init__(self, wire: Wire) -> None:
        """Take over the wire; close() closes it."""
        self._wire = wire
        self._sequence = 0

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the wire."""
        self.close()

    def close(self) -> None:
        """Close the wire."""
        self._wire.close()

    def request(self, message_type: int, body: bytes, flags: int = 0) -> bytes:
        """
        Return the body of the one answer, empty for a bare acknowledgement.

        Raises:
            OSError: with the kernel's errno and words.
        """
        sequence = self._send(message_type, NLM_F_REQUEST | flags, body)
        while True:
            for answer_type, answer_flags, answer_sequence, answer in messages(
                self._wire.receive()
            ):
                if answer_sequence != sequence:
                    continue
                if answer_type == _NLMSG_ERROR:
                    if error := refusal(answer_flags, answer):
                        raise error
                    return b""
                if answer_type >= _FIRST_PROTOCOL_TYPE:
                    return answer

    def dump(self, message_type: int, body: bytes) -> list[bytes]:
        """
        Return every answer's body, as one snapshot.

        The kernel marks a dump that a change interrupted (NLM_F_DUMP_INTR): it is asked again.

        Raises:
            OSError: with the kernel's errno and words; EINTR when every attempt was interrupted.
        """
        for _ in range(_DUMP_ATTEMPTS):
            sequence = self._send(message_type, NLM_F_REQUEST | NLM_F_DUMP, body)
            try:
                answers, is_whole = self._collect(sequence)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                continue
            if is_whole:
                return answers
        raise OSError(errno.EINTR, f"interrupted by changes {_DUMP_ATTEMPTS} times in a row")

    def _send(self, message_type: int, flags: int, body: bytes) -> int:
        """Send a request and return its sequence number; late answers to others are dropped."""
        self._sequence += 1
        self._wire.send(frame(message_type, flags, self._sequence, body))
        return self._sequence

    def _collect(self, sequence: int) -> tuple[list[bytes], bool]:
        """Read a dump to its end; return the bodies and whether no change came in between."""
        answers: list[bytes] = []
        is_whole = True
        while True:
            for answer_type, flags, answer_sequence, body in messages(self._wire.receive()):
                if answer_sequence != sequence:
                    continue
                is_whole = is_whole and not flags & _NLM_F_DUMP_INTR
                if answer_type in (_NLMSG_DONE, _NLMSG_ERROR):
                    if error := refusal(flags, body):
                        raise error
                    return answers, is_whole
                if answer_type >= _FIRST_PROTOCOL_TYPE:
                    answers.append(body)
