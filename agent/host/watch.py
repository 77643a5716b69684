"""
Tell at once when the node's links, routes, addresses or mounts change.

Each watch is one daemon thread that sleeps in poll(2) and calls a plain function; what changed
is for the next observation to say. The function must return soon and must not raise.

Source: rtnetlink(7) for the groups; proc(5) for POLLPRI on mountinfo.
"""

import errno
import os
import select
import socket
import threading
from collections.abc import Callable
from typing import Final, Self

from agent.host.netlink import NETLINK_ROUTE, attributes, messages
from agent.host.rtmessages import (
    IFF_RUNNING,
    IFF_UP,
    IFINFOMSG,
    IFLA_IFNAME,
    IFLA_MASTER,
    IFLA_MTU,
    RTM_DELLINK,
    RTM_NEWLINK,
    number,
    text,
)
from agent.host.rtnetlink import RouteNetlink

_RTMGRP_LINK = 0x1
_RTMGRP_IPV4_IFADDR = 0x10
_RTMGRP_IPV4_ROUTE = 0x40
_RTMGRP_IPV6_IFADDR = 0x100
_RTMGRP_IPV6_ROUTE = 0x400
_GROUPS: Final = (
    _RTMGRP_LINK
    | _RTMGRP_IPV4_IFADDR
    | _RTMGRP_IPV4_ROUTE
    | _RTMGRP_IPV6_IFADDR
    | _RTMGRP_IPV6_ROUTE
)
_RECEIVE_BYTES = 1 << 16
_SOCKET_BUFFER_BYTES = 1 << 20
_BURST_DATAGRAMS = 1000  # a flood must not keep the news back for ever
_RETRY_SECONDS = 1.0

Fingerprint = tuple[str, int, int, int]
"""What of a link matters to us: name, MTU, up and running flags, master."""


class _Watch:
    """A daemon thread that polls one descriptor until it is closed."""

    def __init__(self, name: str) -> None:
        """Prepare the thread; start() starts it."""
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the thread."""
        self.close()

    def close(self) -> None:
        """End the thread and close what it holds; a second call does nothing."""
        if self._wake < 0:
            return
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        os.close(self._wake)
        self._wake = -1

    def _run(self) -> None:
        """Watch until woken by close()."""
        raise NotImplementedError

    def _wait(self, poll: select.poll, timeout_seconds: float | None = None) -> bool:
        """Sleep until the descriptor has something, or the time is over; False: closing."""
        timeout = None if timeout_seconds is None else timeout_seconds * 1000
        return all(descriptor != self._wake for descriptor, _ in poll.poll(timeout))

    def _poll(self) -> select.poll:
        """Return a poll object that close() wakes."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        return poll


class LinkWatch(_Watch):
    """
    Calls ``on_change`` when a link, an address or a route changes.

    Of a link only what can matter counts: name, MTU, up and carrier, master, there or gone. A
    burst is one call. Events lost by the kernel (ENOBUFS) are a call too. Everything from the
    moment that the constructor returns is told, so observe after it.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        """Subscribe in the caller's network namespace and start; raises OSError."""
        self._on_change = on_change
        self._socket = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            NETLINK_ROUTE,
        )
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
            self._socket.bind((0, _GROUPS))
            self._links = LinkFingerprints()
            self._links.seed()
            super().__init__("link-watch")
            self._thread.start()
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """End the thread and the subscription; a second call does nothing."""
        super().close()
        self._socket.close()

    def _run(self) -> None:
        """Call on_change once for each burst."""
        poll = self._poll()
        poll.register(self._socket, select.POLLIN)
        while self._wait(poll):
            if self._drain():
                self._on_change()

    def _drain(self) -> bool:
        """Read what is there, up to a limit; return whether any of it matters."""
        has_changed = False
        for _ in range(_BURST_DATAGRAMS):
            try:
                datagram, sender = self._socket.recvfrom(_RECEIVE_BYTES)
            except BlockingIOError:
                return has_changed
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._links.forget()
                has_changed = True
                continue
            if sender[0] == 0:  # from the kernel
                has_changed = self._links.learn(datagram) or has_changed
        return has_changed


class LinkFingerprints:
    """What was last heard of each link, to tell a change from chatter such as statistics."""

    def __init__(self) -> None:
        """Start knowing nothing: the first news of each link counts as a change."""
        self._known: dict[int, Fingerprint] = {}

    def seed(self) -> None:
        """Learn the links as they are now; raises OSError."""
        with RouteNetlink() as netlink:
            for body in netlink.link_bodies():
                self._learn_link(RTM_NEWLINK, body)

    def forget(self) -> None:
        """Know nothing any more: events were lost."""
        self._known.clear()

    def learn(self, datagram: bytes) -> bool:
        """Take in one datagram of events; return whether something that matters changed."""
        has_changed = False
        for message_type, _, _, body in messages(datagram):
            if message_type in (RTM_NEWLINK, RTM_DELLINK):
                has_changed = self._learn_link(message_type, body) or has_changed
            else:  # an address or a route
                has_changed = True
        return has_changed

    def _learn_link(self, message_type: int, body: bytes) -> bool:
        """Take in one link; return whether it differs from before."""
        family, _, index, flags, _ = IFINFOMSG.unpack_from(body)
        if family != socket.AF_UNSPEC:
            return False  # a bridge's word on its port: its RTM_DELLINK does not end the link
        if message_type == RTM_DELLINK:
            self._known.pop(index, None)
            return True
        found = attributes(body, IFINFOMSG.size)
        fingerprint = (
            text(found.get(IFLA_IFNAME, b"")),
            number(found.get(IFLA_MTU)),
            flags & (IFF_UP | IFF_RUNNING),
            number(found.get(IFLA_MASTER)),
        )
        has_changed = self._known.get(index) != fingerprint
        self._known[index] = fingerprint
        return has_changed


class FileWatch(_Watch):
    """
    Calls ``on_change`` when a kernel file that signals changes by POLLPRI does: mountinfo.

    A file that cannot be opened is tried again every second; once it can, that is a call.
    """

    def __init__(
        self, path: str, on_change: Callable[[], None], retry_seconds: float = _RETRY_SECONDS
    ) -> None:
        """Open the file, or begin to try, and start."""
        self._on_change = on_change
        self._path = path
        self._retry_seconds = retry_seconds
        self._descriptor = self._open()
        super().__init__("file-watch")
        self._thread.start()

    def close(self) -> None:
        """End the thread and close the file; a second call does nothing."""
        super().close()
        self._close_file()

    def _run(self) -> None:
        """Call on_change for each change; open the file again when it fails."""
        while self._has_file() and self._watch_file():
            self._close_file()

    def _has_file(self) -> bool:
        """Try until the file is open; False: closing."""
        is_late = self._descriptor < 0
        while self._descriptor < 0:
            if not self._wait(self._poll(), self._retry_seconds):
                return False
            self._descriptor = self._open()
        if is_late:
            self._on_change()
        return True

    def _watch_file(self) -> bool:
        """Call on_change until the file fails; False: closing."""
        poll = self._poll()
        poll.register(self._descriptor, select.POLLPRI | select.POLLERR)
        while True:
            events = dict(poll.poll())
            if self._wake in events:
                return False
            if events.get(self._descriptor, 0) & (select.POLLNVAL | select.POLLHUP):
                return True
            self._on_change()

    def _open(self) -> int:
        """Return the open file and forget the changes before; -1 when it cannot be opened."""
        try:
            return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return -1

    def _close_file(self) -> None:
        """Close the file, if it is open."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
