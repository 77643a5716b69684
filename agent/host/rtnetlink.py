"""
Ask the kernel for links, addresses and routes, and set a link's MTU.

Decides nothing. ``agent/host/linux.py`` is its caller; the tests hold every decoded value
against pyroute2.
"""

import errno
from typing import Final, Self

from agent.host.netlink import NETLINK_ROUTE, NLM_F_ACK, KernelWire, Netlink
from agent.host.rtmessages import (
    RTM_F_FIB_MATCH,
    UNSPECIFIED,
    address_query,
    decode_address,
    decode_link,
    decode_protocol,
    decode_routes,
    is_default,
    link_query,
    main_table_query,
    mtu_request,
    packed,
    route_query,
)
from agent.state import Address, Link, Route
from common.record import replace

_RTM_GETLINK: Final = 18
_RTM_SETLINK: Final = 19
_RTM_GETADDR: Final = 22
_RTM_GETROUTE: Final = 26

_NO_ROUTE: Final = frozenset(
    {
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.EACCES,  # a prohibit route
        errno.EINVAL,  # a blackhole route
        errno.EOPNOTSUPP,  # the family is switched off (ipv6.disable=1)
        errno.EAFNOSUPPORT,
    }
)
_NO_TABLE: Final = frozenset({errno.ENOENT, errno.EOPNOTSUPP, errno.EAFNOSUPPORT})


class RouteNetlink:
    """One NETLINK_ROUTE conversation with the caller's network namespace."""

    def __init__(self, netlink: Netlink | None = None) -> None:
        """Open a socket, or speak over the given one; raises OSError."""
        self._netlink = Netlink(KernelWire(NETLINK_ROUTE)) if netlink is None else netlink

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the socket."""
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()

    def links(self) -> tuple[Link, ...]:
        """Return every link, without addresses; raises OSError."""
        return tuple(map(decode_link, self.link_bodies()))

    def link_bodies(self) -> list[bytes]:
        """Return every link's RTM_NEWLINK body, not decoded; raises OSError."""
        return self._netlink.dump(_RTM_GETLINK, link_query(0))

    def link(self, index: int) -> Link:
        """Return the link of this index, without addresses; raises OSError (ENODEV: none)."""
        return decode_link(self._netlink.request(_RTM_GETLINK, link_query(index)))

    def addresses(self) -> dict[int, tuple[Address, ...]]:
        """Return the addresses of each link index, both families; raises OSError."""
        by_index: dict[int, tuple[Address, ...]] = {}
        for answer in self._netlink.dump(_RTM_GETADDR, address_query()):
            decoded = decode_address(answer)
            if decoded is not None:
                index, address = decoded
                by_index[index] = (*by_index.get(index, ()), address)
        return by_index

    def route(self, address: Address) -> Route | None:
        """
        Return the route that packets to this address take, None where there is none.

        Two questions: what the kernel resolves now (with a learned path MTU), and which table
        entry that came from, because an IPv4 answer to the first hides who installed it.

        Raises:
            OSError: the kernel refused the question itself.
        """
        family, destination = packed(address)
        if not destination:
            return None
        try:
            resolved = self._netlink.request(_RTM_GETROUTE, route_query(family, destination, 0))
            hops = decode_routes(resolved, address)
        except OSError as error:
            if error.errno in _NO_ROUTE:
                return None
            raise
        if not hops:
            return None
        return replace(hops[0], protocol=self._protocol(family, destination) or hops[0].protocol)

    def default_routes(self) -> tuple[Route, ...]:
        """Return the main table's default routes, one for each next hop; raises OSError."""
        found: list[Route] = []
        for family, unspecified in UNSPECIFIED.items():
            try:
                answers = self._netlink.dump(_RTM_GETROUTE, main_table_query(family))
            except OSError as error:
                if error.errno not in _NO_TABLE:
                    raise
                continue
            for answer in answers:
                # Without strict checking a family that is off answers with all the others.
                if is_default(answer, family):
                    found.extend(decode_routes(answer, unspecified))
        return tuple(found)

    def set_mtu(self, index: int, mtu_bytes: int) -> None:
        """
        Set a link's MTU.

        Raises:
            OSError: with the kernel's words; EINVAL above the maximum, ERANGE for a vlan above
                its parent, ENODEV for no such link, EPERM without CAP_NET_ADMIN.
        """
        self._netlink.request(_RTM_SETLINK, mtu_request(index, mtu_bytes), NLM_F_ACK)

    def _protocol(self, family: int, destination: bytes) -> str:
        """Return who installed the table entry for an address, "" when that cannot be told."""
        try:
            answer = self._netlink.request(
                _RTM_GETROUTE, route_query(family, destination, RTM_F_FIB_MATCH)
            )
        except OSError:  # a kernel without RTM_F_FIB_MATCH for this family
            return ""
        return decode_protocol(answer)
