"""Links, addresses and routes as a real kernel told them (tests/data/rtnetlink)."""

import pytest

from agent.host.rtmessages import (
    decode_address,
    decode_link,
    decode_protocol,
    decode_routes,
    is_default,
    packed,
)
from agent.state import ARPHRD_ETHER, ARPHRD_LOOPBACK, Address, Link, LinkName, Route
from tests.unit.agent.host.recordings import bodies

ETH0, PAIR1, PAIR0, BR0 = 2, 3, 4, 5
SOMEWHERE = Address("10.99.0.1")


def link(name: str) -> Link:
    """Return one recorded link."""
    return next(found for found in map(decode_link, bodies("links")) if found.name == name)


def test_every_link_is_decoded() -> None:
    """Names and kinds are the kernel's own."""
    assert [(found.name, found.kind) for found in map(decode_link, bodies("links"))] == [
        ("lo", ""),
        ("eth0", "veth"),
        ("pair1", "veth"),
        ("pair0", "veth"),
        ("br0", "bridge"),
        ("mac0", "macvlan"),
        ("vx0", "vxlan"),
        ("tap0", "tun"),
    ]


def test_a_link_has_its_limits() -> None:
    """MTU, minimum, maximum, device type and state come from the link message."""
    assert link("eth0") == Link(
        index=ETH0,
        name=LinkName("eth0"),
        kind="veth",
        device_type=ARPHRD_ETHER,
        mtu_bytes=1500,
        min_mtu_bytes=68,
        max_mtu_bytes=65535,
        is_up=True,
        peer_elsewhere=True,
        carrier_changes=2,
    )


def test_a_maximum_of_zero_is_no_maximum() -> None:
    """The loopback says 0, which must not be read as a limit."""
    assert (link("lo").max_mtu_bytes, link("lo").device_type) == (None, ARPHRD_LOOPBACK)


def test_a_down_link_is_down() -> None:
    """IFF_UP decides, not the carrier."""
    assert not link("br0").is_up


def test_the_other_end_of_a_pair_is_not_below() -> None:
    """Both ends of a veth name each other; a lower link that way would be a circle."""
    assert (link("pair0").lower_index, link("pair1").lower_index) == (None, None)
    assert not link("pair0").peer_elsewhere


def test_a_bridge_port_names_its_bridge() -> None:
    """IFLA_MASTER is the bridge or bond."""
    assert (link("pair1").master_index, link("pair0").master_index) == (BR0, None)


@pytest.mark.parametrize("name", ["mac0", "vx0"])
def test_a_stacked_link_names_the_one_below(name: str) -> None:
    """A macvlan does in IFLA_LINK, a vxlan only in its own data."""
    assert link(name).lower_index == ETH0


def test_addresses_of_both_families_are_decoded() -> None:
    """On a point-to-point link the address is ours, not the peer's."""
    found = [decode_address(body) for body in bodies("addresses")]
    assert (ETH0, "10.9.0.2") in found
    assert (ETH0, "fd09::2") in found
    assert (PAIR0, "10.9.1.1") in found
    assert (PAIR0, "10.9.1.2") not in found


def test_an_address_of_another_family_is_none() -> None:
    """Only IPv4 and IPv6 count."""
    assert decode_address(bytes([28, 0, 0, 0, 1, 0, 0, 0])) is None


@pytest.mark.parametrize(
    ("recording", "expected"),
    [
        ("gateway", Route(SOMEWHERE, ETH0, Address("10.9.0.1"), Address("10.9.0.2"))),
        ("onlink", Route(SOMEWHERE, ETH0, None, Address("10.9.0.2"))),
        ("local", Route(SOMEWHERE, 1, None, Address("10.9.0.2"), is_local=True)),
        ("mtu", Route(SOMEWHERE, ETH0, Address("10.9.0.1"), Address("10.9.0.2"), 1400)),
        ("via", Route(SOMEWHERE, ETH0, Address("fd09::1"), Address("10.9.0.2"))),
        (
            "v6",
            Route(SOMEWHERE, ETH0, Address("fd09::1"), Address("fd09::2"), protocol="static"),
        ),
    ],
)
def test_a_route_is_decoded(recording: str, expected: Route) -> None:
    """Link, gateway, source, path MTU and local come from the resolved route."""
    (body,) = bodies(f"route-{recording}")
    assert decode_routes(body, SOMEWHERE) == (expected,)


def test_a_multipath_route_has_a_way_for_each_next_hop() -> None:
    """Each next hop has its own link and gateway."""
    (body,) = bodies("route-multipath-entry")
    assert [(way.link_index, way.gateway) for way in decode_routes(body, SOMEWHERE)] == [
        (ETH0, "10.9.0.1"),
        (PAIR0, "10.9.1.2"),
    ]
    assert decode_protocol(body) == "boot"


def test_a_route_that_leads_nowhere_has_no_way() -> None:
    """Unreachable and blackhole entries of the table are left out."""
    nowhere = [body for body in bodies("main-table-v4") if body[7] not in (1, 2)]
    assert len(nowhere) == 2
    assert [decode_routes(body, SOMEWHERE) for body in nowhere] == [(), ()]


@pytest.mark.parametrize(("recording", "family"), [("main-table-v4", 2), ("main-table-v6", 10)])
def test_default_routes_are_told_from_the_others(recording: str, family: int) -> None:
    """One in each recorded table, and none of another family."""
    assert [is_default(body, family) for body in bodies(recording)].count(True) == 1
    assert not any(is_default(body, 99) for body in bodies(recording))


def test_what_is_no_address_packs_to_nothing() -> None:
    """A zone, a name or an empty text asks the kernel nothing."""
    texts = ("fe80::1%eth0", "server", "", "10.0.0.1")
    assert [bool(packed(Address(text))[1]) for text in texts] == [False, False, False, True]
