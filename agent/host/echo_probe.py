"""
Send ICMP and ICMPv6 echoes of chosen sizes from a ping socket, which needs no capability.

Ping sockets (icmp(7), SOCK_DGRAM) are allowed to groups inside net.ipv4.ping_group_range, which
is empty by default; systemd opens it to everyone. IP_PMTUDISC_PROBE sets DF and ignores a learned
path MTU, so the answer is about the path and not about this node's memory of it.

The answering side may let its reply be cut (Linux clears DF in IPv4 echo replies, and a server
that learned a path MTU cuts IPv6 ones), so the size of the largest piece is asked for too.
"""

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from agent.path import SMALL_ECHO_BYTES, Echo, echo_payload_bytes, is_ipv6
from agent.state import Address

_PMTUDISC_PROBE = 3
_IP_MTU_DISCOVER = 10
_IP_RECVFRAGSIZE = 25
_IPV6_MTU_DISCOVER = 23
_IPV6_DONTFRAG = 62
_IPV6_RECVFRAGSIZE = 77
_ECHO_REQUEST, _ECHO_REPLY = 8, 0  # RFC 792
_ECHO_REQUEST_V6, _ECHO_REPLY_V6 = 128, 129  # RFC 4443
_HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence
_COOKIE_BYTES = 8
_RECEIVE_BYTES = 65536
_CONTROL_BYTES = 128
_CLOSED_UDP_PORT = 33434  # traceroute's first port: nothing listens there


class PingRefusedError(Exception):
    """This process may not open ping sockets; the text says what would allow it."""


class Ping:
    """Echoes to one address; a context manager that owns one socket."""

    def __init__(self, address: Address) -> None:
        """Open the socket; raises PingRefusedError."""
        self._address = address
        self._is_ipv6 = is_ipv6(address)
        self._cookie = os.urandom(_COOKIE_BYTES)
        self._sizes: dict[int, int] = {}  # by sequence number
        self._heard: dict[int, int | None] = {}  # size -> largest piece, None when whole
        self._sock = _open_ping(self._is_ipv6)
        self._poller = select.poll()
        self._poller.register(self._sock, select.POLLIN)
        try:
            self._set_options()
        except OSError:
            self._sock.close()
            raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the socket."""
        self._sock.close()

    def send(self, size_bytes: int) -> None:
        """Send one echo of this packet size; what cannot be sent is simply not answered."""
        sequence = len(self._sizes) + 1
        self._sizes[sequence] = size_bytes
        kind = _ECHO_REQUEST_V6 if self._is_ipv6 else _ECHO_REQUEST
        padding = echo_payload_bytes(size_bytes, self._address) - _COOKIE_BYTES
        packet = _HEADER.pack(kind, 0, 0, 0, sequence) + self._cookie + bytes(max(padding, 0))
        try:
            self._sock.sendto(packet, _destination(self._address, 0))
        except OSError as error:
            # larger than our own MTU, no route, our own firewall: all mean that it did not pass
            if error.errno in (errno.EBADF, errno.EFAULT, errno.EINVAL):
                raise

    def wait(self, sizes: Sequence[int], seconds: float) -> bool:
        """Return whether echoes of all these sizes came back in time."""
        end = time.monotonic() + seconds
        while any(size not in self._heard for size in sizes):
            left = end - time.monotonic()
            if left <= 0 or not self._poller.poll(left * 1000):
                break
            self._receive()
        for _ in self._sizes:  # what came in time, though this process was not let on
            if not self._poller.poll(0):
                break
            self._receive()
        return all(size in self._heard for size in sizes)

    def ask(self, sizes: Sequence[int], seconds: float) -> tuple[Echo, ...]:
        """
        Send these sizes, and again the ones not answered in time; wait as long again.

        Where nothing at all was ever answered the second wait is spared.
        """
        for _ in range(2):
            for size in sizes:
                if size not in self._heard:
                    self.send(size)
            if self.wait(sizes, seconds) or not self._heard:
                break
        return self.result(sizes)

    def result(self, sizes: Sequence[int]) -> tuple[Echo, ...]:
        """Return what is known of these sizes by now."""
        return tuple(Echo(size, size in self._heard, self._heard.get(size)) for size in sizes)

    def _set_options(self) -> None:
        level = socket.IPPROTO_IPV6 if self._is_ipv6 else socket.IPPROTO_IP
        discover = _IPV6_MTU_DISCOVER if self._is_ipv6 else _IP_MTU_DISCOVER
        pieces = _IPV6_RECVFRAGSIZE if self._is_ipv6 else _IP_RECVFRAGSIZE
        self._sock.setsockopt(level, discover, _PMTUDISC_PROBE)
        self._sock.setsockopt(level, pieces, 1)
        if self._is_ipv6:
            self._sock.setsockopt(level, _IPV6_DONTFRAG, 1)

    def _receive(self) -> None:
        """Take in one answer, if it is whole and ours."""
        try:
            data, control, _, _ = self._sock.recvmsg(_RECEIVE_BYTES, _CONTROL_BYTES)
        except OSError:  # an ICMP error for an echo: it stays unanswered
            return
        if len(data) < _HEADER.size + _COOKIE_BYTES:
            return
        kind, _, _, _, sequence = _HEADER.unpack_from(data)
        size = self._sizes.get(sequence)
        if kind != (_ECHO_REPLY_V6 if self._is_ipv6 else _ECHO_REPLY) or size is None:
            return
        is_ours = data[_HEADER.size : _HEADER.size + _COOKIE_BYTES] == self._cookie
        if is_ours and len(data) - _HEADER.size == echo_payload_bytes(size, self._address):
            self._heard[size] = self._largest_piece(control)

    def _largest_piece(self, control: Sequence[tuple[int, int, bytes]]) -> int | None:
        wanted = (
            (socket.IPPROTO_IPV6, _IPV6_RECVFRAGSIZE)
            if self._is_ipv6
            else (socket.IPPROTO_IP, _IP_RECVFRAGSIZE)
        )
        for level, kind, value in control:
            if (level, kind) == wanted and len(value) >= 4:  # noqa: PLR2004 - one C int
                return int(struct.unpack_from("=i", value)[0]) or None
        return None


def _open_ping(is_v6: bool) -> socket.socket:  # noqa: FBT001 - one private caller
    family = socket.AF_INET6 if is_v6 else socket.AF_INET
    protocol = socket.IPPROTO_ICMPV6 if is_v6 else socket.IPPROTO_ICMP
    try:
        return socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, protocol)
    except OSError as error:
        refused = error.errno in (errno.EACCES, errno.EPERM)
        cure = (
            "net.ipv4.ping_group_range does not include this process's group"
            if refused
            else os.strerror(error.errno or errno.EIO).lower()
        )
        message = f"ping sockets are not allowed here ({cure})"
        raise PingRefusedError(message) from error


def _destination(address: Address, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """Return the socket address; a zone goes in by number. Raises OSError where it is gone."""
    host, _, zone = address.partition("%")
    return (host, port, 0, socket.if_nametoindex(zone)) if zone else (host, port)


def echo_small(address: Address, seconds: float) -> bool:
    """
    Return whether a small echo is answered; sent three times; raises PingRefusedError.

    A link-local address has its link as zone: ``fe80::1%eth0`` (RFC 4007).
    """
    with Ping(address) as ping:
        for _ in range(3):
            ping.send(SMALL_ECHO_BYTES)
            if ping.wait((SMALL_ECHO_BYTES,), seconds / 3):
                return True
    return False


def closed_port_answers(address: Address, seconds: float) -> bool:
    """
    Return whether the host says that a UDP port is closed (ICMP port unreachable).

    Needs no ping socket. Silence proves nothing: many routers and firewalls say nothing.
    """
    family = socket.AF_INET6 if is_ipv6(address) else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(seconds / 2)
        try:
            sock.connect(_destination(address, _CLOSED_UDP_PORT))
            for _ in range(2):
                try:
                    sock.send(bytes(_COOKIE_BYTES))
                    sock.recv(_RECEIVE_BYTES)
                except TimeoutError:
                    continue
                return True  # somebody does listen there
        except OSError as error:
            return error.errno == errno.ECONNREFUSED
    return False
