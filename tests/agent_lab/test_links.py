"""Which links are tuned: by route, by pattern, through stacks, up to their own limits."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.agent_lab.node_commands import AGENT, AgentNode
from tests.agent_lab.on_node import answer, on_node, reasons, servers
from tests.lab import links
from tests.lab.lab import Lab
from tests.lab.links import LinkKindError
from tests.lab.world import NFS2_ADDRESS, NFS_ADDRESS

pytestmark = pytest.mark.lab
STORAGE = servers(NFS_ADDRESS)


@pytest.fixture
def node(nfs_world: Lab, tmp_path: Path) -> Iterator[AgentNode]:
    """Give the GPU node."""
    with on_node(nfs_world, "gpu-0", tmp_path) as made:
        yield made


@contextmanager
def added(node: AgentNode, *names: str) -> Iterator[None]:
    """Delete these links of the node after the block; a kind that the kernel lacks skips."""
    try:
        yield
    except LinkKindError as error:
        pytest.skip(str(error))
    finally:
        for name in names:
            node.namespace.run(["ip", "link", "del", name], check=False)


@contextmanager
def second_storage_link(lab: Lab, node: AgentNode) -> Iterator[None]:
    """Have eth2 toward the second server; its routes are put back afterwards."""
    with added(node, "eth2"):
        links.add_storage_link(lab.world)
        yield
    back = ["ip -4 route replace 10.72.0.0/24 via 10.70.0.1"]
    node.namespace.script([*back, "ip -6 route replace fd72::/64 via fd70::1"])
    far = ["ip -4 route del 10.73.0.0/24", "ip -6 route del fd73::/64"]
    lab.world.router.far.script(far)


def left_alone(node: AgentNode, link: str, *arguments: str, **variables: str) -> str:
    """Return why a plan leaves a link alone."""
    done = node.agent("plan", "--output", "json", *arguments, variables=variables)
    left = {item["target"]: item["why"] for item in json.loads(done.stdout)["leftAlone"]}
    return str(left[f"link/{link}/mtu"])


def test_two_servers_over_two_links_raise_both(nfs_world: Lab, node: AgentNode) -> None:
    """Each link by the route to its server."""
    with second_storage_link(nfs_world, node):
        report = answer(node, "apply", *servers(NFS_ADDRESS, NFS2_ADDRESS), exit_code=0)
        assert report["links"] == {"eth1": 9000, "eth2": 9000}
        assert answer(node, "revert", exit_code=0)["findings"] == []


def test_a_name_with_two_addresses_raises_both_links(nfs_world: Lab, node: AgentNode) -> None:
    """The name is resolved by the host's own means; each address has its own route."""
    hosts = node.folder / "hosts"
    hosts.write_text(f"{NFS_ADDRESS} storage.test\n{NFS2_ADDRESS} storage.test\n")
    with second_storage_link(nfs_world, node):
        lines = f"mount --bind {hosts} /etc/hosts; exec {AGENT} apply --endpoint storage.test"
        done = node.command(["unshare", "--mount", "sh", "-euc", lines])
        assert done.returncode == 0, done.stdout + done.stderr
        now = node.values()
        assert (now["eth1"], now["eth2"]) == ("9000", "9000")
        assert node.revert() == 0


def test_a_link_that_went_away_does_not_stop_a_revert(nfs_world: Lab, node: AgentNode) -> None:
    """The others get their first values; what is gone is named once."""
    with second_storage_link(nfs_world, node):
        answer(node, "apply", *servers(NFS_ADDRESS, NFS2_ADDRESS), exit_code=0)
    done = answer(node, "revert", exit_code=0)
    left = {item["target"]: item["why"] for item in done["leftAlone"]}
    assert left["link/eth2/mtu"] == "it is gone"
    assert node.values() == node.first
    assert answer(node, "revert", exit_code=0)["leftAlone"] == []


@pytest.mark.parametrize("pattern", ["eth1", "eth[1-9]", "10.70.0.0/24", "fd70::/64"])
def test_a_pattern_names_the_link(node: AgentNode, pattern: str) -> None:
    """By glob or by an address's network; without a server the path stays unproven but raised."""
    variables = {"TUNEGATE_LINKS_INCLUDE": pattern}
    plan = node.agent("plan", "--output", "json", variables=variables)
    assert '"link/eth1/mtu"' in plan.stdout
    assert left_alone(node, "eth0", **variables) == "not named by links.include"


def test_an_excluded_link_is_left_alone(node: AgentNode) -> None:
    """Even where storage is routed over it, which is then said."""
    variables = {"TUNEGATE_LINKS_EXCLUDE": "eth1"}
    assert "links.exclude" in left_alone(node, "eth1", *STORAGE, **variables)
    done = node.agent("apply", *STORAGE, variables=variables)
    assert "LinkNotEligible" in done.stdout
    assert node.values()["eth1"] == "1500"


def test_a_public_address_keeps_hands_off_unless_named(node: AgentNode) -> None:
    """A link to the world is raised only by a person's word."""
    node.namespace.run(["ip", "address", "add", "8.8.8.1/32", "dev", "eth1"])
    try:
        assert "public address 8.8.8.1" in left_alone(node, "eth1", *STORAGE)
        variables = {"TUNEGATE_LINKS_INCLUDE": "eth1"}
        done = node.agent("apply", *STORAGE, variables=variables)
        assert done.returncode == 0, done.stdout
        assert node.values()["eth1"] == "9000"
    finally:
        node.namespace.run(["ip", "address", "del", "8.8.8.1/32", "dev", "eth1"])


def test_pods_bridges_and_fabrics_are_never_touched(nfs_world: Lab, node: AgentNode) -> None:
    """Not even by name."""
    with added(node, "lxc1", "br0", "ib0"):
        links.add_pod(nfs_world.world, node.namespace, "lxc1", "pod-a")
        links.add_pod(nfs_world.world, node.namespace, "ib0", "pod-b")
        links.add_link(node.namespace, "br0", "bridge")
        links.enslave(node.namespace, "br0", "lxc1")
        variables = {"TUNEGATE_LINKS_INCLUDE": "lxc1,br0,ib0"}
        for name in ("lxc1", "br0", "ib0"):
            assert left_alone(node, name, **variables) != "not named by links.include"
        node.agent("apply", variables=variables)
        now = node.values()
        assert now["eth1"] == "1500"


@pytest.mark.parametrize("kind", ["macvlan", "vlan"])
def test_a_stacked_link_grows_after_its_parent(nfs_world: Lab, node: AgentNode, kind: str) -> None:
    """The parent first, then the link; the kernel refuses the other order."""
    options = ["id", "7"] if kind == "vlan" else ["mode", "bridge"]
    with added(node, "up0"):
        links.add_link(node.namespace, "up0", kind, lower="eth1", options=options)
        node.namespace.run(["ip", "address", "add", "10.70.0.21/24", "dev", "up0"])
        route = ["ip", "route", "replace", "10.71.0.0/24", "via", "10.70.0.1"]
        try:
            node.namespace.run([*route, "dev", "up0"])
            report = answer(node, "plan", *STORAGE, exit_code=1)
            order = [c["target"] for c in report["changes"] if c["target"].startswith("link/")]
            assert order == ["link/eth1/mtu", "link/up0/mtu"]
            if kind == "macvlan":
                applied = answer(node, "apply", *STORAGE, exit_code=0)
                assert applied["links"] == {"up0": 9000}
                assert answer(node, "revert", exit_code=0)["findings"] == []
                now = node.values()
                assert (now["eth1"], now["up0"]) == ("1500", "1500")
        finally:
            node.namespace.run(route)


def test_a_hidden_parent_refuses(nfs_world: Lab, node: AgentNode) -> None:
    """A macvlan whose parent is elsewhere: EINVAL, which is said; the MTU stays."""
    near = nfs_world.world.router.near
    with added(node, "up0"):
        near.run(
            ["ip", "link", "add", "plain", "mtu", "1500", "type", "veth", "peer", "plain-peer"]
        )
        near.run(["ip", "link", "set", "plain", "up"])
        try:
            links.add_macvlan_elsewhere(node.namespace, "up0", near, "plain")
            node.namespace.run(["ip", "address", "add", "10.79.0.2/24", "dev", "up0"])
            variables = {"TUNEGATE_LINKS_INCLUDE": "up0"}
            first = node.agent("apply", variables=variables)
            assert first.returncode == 1
            assert "LinkRefusedMtu" in first.stdout
            assert node.values()["up0"] == "1500"
        finally:
            near.run(["ip", "link", "del", "plain"])


def test_a_link_with_a_small_maximum_gets_that(nfs_world: Lab, node: AgentNode) -> None:
    """IFLA_MAX_MTU of 3506 bounds the raise; no refusal is provoked, and it is noted."""
    near = nfs_world.world.router.near
    try:
        with links.small_maximum(near, "st-node"):
            most = links.max_mtu(node.namespace, "eth1")
            report = answer(node, "apply", *STORAGE, exit_code=0)
            assert report["links"] == {"eth1": most}
            assert "LinkBelowTarget" in {item["reason"] for item in report["findings"]}
            assert reasons(report) == set()
            assert node.revert() == 0
    except LinkKindError as error:
        pytest.skip(str(error))
