"""The host's edge against the real kernel, with pyroute2 as the second opinion."""

import errno
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from agent.host.linux import LinuxHost
from agent.host.paths import HostPaths
from agent.ports import HostError
from agent.state import (
    Address,
    HostState,
    Link,
    LinkMtuChange,
    LinkName,
    SysctlChange,
    SysctlKey,
)
from tests.netns.inside import Namespace, inside, namespace

pytestmark = pytest.mark.lab

TCP_RMEM = SysctlKey("net.ipv4.tcp_rmem")
RMEM_MAX = SysctlKey("net.core.rmem_max")
KEYS = (TCP_RMEM, RMEM_MAX, SysctlKey("net.ipv4.no_such_setting"))
FAR = Address("10.99.0.1")


@pytest.fixture
def here() -> Iterator[Namespace]:
    """Be in a namespace with eth0 (10.9.0.2/24, fd09::2/64), whose other end is elsewhere."""
    with namespace() as ours, namespace() as other:
        ours.ip(f"link add eth0 type veth peer name eth0 netns {other.name}")
        ours.ip("addr add 10.9.0.2/24 dev eth0")
        ours.ip("addr add fd09::2/64 dev eth0 nodad")
        ours.ip("link set eth0 up")
        other.ip("link set eth0 up")
        with inside(ours):
            yield ours


@pytest.fixture
def host() -> LinuxHost:
    """Return the host under test."""
    return LinuxHost(HostPaths(), KEYS)


def named(state: HostState, name: str) -> Link:
    """Return a link that must be there."""
    link = state.named(LinkName(name))
    assert link is not None
    return link


def mtu_change(link: Link, after_bytes: int) -> LinkMtuChange:
    """Return a change of a link's MTU."""
    return LinkMtuChange(link.name, link.index, link.mtu_bytes, after_bytes, "test")


def rmem_change(after: str) -> SysctlChange:
    """Return a change of tcp_rmem."""
    return SysctlChange(TCP_RMEM, "", after, "test")


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


def test_links_with_an_rdma_device_are_told(here: Namespace, tmp_path: Path) -> None:
    """By the folder of the RDMA device, where there is one."""
    (tmp_path / "mlx5_0" / "device" / "net" / "eth0").mkdir(parents=True)
    (tmp_path / "mlx5_1" / "device").mkdir(parents=True)
    state = LinuxHost(HostPaths(sys_class_infiniband=str(tmp_path)), ()).observe([])
    assert (named(state, "eth0").has_rdma, named(state, "lo").has_rdma) == (True, False)


def test_an_mtu_is_set(here: Namespace, host: LinuxHost) -> None:
    """The next snapshot shows it."""
    host.apply(mtu_change(named(host.observe([]), "eth0"), 9000))
    assert named(host.observe([]), "eth0").mtu_bytes == 9000


def refuse(host: LinuxHost, change: LinkMtuChange | SysctlChange) -> HostError:
    """Apply a change that must be refused."""
    with pytest.raises(HostError) as caught:
        host.apply(change)
    assert caught.value.target == change.target
    return caught.value


def test_above_the_maximum_the_kernel_says_so(here: Namespace, host: LinuxHost) -> None:
    """In its own words; nothing changes."""
    error = refuse(host, mtu_change(named(host.observe([]), "eth0"), 70000))
    assert (error.errno, error.detail) == (errno.EINVAL, "mtu greater than device maximum")
    assert named(host.observe([]), "eth0").mtu_bytes == 1500


@pytest.mark.parametrize(("kind", "code"), [("macvlan", errno.EINVAL), ("vlan", errno.ERANGE)])
def test_above_the_link_below_is_refused(
    here: Namespace, host: LinuxHost, kind: str, code: int
) -> None:
    """Each kind with its own errno, and no words."""
    if not here.can_make(f"link add x0 link eth0 type {kind}{' id 5' * (kind == 'vlan')}"):
        pytest.skip(f"this kernel has no {kind}")
    assert refuse(host, mtu_change(named(host.observe([]), "x0"), 9000)).errno == code


def test_a_link_that_vanished_is_refused(here: Namespace, host: LinuxHost) -> None:
    """ENODEV."""
    link = named(host.observe([]), "eth0")
    here.ip("link del eth0")
    error = refuse(host, mtu_change(link, 9000))
    assert (error.errno, "vanished or was re-created" in error.detail) == (errno.ENODEV, True)


def test_a_link_re_created_under_the_same_name_is_left_alone(
    here: Namespace, host: LinuxHost
) -> None:
    """Another index is another link; so is another name under the same index."""
    link = named(host.observe([]), "eth0")
    here.ip("link del eth0")
    here.ip("link add eth0 type veth peer name eth1")
    assert refuse(host, mtu_change(link, 9000)).errno == errno.ENODEV
    renamed = replace(named(host.observe([]), "eth1"), name=LinkName("eth7"))
    assert refuse(host, mtu_change(renamed, 9000)).errno == errno.ENODEV
    assert {named(host.observe([]), name).mtu_bytes for name in ("eth0", "eth1")} == {1500}


def test_without_the_capability_it_is_refused(here: Namespace, host: LinuxHost) -> None:
    """EPERM without CAP_NET_ADMIN, and observing still works."""
    program = (
        "from agent.host.linux import *\n"
        "host = LinuxHost(HostPaths(), ())\n"
        "link = next(link for link in host.observe([]).links if link.name == 'eth0')\n"
        "try: host.apply(LinkMtuChange(link.name, link.index, 1500, 9000, 'test'))\n"
        "except HostError as error: print(error.errno, error.detail)\n"
    )
    done = subprocess.run(
        ["setpriv", "--bounding-set=-net_admin", sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == "1 Operation not permitted\n"


def test_a_setting_is_written(here: Namespace, host: LinuxHost) -> None:
    """And read back with single spaces, whatever the white space of the request."""
    host.apply(rmem_change("4096  131072\t16777216"))
    assert host.observe([]).sysctls[TCP_RMEM].value == "4096 131072 16777216"


def test_a_partly_applied_vector_is_told(here: Namespace, host: LinuxHost) -> None:
    """The kernel keeps the fields before the bad one."""
    error = refuse(host, rmem_change("4096 87380 3000000000"))
    now = host.observe([]).sysctls[TCP_RMEM].value
    assert error.errno == errno.EINVAL
    assert error.detail == f"Invalid argument; partly applied, it is now {now!r}"
    assert now.startswith("4096 87380 ")


def test_one_number_for_a_vector_is_told(here: Namespace, host: LinuxHost) -> None:
    """The kernel takes it for the first field and says nothing."""
    assert "it is now '8192 " in refuse(host, rmem_change("8192")).detail


def test_a_child_namespace_cannot_write_rmem_max(here: Namespace, host: LinuxHost) -> None:
    """It is there since 6.11, read-only, and known to be so before anybody tries."""
    setting = host.observe([]).sysctls.get(RMEM_MAX)
    if setting is None:
        pytest.skip("this kernel hides rmem_max from a child namespace")
    assert not setting.is_writable
    change = SysctlChange(RMEM_MAX, setting.value, "16777216", "test")
    assert refuse(host, change).errno in (errno.EACCES, errno.EPERM, errno.EINVAL)


def test_an_absent_setting_cannot_be_written(here: Namespace, host: LinuxHost) -> None:
    """ENOENT."""
    change = SysctlChange(SysctlKey("net.ipv4.tcp_mem"), "", "1 2 3", "test")
    assert refuse(host, change).errno == errno.ENOENT


def test_a_bad_key_is_refused_at_once() -> None:
    """Before anything is observed."""
    with pytest.raises(HostError):
        LinuxHost(HostPaths(), [SysctlKey("kernel.panic")])
