"""Which links carry storage, which are never touched, and what they stand on."""

from dataclasses import replace

import pytest

from agent.links import LinkPolicy, choose, is_pod_link, matches, reason_to_leave, stack
from agent.state import ARPHRD_INFINIBAND, Address, Endpoint, HostState, LinkName, Reason, Severity
from tests.fakes import FakeHost

SERVER = Address("10.1.0.10")
ENDPOINT = Endpoint("nfs", SERVER, 2049, "configuration")


def see(host: FakeHost) -> HostState:
    """Return the host's state with the route to the server."""
    return host.observe([SERVER, Address("10.2.0.10")])


def over(name: str, **details: object) -> FakeHost:
    """Return a host whose storage is routed over a link of this name."""
    host = FakeHost()
    host.add(name, **{"addresses": ("10.1.0.5",), **details})  # type: ignore[arg-type]
    host.route(SERVER, name)
    return host


def chosen(host: FakeHost, *include: str, exclude: tuple[str, ...] = ()) -> set[str]:
    """Return the links that are tuned for the one endpoint under these patterns."""
    return set(choose(see(host), (ENDPOINT,), LinkPolicy(include, exclude)).links)


def test_the_route_decides() -> None:
    """The link is the kernel's answer, whatever the links are called."""
    host = over("weird7")
    host.add("storage0", addresses=("10.2.0.5",))
    choice = choose(see(host), (ENDPOINT,), LinkPolicy())
    assert choice.links == {"weird7": (ENDPOINT,)}
    assert [(left.target, left.why) for left in choice.left_alone] == [
        ("link/storage0/mtu", "no storage endpoint is routed over it")
    ]


def test_several_endpoints_on_several_links() -> None:
    """Each link knows the endpoints that it carries."""
    host = over("eth1")
    host.add("eth2", addresses=("10.2.0.5",))
    host.route("10.2.0.10", "eth2")
    other = Endpoint("nfs2", Address("10.2.0.10"), 2049, "configuration")
    twin = Endpoint("nfs", SERVER, 20049, "configuration")
    choice = choose(see(host), (ENDPOINT, other, twin), LinkPolicy())
    assert choice.links == {"eth1": (ENDPOINT, twin), "eth2": (other,)}


@pytest.mark.parametrize("address", ["8.8.8.8", "2a00:1450:4001::1"])
def test_a_public_link_is_left_alone_unless_named(address: str) -> None:
    """A link that strangers reach is tuned only when a person says its name."""
    host = over("eth0", addresses=("10.1.0.5", address))
    choice = choose(see(host), (ENDPOINT,), LinkPolicy())
    assert choice.links == {}
    assert [(f.reason, f.severity) for f in choice.findings] == [
        (Reason.LINK_NOT_ELIGIBLE, Severity.DEGRADED)
    ]
    assert address in choice.findings[0].message
    assert chosen(host, "eth0") == {"eth0"}


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "fe80::1"])
def test_an_inside_address_is_not_public(address: str) -> None:
    """Private, shared (RFC 6598), unique local and link-local addresses are inside."""
    assert chosen(over("eth0", addresses=("10.1.0.5", address))) == {"eth0"}


@pytest.mark.parametrize(
    ("name", "details", "why"),
    [
        ("ib0", {}, "RDMA fabric"),
        ("port0", {"device_type": ARPHRD_INFINIBAND}, "RDMA fabric"),
        ("fabric0", {}, "RDMA fabric"),
        ("cali12345", {}, "belongs to the container network"),
        ("cni0", {"kind": "bridge"}, "belongs to the container network"),
        ("docker0", {"kind": "bridge"}, "belongs to the container network"),
        ("br-0123456789ab", {"kind": "bridge"}, "belongs to the container network"),
        ("veth1234", {"kind": "veth", "addresses": ("fe80::1",)}, "a pod's veth"),
        ("vx1", {"kind": "vxlan"}, "an overlay: its MTU follows its underlay"),
        ("wg0", {"kind": "wireguard"}, "an overlay: its MTU follows its underlay"),
        ("lo", {"device_type": 772}, "loopback"),
    ],
)
def test_some_links_are_never_tuned(name: str, details: dict[str, object], why: str) -> None:
    """RDMA, container and overlay links stay as they are even by name."""
    host = over(name, **details)
    assert chosen(host) == set()
    assert chosen(host, name) == set()
    link = host.named(name)
    assert reason_to_leave(link, see(host), LinkPolicy((name,))) == why


def test_a_veth_with_the_nodes_address_is_a_link() -> None:
    """In kind or a network namespace, eth0 is a veth."""
    host = over("eth0", kind="veth", peer_elsewhere=True)
    assert chosen(host) == {"eth0"}
    assert not is_pod_link(host.named("eth0"))


@pytest.mark.parametrize("kind", ["vlan", "bond"])
def test_a_bare_veth_below_a_link_of_the_node_is_the_nodes(kind: str) -> None:
    """A vlan or bond of the node makes what it stands on the node's own."""
    host = FakeHost()
    if kind == "bond":
        host.add("top", kind=kind, addresses=("10.1.0.5",))
        host.add("eth1", kind="veth", master="top")
    else:
        host.add("eth1", kind="veth")
        host.add("top", kind=kind, on="eth1", addresses=("10.1.0.5",))
    host.route(SERVER, "top")
    assert chosen(host) == {"top"}
    assert [link.name for link in stack(host.named("top"), see(host))] == ["eth1", "top"]


def test_a_bridge_with_a_real_port_is_tuned_with_it() -> None:
    """Pods on the same bridge do not hold it, and are not touched."""
    host = over("br0", kind="bridge")
    host.add("eth1", master="br0")
    host.add("veth9", kind="veth", master="br0")
    assert chosen(host) == {"br0"}
    assert [link.name for link in stack(host.named("br0"), see(host))] == ["eth1", "br0"]


def test_a_bridge_of_pods_only_is_left_alone() -> None:
    """It is a container network under another name."""
    host = over("mynet", kind="bridge")
    host.add("veth9", kind="veth", master="mynet")
    assert chosen(host, "mynet") == set()


def test_a_whole_stack_is_found_the_lowest_first() -> None:
    """A vlan on a bond on two NICs: each once, lowers before uppers."""
    host = FakeHost()
    host.add("vlan7", kind="vlan", addresses=("10.1.0.5",))
    host.add("bond0", kind="bond")
    host.add("eth1", master="bond0")
    host.add("eth2", master="bond0")
    host.links[1] = replace(host.links[1], lower_index=host.named("bond0").index)
    host.route(SERVER, "vlan7")
    names = [link.name for link in stack(host.named("vlan7"), see(host))]
    assert names == ["eth1", "eth2", "bond0", "vlan7"]
    assert choose(see(host), (ENDPOINT,), LinkPolicy()).left_alone == ()


def test_a_ring_of_links_ends() -> None:
    """Whatever the kernel shows, looking down comes to an end."""
    host = FakeHost()
    host.add("a", kind="vlan", lower_index=2)
    host.add("b", kind="vlan", lower_index=1)
    assert {link.name for link in stack(host.named("a"), see(host))} == {"a", "b"}


def test_a_lower_link_of_another_namespace_is_no_layer() -> None:
    """What cannot be seen is not stood on."""
    host = over("eth1", kind="macvlan", peer_elsewhere=True)
    assert [link.name for link in stack(host.named("eth1"), see(host))] == ["eth1"]
    gone = over("vlan1", kind="vlan", lower_index=77)
    assert [link.name for link in stack(gone.named("vlan1"), see(gone))] == ["vlan1"]


@pytest.mark.parametrize(
    ("patterns", "hit"),
    [
        (("eth1",), "eth1"),
        (("eth*",), "eth*"),
        (("ETH1",), None),
        (("eth",), None),
        (("10.1.0.0/16",), "10.1.0.0/16"),
        (("10.1.0.5/24",), "10.1.0.5/24"),
        (("fd00::/8",), None),
        (("10.2.0.0/16", "e?h1"), "e?h1"),
        ((), None),
    ],
)
def test_patterns_are_globs_or_networks(patterns: tuple[str, ...], hit: str | None) -> None:
    """A slash makes a pattern a network, held against the link's addresses."""
    assert matches(over("eth1").named("eth1"), patterns) == hit


def test_include_narrows_and_widens() -> None:
    """With patterns, only what they name is tuned, routed or not."""
    host = over("eth1")
    host.add("eth2", addresses=("10.2.0.5",))
    assert chosen(host, "eth2") == {"eth2"}
    assert chosen(host, "10.0.0.0/8") == {"eth1", "eth2"}
    findings = choose(see(host), (ENDPOINT,), LinkPolicy(("eth2",))).findings
    assert [finding.reason for finding in findings] == [Reason.LINK_NOT_ELIGIBLE]


def test_exclude_wins() -> None:
    """What a person keeps us off is kept off, also below a link that they named."""
    host = over("eth1")
    host.add("vlan7", kind="vlan", on="eth1")
    assert chosen(host, exclude=("eth1",)) == set()
    assert chosen(host, "eth1", "vlan7", exclude=("eth1",)) == set()
    link = host.named("vlan7")
    why = reason_to_leave(link, see(host), LinkPolicy(("vlan7",), ("eth1",)))
    assert why == "stands on eth1: excluded by links.exclude (eth1)"


def test_a_public_parent_is_not_raised_for_its_vlan() -> None:
    """The vlan would take the parent along: the parent must be named as well."""
    host = FakeHost()
    host.add("eth0", addresses=("8.8.8.8",))
    host.add("vlan7", kind="vlan", on="eth0", addresses=("10.1.0.5",))
    host.route(SERVER, "vlan7")
    assert chosen(host) == set()
    assert chosen(host, "vlan7") == set()
    assert chosen(host, "vlan7", "eth0") == {"vlan7", "eth0"}


def test_a_member_is_tuned_with_its_bond_only() -> None:
    """The kernel gives members the bond's MTU, so a member by itself means nothing."""
    host = over("bond0", kind="bond")
    host.add("eth1", master="bond0")
    assert chosen(host, "eth1") == set()
    assert chosen(host, "eth1", "bond0") == {"bond0"}
    why = reason_to_leave(host.named("eth1"), see(host), LinkPolicy(("eth1",)))
    assert why == "belongs to bond0 and is tuned with it"


def test_a_link_in_a_vrf_is_a_link() -> None:
    """A VRF is a master that says nothing of MTUs."""
    host = FakeHost()
    host.add("red", kind="vrf")
    host.add("eth1", master="red", addresses=("10.1.0.5",))
    host.route(SERVER, "eth1")
    assert chosen(host) == {"eth1"}


def test_no_route_is_pending_and_local_is_nothing() -> None:
    """A route may come; a server on this very node needs no link."""
    host = FakeHost()
    findings = choose(see(host), (ENDPOINT,), LinkPolicy()).findings
    assert [(f.reason, f.severity) for f in findings] == [
        (Reason.ENDPOINT_UNROUTED, Severity.PENDING)
    ]
    host.add("lo", device_type=772)
    host.route(SERVER, "lo", is_local=True)
    assert choose(see(host), (ENDPOINT,), LinkPolicy()).findings == ()


def test_state_finds_links_by_index_and_name() -> None:
    """What is not there is None."""
    state = see(over("eth1"))
    assert state.link(1) == state.named(LinkName("eth1"))
    assert state.link(2) is None
    assert state.named(LinkName("eth2")) is None
