"""
Encode the questions and decode the answers of rtnetlink: links, addresses, routes.

Pure: bytes to the agent's own values and back. ``agent/host/rtnetlink.py`` holds the socket.

Source: rtnetlink(7); include/uapi/linux/{if_link,if_addr,rtnetlink}.h.
"""

import socket
import struct
from typing import Final

from agent.host.netlink import attribute, attributes
from agent.state import Address, Link, LinkName, Route

RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17

IFINFOMSG = struct.Struct("=BxHiII")  # family, device type, index, flags, changed flags
_IFADDRMSG = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_RTMSG = struct.Struct("=BBBBBBBBI")  # family, dst len, src len, tos, table, protocol, scope, ...
_RTNEXTHOP = struct.Struct("=HBBi")  # length, flags, weight - 1, index
_U32 = struct.Struct("=I")

IFF_UP: Final = 0x1
IFF_RUNNING: Final = 0x40

IFLA_IFNAME: Final = 3
IFLA_MTU: Final = 4
IFLA_MASTER: Final = 10
_IFLA_LINK: Final = 5
_IFLA_LINKINFO: Final = 18
_IFLA_EXT_MASK: Final = 29
_IFLA_CARRIER_CHANGES: Final = 35
_IFLA_LINK_NETNSID: Final = 37
_IFLA_MIN_MTU: Final = 50
_IFLA_MAX_MTU: Final = 51
_IFLA_INFO_KIND: Final = 1
_IFLA_INFO_DATA: Final = 2
_IFLA_VXLAN_LINK: Final = 3
_RTEXT_FILTER_SKIP_STATS: Final = 8

_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2

_RTA_DST: Final = 1
_RTA_OIF: Final = 4
_RTA_GATEWAY: Final = 5
_RTA_PREFSRC: Final = 7
_RTA_METRICS: Final = 8
_RTA_MULTIPATH: Final = 9
_RTA_VIA: Final = 18
_RTAX_MTU: Final = 2
_RTN_UNICAST: Final = 1
_RTN_LOCAL: Final = 2
_RT_TABLE_MAIN: Final = 254
RTM_F_FIB_MATCH: Final = 0x2000

PAIRED_KINDS: Final = frozenset({"veth", "netkit"})
"""Kinds whose IFLA_LINK is the other end of a pair, not a link below."""

_PROTOCOLS: Final = {
    0: "",
    1: "redirect",
    2: "kernel",
    3: "boot",
    4: "static",
    9: "ra",
    11: "zebra",
    12: "bird",
    16: "dhcp",
    186: "bgp",
    188: "ospf",
}
UNSPECIFIED: Final = {
    socket.AF_INET: Address("0.0.0.0"),  # noqa: S104
    socket.AF_INET6: Address("::"),
}


def address_query() -> bytes:
    """Return the body that asks for every address of both families."""
    return _IFADDRMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0)


def main_table_query(family: int) -> bytes:
    """Return the body that asks for the main routing table of one family."""
    return _RTMSG.pack(family, 0, 0, 0, _RT_TABLE_MAIN, 0, 0, 0, 0)


def mtu_request(index: int, mtu_bytes: int) -> bytes:
    """Return the body that sets one link's MTU."""
    return IFINFOMSG.pack(socket.AF_UNSPEC, 0, index, 0, 0) + attribute(
        IFLA_MTU, _U32.pack(mtu_bytes)
    )


def decode_protocol(body: bytes) -> str:
    """Return who installed the route of one RTM_NEWROUTE body."""
    protocol: int = _RTMSG.unpack_from(body)[5]
    return _PROTOCOLS.get(protocol, str(protocol))


def decode_link(body: bytes) -> Link:
    """Return the link of one RTM_NEWLINK body."""
    _, device_type, index, flags, _ = IFINFOMSG.unpack_from(body)
    found = attributes(body, IFINFOMSG.size)
    information = attributes(found.get(_IFLA_LINKINFO, b""))
    kind = text(information.get(_IFLA_INFO_KIND, b""))
    is_elsewhere = _IFLA_LINK_NETNSID in found
    lower = 0 if is_elsewhere or kind in PAIRED_KINDS else number(found.get(_IFLA_LINK))
    if kind == "vxlan":  # names its lower link in its own data only
        lower = number(attributes(information.get(_IFLA_INFO_DATA, b"")).get(_IFLA_VXLAN_LINK))
    return Link(
        index=index,
        name=LinkName(text(found[IFLA_IFNAME])),
        kind=kind,
        device_type=device_type,
        mtu_bytes=number(found.get(IFLA_MTU)),
        min_mtu_bytes=number(found.get(_IFLA_MIN_MTU)),
        max_mtu_bytes=number(found.get(_IFLA_MAX_MTU)) or None,
        is_up=bool(flags & IFF_UP),
        lower_index=lower if lower not in (0, index) else None,
        master_index=number(found.get(IFLA_MASTER)) or None,
        peer_elsewhere=is_elsewhere,
        carrier_changes=number(found.get(_IFLA_CARRIER_CHANGES)),
    )


def decode_address(body: bytes) -> tuple[int, Address] | None:
    """
    Return (link index, address) of one RTM_NEWADDR body, None for another address family.

    IFA_LOCAL is the link's own address; on a point-to-point link IFA_ADDRESS is the peer's.
    """
    family, _, _, _, index = _IFADDRMSG.unpack_from(body)
    if family not in UNSPECIFIED:
        return None
    found = attributes(body, _IFADDRMSG.size)
    packed = found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS))
    return None if packed is None else (index, _address(family, packed))


def decode_routes(body: bytes, address: Address) -> tuple[Route, ...]:
    """
    Return the ways of one RTM_NEWROUTE body: one for each next hop, none where it goes nowhere.

    Local and unicast routes only: the others (unreachable, blackhole, multicast) lead nowhere.
    """
    header = _RTMSG.unpack_from(body)
    family, route_type = header[0], header[7]
    if route_type not in (_RTN_UNICAST, _RTN_LOCAL):
        return ()
    found = attributes(body, _RTMSG.size)
    source = found.get(_RTA_PREFSRC)
    metrics = attributes(found.get(_RTA_METRICS, b""))
    hops = _next_hops(found[_RTA_MULTIPATH]) if _RTA_MULTIPATH in found else [(0, found)]
    return tuple(
        Route(
            address=address,
            link_index=index or number(hop.get(_RTA_OIF)),
            gateway=_gateway(family, hop),
            source=None if source is None else _address(family, source),
            mtu_bytes=number(metrics.get(_RTAX_MTU)) or None,
            is_local=route_type == _RTN_LOCAL,
            protocol=decode_protocol(body),
        )
        for index, hop in hops
    )


def number(value: bytes | None) -> int:
    """Return an unsigned 32 bit attribute, 0 when it is absent."""
    return 0 if value is None else int(_U32.unpack(value)[0])


def text(value: bytes) -> str:
    """Return a NUL terminated attribute as text."""
    return value.rstrip(b"\0").decode("utf-8", "surrogateescape")


def link_query(index: int) -> bytes:
    """Return the body that asks for one link, or with 0 for all, without the counters."""
    return IFINFOMSG.pack(socket.AF_UNSPEC, 0, index, 0, 0) + attribute(
        _IFLA_EXT_MASK, _U32.pack(_RTEXT_FILTER_SKIP_STATS)
    )


def route_query(family: int, packed: bytes, flags: int) -> bytes:
    """Return the body that asks for the route to one address."""
    return _RTMSG.pack(family, len(packed) * 8, 0, 0, 0, 0, 0, 0, flags) + attribute(
        _RTA_DST, packed
    )


def is_default(body: bytes, family: int) -> bool:
    """Return whether this is a unicast route of the family to everywhere."""
    header = _RTMSG.unpack_from(body)
    return bool(header[0] == family and header[1] == 0 and header[7] == _RTN_UNICAST)


def _next_hops(value: bytes) -> list[tuple[int, dict[int, bytes]]]:
    """Return (link index, attributes) of each next hop of an RTA_MULTIPATH."""
    hops = []
    offset = 0
    while offset + _RTNEXTHOP.size <= len(value):
        length, _, _, index = _RTNEXTHOP.unpack_from(value, offset)
        if length < _RTNEXTHOP.size:
            break
        hops.append((index, attributes(value[: offset + length], offset + _RTNEXTHOP.size)))
        offset += length + 3 & ~3
    return hops


def _gateway(family: int, found: dict[int, bytes]) -> Address | None:
    """Return the next router; RTA_VIA carries one of the other family (RFC 5549)."""
    if _RTA_GATEWAY in found:
        return _address(family, found[_RTA_GATEWAY])
    via = found.get(_RTA_VIA)
    if via is None:
        return None
    (via_family,) = struct.unpack_from("=H", via)
    return _address(via_family, via[2:]) if via_family in UNSPECIFIED else None


def _address(family: int, packed: bytes) -> Address:
    """Return an address in its canonical text form."""
    return Address(socket.inet_ntop(family, packed))


def packed(address: Address) -> tuple[int, bytes]:
    """Return (family, packed form); empty for what is no address (a zone, a name)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return family, socket.inet_pton(family, address)
    except OSError:
        return family, b""
