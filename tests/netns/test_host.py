"""The host's edge against the real kernel, with pyroute2 as the second opinion."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from agent.host.linux import LinuxHost
from agent.host.paths import HostPaths
from agent.state import (
    Address,
    Link,
    SysctlKey,
)
from tests.netns.inside import RMEM_MAX, TCP_RMEM, Namespace, inside, named, namespace

pytestmark = pytest.mark.lab

FAR = Address("10.99.0.1")


def oracle_links() -> dict[int, Mapping[str, Any]]:
    """Return what pyroute2 says of every link."""
    with IPRoute() as route:
        return {link["index"]: link for link in route.get_links()}


def assert_same(link: Link, oracle: Any) -> None:  # noqa: ANN401 (pyroute2 has no types)
    """Compare a link with pyroute2's."""
    information = oracle.get_attr("IFLA_LINKINFO")
    assert link.name == oracle.get_attr("IFLA_IFNAME")
    assert link.kind == (information.get_attr("IFLA_INFO_KIND") if information else "")
    assert link.device_type == oracle["ifi_type"]
    assert link.mtu_bytes == oracle.get_attr("IFLA_MTU")
    assert link.min_mtu_bytes == oracle.get_attr("IFLA_MIN_MTU")
    assert link.max_mtu_bytes == (oracle.get_attr("IFLA_MAX_MTU") or None)
    assert link.is_up == bool(oracle["flags"] & 1)
    assert link.master_index == oracle.get_attr("IFLA_MASTER")
    assert link.carrier_changes == oracle.get_attr("IFLA_CARRIER_CHANGES")
    assert link.peer_elsewhere == (oracle.get_attr("IFLA_LINK_NETNSID") is not None)
    if link.lower_index is not None and link.kind != "vxlan":
        assert link.lower_index == oracle.get_attr("IFLA_LINK")


@pytest.mark.parametrize(
    ("make", "kind", "is_stacked"),
    [
        ("link add x0 type veth peer name x1", "veth", False),
        ("link add x0 link eth0 type vlan id 5", "vlan", True),
        ("link add x0 link eth0 type macvlan", "macvlan", True),
        ("link add x0 link eth0 type ipvlan", "ipvlan", True),
        ("link add x0 type vxlan id 7 dev eth0 dstport 4789", "vxlan", True),
        ("link add x0 type vxlan id 7 local 10.9.0.2 dstport 4789", "vxlan", False),
        ("link add x0 type bridge", "bridge", False),
        ("link add x0 type bond", "bond", False),
        ("link add x0 type dummy", "dummy", False),
        ("link add x0 type ifb", "ifb", False),
        ("link add x0 type vrf table 9", "vrf", False),
        ("tuntap add dev x0 mode tap", "tun", False),
    ],
    ids=lambda value: value.split()[-1] if isinstance(value, str) else "",
)
def test_every_kind_of_link_is_seen_as_pyroute2_sees_it(
    here: Namespace, host: LinuxHost, make: str, kind: str, *, is_stacked: bool
) -> None:
    """Each field equals the oracle's; a stacked link names eth0 as the one below."""
    if not here.can_make(make):
        pytest.skip(f"this kernel has no {kind}")
    state = host.observe([])
    oracle = oracle_links()
    assert {link.index for link in state.links} == set(oracle)
    for link in state.links:
        assert_same(link, oracle[link.index])
    made = named(state, "x0")
    assert made.kind == kind
    assert made.lower_index == (named(state, "eth0").index if is_stacked else None)


def test_a_link_that_went_away_and_came_back_says_so(here: Namespace, host: LinuxHost) -> None:
    """All else is as before: its other end was down for a moment."""
    here.ip("link add x0 type veth peer name x1")
    here.ip("link set x0 up")
    here.ip("link set x1 up")
    before = named(host.observe([]), "x0")
    here.ip("link set x1 down")
    here.ip("link set x1 up")
    after = named(host.observe([]), "x0")
    assert after.carrier_changes > before.carrier_changes
    assert replace(after, carrier_changes=before.carrier_changes) == before


def test_a_bridge_port_names_its_bridge(here: Namespace, host: LinuxHost) -> None:
    """The master's index is the bridge's."""
    here.ip("link add br0 type bridge")
    here.ip("link set eth0 master br0")
    state = host.observe([])
    assert named(state, "eth0").master_index == named(state, "br0").index


def test_addresses_are_on_their_link(here: Namespace, host: LinuxHost) -> None:
    """Both families, and the loopback's."""
    state = host.observe([])
    assert {"10.9.0.2", "fd09::2"} <= set(named(state, "eth0").addresses)
    assert named(state, "lo").addresses == ("127.0.0.1", "::1")
    assert named(state, "eth0").peer_elsewhere


def test_five_hundred_links_come_in_one_snapshot(here: Namespace, host: LinuxHost) -> None:
    """A dump of many datagrams is whole."""
    here.ip_batch([f"link add br{number} type bridge" for number in range(500)])
    assert len(host.observe([]).links) == 502


@pytest.mark.parametrize(
    ("route", "address"),
    [
        ("route add default via 10.9.0.1", "10.99.0.1"),
        ("route add 10.99.0.0/16 via 10.9.0.1 mtu 1400 proto static", "10.99.0.1"),
        ("route add 10.99.0.0/16 nexthop via 10.9.0.1 nexthop via 10.9.0.3", "10.99.0.1"),
        ("route add 10.99.0.0/16 via inet6 fd09::1 dev eth0", "10.99.0.1"),
        ("route show", "10.9.0.9"),
        ("-6 route add fd99::/16 via fd09::1 proto bgp", "fd99::1"),
        ("-6 route add fd99::/16 via fd09::1 mtu 1280", "fd99::1"),
        (
            "-6 route add fd99::/16 nexthop via fd09::1 dev eth0 nexthop via fd09::3 dev eth0",
            "fd99::1",
        ),
        ("route show", "fd09::9"),
    ],
)
def test_a_route_is_the_one_that_pyroute2_gets(
    here: Namespace, host: LinuxHost, route: str, address: str
) -> None:
    """Link, gateway, source and path MTU equal the oracle's."""
    here.ip(route)
    ours = host.observe([Address(address)]).routes[Address(address)]
    with IPRoute() as oracle:
        (theirs,) = oracle.route("get", dst=address)
    metrics = theirs.get_attr("RTA_METRICS")
    via = theirs.get_attr("RTA_VIA")
    assert ours.link_index == theirs.get_attr("RTA_OIF")
    if "nexthop" not in route:  # the kernel is free to choose another one for each question
        assert ours.gateway == (via["addr"] if via else theirs.get_attr("RTA_GATEWAY"))
    assert ours.source == theirs.get_attr("RTA_PREFSRC")
    assert ours.mtu_bytes == (metrics.get_attr("RTAX_MTU") if metrics else None)
    assert not ours.is_local


@pytest.mark.parametrize(
    ("route", "address", "protocol"),
    [
        ("route add default via 10.9.0.1 proto dhcp", "10.99.0.1", "dhcp"),
        ("route add default via 10.9.0.1", "10.99.0.1", "boot"),
        ("-6 route add default via fd09::1 proto ra", "fd99::1", "ra"),
        ("route add default via 10.9.0.1 proto 77", "10.99.0.1", "77"),
        ("route show", "10.9.0.9", "kernel"),
    ],
)
def test_a_route_names_who_installed_it(
    here: Namespace, host: LinuxHost, route: str, address: str, protocol: str
) -> None:
    """The IPv4 answer hides it, the table entry does not."""
    here.ip(route)
    assert host.observe([Address(address)]).routes[Address(address)].protocol == protocol


@pytest.mark.parametrize("address", ["10.9.0.2", "127.0.0.1", "fd09::2", "::1"])
def test_the_nodes_own_address_is_local(here: Namespace, host: LinuxHost, address: str) -> None:
    """A server on the node itself needs no link."""
    assert host.observe([Address(address)]).routes[Address(address)].is_local


@pytest.mark.parametrize(
    "route",
    [
        "route show",
        "route add unreachable 10.99.0.0/16",
        "route add prohibit 10.99.0.0/16",
        "route add blackhole 10.99.0.0/16",
        "-6 route add unreachable fd99::/16",
        "-6 route add blackhole fd99::/16",
    ],
)
def test_an_address_without_a_route_is_absent(here: Namespace, host: LinuxHost, route: str) -> None:
    """Whatever way the kernel says no."""
    here.ip(route)
    asked = [FAR, Address("fd99::1"), Address("not-an-address"), Address("fe80::1%eth0")]
    assert host.observe(asked).routes == {}


def test_default_routes_of_both_families_are_seen(here: Namespace, host: LinuxHost) -> None:
    """One for each next hop; other routes are not defaults."""
    here.ip("route add default nexthop via 10.9.0.1 nexthop via 10.9.0.3")
    here.ip("route add 10.99.0.0/16 via 10.9.0.1")
    here.ip("-6 route add default via fd09::1 metric 5")
    here.ip("-6 route add unreachable default metric 9")
    found = host.observe([]).default_routes
    assert [(route.address, route.gateway) for route in found] == [
        ("0.0.0.0", "10.9.0.1"),
        ("0.0.0.0", "10.9.0.3"),
        ("::", "fd09::1"),
    ]


def test_a_fresh_namespace_can_be_observed(host: LinuxHost) -> None:
    """Without any route the main table does not even exist."""
    with namespace() as empty, inside(empty):
        state = host.observe([FAR])
    assert (len(state.links), state.default_routes, state.routes) == (1, (), {})


def test_the_rest_of_the_snapshot_is_filled(here: Namespace, host: LinuxHost) -> None:
    """Boot ID, memory and settings; tcp_mem is not in a child namespace."""
    state = host.observe([])
    assert len(state.boot_id) == 36
    assert state.memory_bytes > 1 << 28
    assert state.tcp_memory is None
    assert set(state.sysctls) == {TCP_RMEM, RMEM_MAX}
    assert state.problems == ()


def test_tcp_memory_is_read_where_it_is(host: LinuxHost, tmp_path: Path) -> None:
    """The pages in use from sockstat, the pressure threshold from tcp_mem."""
    (tmp_path / "ipv4").mkdir()
    (tmp_path / "ipv4" / "tcp_mem").write_text("100\t200\t300\n")
    (tmp_path / "sockstat").write_text("sockets: used 9\nTCP: inuse 5 orphan 0 alloc 6 mem 42\n")
    paths = HostPaths(proc_sys_net=str(tmp_path), sockstat=str(tmp_path / "sockstat"))
    memory = LinuxHost(paths, ()).observe([]).tcp_memory
    assert memory is not None
    assert (memory.used_pages, memory.pressure_pages) == (42, 200)


def test_what_cannot_be_read_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    """Each missing or damaged file is one sentence."""
    (tmp_path / "meminfo").write_text("nonsense\n")
    paths = HostPaths(
        mountinfo=str(tmp_path / "mountinfo"),
        boot_id=str(tmp_path),
        meminfo=str(tmp_path / "meminfo"),
    )
    state = LinuxHost(paths, [SysctlKey("net.ipv4.route.flush")]).observe([])
    assert state.problems == (
        f"cannot read {tmp_path}/mountinfo: No such file or directory",
        "cannot read a file: Is a directory",
        "cannot read sysctl/net.ipv4.route.flush: Permission denied",
        "cannot make sense of what the kernel says: no line starts with MemTotal:",
    )
    assert (state.mounts, state.boot_id, state.memory_bytes) == ((), "", 0)
