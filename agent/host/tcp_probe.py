"""
Send full TCP segments and watch the kernel's own account of them (TCP_INFO).

No capability, no ICMP, no raw packets: a segment of a chosen size is a TCP_MAXSEG and one send(),
its arrival is ``tcpi_bytes_acked``. A connection each, all sizes of a round at once, one thread.

A size counts as lost when it went out at least twice over more than the smallest retransmission
timeout (200 ms, RFC 6298 as Linux has it) and was never acknowledged: a single lost packet is
sent again within two round trips and then acknowledged, at the same size.
"""

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence

from agent.connections import TcpInfo
from agent.host.payload import count_rpc_records, rpc_null_calls
from agent.host.tcp_info import TCP_INFO_BYTES, decode_info
from agent.path import Delivery, Segment, is_ipv6, mss_bytes, packet_bytes
from agent.state import Address
from common.record import dataclass

_IP_MTU_DISCOVER = 10  # include/uapi/linux/in.h
_IPV6_MTU_DISCOVER = 23  # include/uapi/linux/in6.h
_PMTUDISC_DO = 2  # never let a router cut the packet, whatever ip_no_pmtu_disc says
_LEAST_MSS, _LARGEST_MSS = 88, 32767  # what TCP_MAXSEG takes
_RESET_ON_CLOSE = struct.pack("=ii", 1, 0)  # SO_LINGER: leave no retransmitting orphan
_RECEIVE_BYTES = 65536
_MTU_PROBING = "/proc/sys/net/ipv4/tcp_mtu_probing"


@dataclass(frozen=True, slots=True)
class Limits:
    """
    How long to wait for what, in seconds; round trips are added where they matter.

    ``connect`` leaves room for one lost SYN (sent again after 1 s). ``soon`` ends the wait once a
    second retransmission is out, ``late`` ends it in any case. ``reply`` is how long a server that
    acknowledged may take to answer, where an answer is waited for. ``drain`` is how long to wait
    for the rest of the replies, so that no server writes into a closed connection.
    """

    connect_seconds: float = 2.5
    soon_seconds: float = 0.25
    late_seconds: float = 0.5
    reply_seconds: float = 2.0
    drain_seconds: float = 0.03


@dataclass(frozen=True, slots=True)
class Exchange:
    """What to send and whether to wait for an answer to it; ``make`` takes the least size."""

    make: Callable[[int], bytes] = rpc_null_calls
    needs_reply: bool = False


NULL_CALLS = Exchange()


def send_segments(
    address: Address,
    port: int,
    sizes: Sequence[int],
    limits: Limits,
    exchange: Exchange = NULL_CALLS,
) -> tuple[Segment, ...]:
    """Send one full segment of each packet size in bytes, all at once; never raises OSError."""
    attempts: list[_Attempt] = []
    poller = select.poll()
    try:
        for size in sizes:
            attempts.append(_Attempt(address, size, limits, exchange))
            attempts[-1].connect(port, poller)
        while any(attempt.segment is None for attempt in attempts):
            poller.poll(_patience_ms(attempts))
            for attempt in attempts:
                attempt.step(poller)
        _drain(attempts, poller, limits)
        return tuple(a.segment for a in attempts if a.segment is not None)
    finally:
        for attempt in attempts:
            attempt.close()


def answers(address: Address, port: int, limits: Limits) -> Segment:
    """Open and close a connection; the delivery is ACKED when it was accepted."""
    started = time.monotonic()
    family = socket.AF_INET6 if is_ipv6(address) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(limits.connect_seconds)
        try:
            sock.connect((address, port))
        except OSError as error:
            return _no_contact(0, error)
        return Segment(0, Delivery.ACKED, rtt_seconds=time.monotonic() - started)


def _patience_ms(attempts: Sequence["_Attempt"]) -> int:
    """Return how long poll may sleep: an ACK without data wakes nobody, so look often at first."""
    waiting = [a for a in attempts if a.segment is None]
    if not any(a.was_sent for a in waiting):
        return 50
    return 1 if time.monotonic() - min(a.since for a in waiting) < 0.02 else 5  # noqa: PLR2004


def _drain(attempts: Sequence["_Attempt"], poller: select.poll, limits: Limits) -> None:
    """Wait a moment for replies that are under way."""
    rtt = max((a.segment.rtt_seconds for a in attempts if a.segment), default=0.0)
    end = time.monotonic() + limits.drain_seconds + 2 * rtt
    while any(a.expects_replies for a in attempts) and (left := end - time.monotonic()) > 0:
        poller.poll(left * 1000)
        for attempt in attempts:
            attempt.receive(poller)


def _no_contact(size: int, error: OSError) -> Segment:
    """Return what a failed connect says; EPERM is our own firewall."""
    refused = error.errno in (errno.ECONNREFUSED, errno.ECONNRESET)
    delivery = Delivery.REFUSED if refused else Delivery.SILENT
    if error.errno is None or error.errno == errno.ETIMEDOUT:
        return Segment(size, delivery, detail="no answer to the connection attempt")
    return Segment(size, delivery, detail=f"no connection: {os.strerror(error.errno).lower()}")


def _always_probes() -> bool:
    """Return whether this namespace starts every connection at tcp_base_mss."""
    try:
        with open(_MTU_PROBING, encoding="ascii") as setting:
            return int(setting.read()) > 1  # as tcp_mtup_init, net/ipv4/tcp_output.c, has it
    except (OSError, ValueError):
        return False


class _Attempt:
    """One connection, from connect to what became of its full segment."""

    def __init__(self, address: Address, size: int, limits: Limits, exchange: Exchange) -> None:
        self.segment: Segment | None = None
        self.was_sent = False
        self.since = time.monotonic()
        self._address, self._size, self._limits = address, size, limits
        self._exchange = exchange
        self._connected: TcpInfo | None = None
        self._payload = b""
        self._received = bytearray()
        self._is_open = True
        self._trouble: OSError | None = None
        family = socket.AF_INET6 if is_ipv6(address) else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)

    @property
    def expects_replies(self) -> bool:
        """Return whether whole calls arrived whose replies are still to come."""
        if self.segment is None or self.segment.delivery is not Delivery.ACKED:
            return False
        if not self._is_open or self._exchange.make is not rpc_null_calls:
            return False
        return count_rpc_records(bytes(self._received)) < count_rpc_records(self._payload)

    def connect(self, port: int, poller: select.poll) -> None:
        """Start the handshake."""
        segment_bytes = mss_bytes(self._size, self._address)
        limited = min(max(segment_bytes, _LEAST_MSS), _LARGEST_MSS)
        try:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, limited)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            if is_ipv6(self._address):
                self._sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_DO)
            else:
                self._sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_DO)
            self._sock.connect((self._address, port))
        except BlockingIOError:
            pass
        except OSError as error:
            self.segment = _no_contact(self._size, error)
            return
        poller.register(self._sock, select.POLLOUT)

    def step(self, poller: select.poll) -> None:
        """Go as far as the kernel lets us without waiting."""
        if self.segment is not None:
            return
        try:
            if self._connected is None:
                self._finish_connect(poller)
            if self._connected is not None:
                self.receive(poller)
                self._watch(self._connected)
        except OSError as error:
            self.segment = self._closed(error)

    def receive(self, poller: select.poll) -> None:
        """Take in what the server sent; stop listening at its end."""
        while self._is_open:
            try:
                data = self._sock.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                data, self._trouble = b"", error
            self._received += data
            if not data:
                self._is_open = False
                poller.unregister(self._sock)

    def close(self) -> None:
        """Give the socket back, in an orderly way where all was said."""
        if self.segment is not None and self.segment.delivery is Delivery.ACKED:
            orderly = struct.pack("=ii", 0, 0)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, orderly)
        self._sock.close()

    def _info(self) -> TcpInfo:
        return decode_info(
            self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
        )

    def _finish_connect(self, poller: select.poll) -> None:
        """Send the payload as soon as the handshake is done."""
        failure = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            self.segment = _no_contact(self._size, OSError(failure, ""))
            return
        try:
            self._sock.getpeername()
        except OSError:  # not connected yet
            if time.monotonic() - self.since > self._limits.connect_seconds:
                self.segment = _no_contact(self._size, OSError())
            return
        self._connected = info = self._info()
        if self._sent_bytes < self._expected_bytes and _always_probes():
            self.segment = self._result(Delivery.HELD, info)
            return
        self._payload = self._exchange.make(info.snd_mss_bytes)
        self.since = time.monotonic()
        self.was_sent = True
        poller.modify(self._sock, select.POLLIN)
        self._sock.send(self._payload)

    def _watch(self, first: TcpInfo) -> None:
        """Look at the kernel's account and decide, or go on waiting."""
        if self.segment is not None:
            return
        now, waited = self._info(), time.monotonic() - self.since
        full = min(first.snd_mss_bytes, len(self._payload))
        if now.pmtu_bytes < first.pmtu_bytes:
            self.segment = self._result(Delivery.LOWERED, now)
        elif now.acked_bytes - first.acked_bytes >= full:
            if self._received or not self._exchange.needs_reply:
                self.segment = self._result(Delivery.ACKED, now)
            elif waited > self._limits.reply_seconds or not self._is_open:
                self.segment = self._result(Delivery.MUTE, now)
        elif self._trouble is not None:
            self.segment = self._closed(self._trouble)
        elif self._is_lost(first, now, waited):
            self.segment = self._result(Delivery.LOST, now)

    def _is_lost(self, first: TcpInfo, now: TcpInfo, waited: float) -> bool:
        """Return whether the segment had its chances; the kernel shrinking it is a no as well."""
        if now.snd_mss_bytes < first.snd_mss_bytes:
            return True
        rtt, tries = first.rtt_seconds, now.retransmits - first.retransmits
        soon = self._limits.soon_seconds + 4 * rtt
        late = self._limits.late_seconds + 6 * rtt
        return waited > late or (waited > soon and tries > 1)

    @property
    def _sent_bytes(self) -> int:
        if self._connected is None:
            return 0
        return packet_bytes(
            self._connected.snd_mss_bytes,
            self._address,
            timestamps=self._connected.has_timestamps,
        )

    @property
    def _expected_bytes(self) -> int:
        own = self._connected.pmtu_bytes if self._connected else self._size
        return min(self._size, own)

    def _result(self, delivery: Delivery, now: TcpInfo) -> Segment:
        sent, first = self._sent_bytes, self._connected or now
        servers = sent if sent < self._expected_bytes and delivery is not Delivery.HELD else None
        return Segment(
            asked_bytes=self._size,
            delivery=delivery,
            sent_bytes=sent,
            own_mtu_bytes=first.pmtu_bytes,
            server_mtu_bytes=servers,
            hint_bytes=now.pmtu_bytes if delivery is Delivery.LOWERED else None,
            rtt_seconds=first.rtt_seconds,
            retransmits=now.retransmits - first.retransmits,
        )

    def _closed(self, error: OSError) -> Segment:
        why = os.strerror(error.errno or errno.EIO).lower()
        detail = f"the connection broke before the segment was acknowledged: {why}"
        return Segment(self._size, Delivery.RESET, detail=detail)
