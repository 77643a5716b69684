"""Storage over several layers of links, with real traffic through all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.agent_lab.node_commands import AgentNode
from tests.agent_lab.on_node import answer, on_node, reasons, servers
from tests.lab.lab import Lab
from tests.lab.world import NFS2_ADDRESS, NFS_ADDRESS, via

pytestmark = pytest.mark.lab
STORAGE = servers(NFS_ADDRESS)
LAYERS = ("eth1", "up0", "br9")
ROUTES = (
    *via("10.71.0.0/24", "10.70.0.1", "fd71::/64", "fd70::1"),
    *via("10.72.0.0/24", "10.70.0.1", "fd72::/64", "fd70::1"),
)


@pytest.fixture
def node(nfs_world: Lab, tmp_path: Path) -> Iterator[AgentNode]:
    """Give the GPU node."""
    with on_node(nfs_world, "gpu-0", tmp_path) as made:
        yield made


@contextmanager
def macvlan_beside_its_parent(node: AgentNode) -> Iterator[None]:
    """Have the first server behind a macvlan on eth1, the second behind eth1 itself."""
    route = "ip route replace 10.71.0.0/24 via 10.70.0.1"
    node.namespace.script(
        [
            "ip link add up0 link eth1 type macvlan mode bridge",
            "ip address add 10.70.0.21/24 dev up0",
            "ip link set up0 up",
            f"{route} dev up0",
        ]
    )
    try:
        yield
    finally:
        node.namespace.script(["ip link del up0", route])


@contextmanager
def bridge_on_a_macvlan(node: AgentNode) -> Iterator[None]:
    """Have the node's storage address on a bridge, whose port is a macvlan on eth1."""
    node.namespace.script(
        [
            "ip link add up0 link eth1 type macvlan mode passthru",
            "ip link add br9 type bridge",
            "ip link set up0 up master br9",
            "ip link set br9 up",
            "ip address del 10.70.0.20/24 dev eth1",
            "ip address add 10.70.0.20/24 dev br9",
            "ip route replace 10.71.0.0/24 via 10.70.0.1",
        ]
    )
    try:
        yield
    finally:
        routes = [line.replace(" add ", " replace ") for line in ROUTES]
        back = "ip address add 10.70.0.20/24 dev eth1"
        node.namespace.script(["ip link del br9", "ip link del up0", back, *routes])


def written_links(report: dict[str, list[dict[str, str]]], key: str) -> list[tuple[str, str]]:
    """Return the links written, in order, with their new MTUs."""
    return [
        (item["target"].split("/")[1], item["after"])
        for item in report[key]
        if item["target"].startswith("link/")
    ]


def test_three_layers_grow_from_below_and_shrink_from_above(
    nfs_world: Lab, node: AgentNode
) -> None:
    """The kernel refuses any other order; a second apply writes nothing, a revert undoes all."""
    with bridge_on_a_macvlan(node):
        first = node.values()
        report = answer(node, "apply", *STORAGE, exit_code=0)
        assert written_links(report, "applied") == [(name, "9000") for name in LAYERS]
        assert report["links"] == {"br9": 9000}
        assert answer(node, "apply", *STORAGE, exit_code=0)["applied"] == []
        nfs_world.world.router.set_path_mtu(4000, icmp=False)
        report = answer(node, "apply", *STORAGE, exit_code=1)
        assert written_links(report, "applied") == [(name, "4000") for name in reversed(LAYERS)]
        assert report["proofs"][0]["verdict"] == "passed"
        nfs_world.world.router.clear()
        assert answer(node, "apply", *STORAGE, exit_code=0)["links"] == {"br9": 9000}
        reverted = answer(node, "revert", exit_code=0)
        assert written_links(reverted, "reverted") == [(name, "1500") for name in reversed(LAYERS)]
        assert node.values() == first


@pytest.mark.parametrize(
    ("toward", "links"),
    [("nfs", {"eth1": 9000, "up0": 4000}), ("nfs2", {"eth1": 4000, "up0": 4000})],
)
def test_a_black_hole_lowers_only_what_stands_on_its_link(
    nfs_world: Lab, node: AgentNode, toward: str, links: dict[str, int]
) -> None:
    """The upper link's path does not lower the parent; the parent's clamps the upper one."""
    nfs_world.world.router.drop_larger_than(4000, toward=toward)
    with macvlan_beside_its_parent(node):
        report = answer(node, "apply", *servers(NFS_ADDRESS, NFS2_ADDRESS), exit_code=1)
        assert (report["outcome"], reasons(report)) == ("degraded", {"BlackHole"})
        assert report["links"] == links
        assert {proof["verdict"] for proof in report["proofs"]} == {"passed"}
        assert answer(node, "revert", exit_code=0)["findings"] == []
        assert node.values() == {**node.first, "up0": "1500"}
