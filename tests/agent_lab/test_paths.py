"""Paths that do not carry the full size, on real routers: found, fallen back from, said."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_lab.node_commands import AgentNode
from tests.agent_lab.on_node import answer, on_node, reasons, servers
from tests.lab.lab import Lab
from tests.lab.world import GATEWAY, NFS2_ADDRESS, NFS_ADDRESS, NFS_ADDRESS_IPV6

pytestmark = pytest.mark.lab
STORAGE = servers(NFS_ADDRESS)


@pytest.fixture
def node(nfs_world: Lab, tmp_path: Path) -> Iterator[AgentNode]:
    """Give the GPU node."""
    with on_node(nfs_world, "gpu-0", tmp_path) as made:
        yield made


@pytest.fixture
def solo(nfs_world: Lab, tmp_path: Path) -> Iterator[AgentNode]:
    """Give the node whose only link is also its default route."""
    with on_node(nfs_world, "solo-0", tmp_path) as made:
        yield made


def lose_gateway_once_raised(lab: Lab, protocol: str, match: str) -> None:
    """Answer the echo before the raise, lose the three after it, answer the next."""
    rules = (
        "add table inet fault\n"
        "add chain inet fault input { type filter hook input priority 0; }\n"
        f"add rule inet fault input {match} {protocol} type echo-request "
        "numgen inc mod 5 vmap { 1 : drop, 2 : drop, 3 : drop }\n"
    )
    lab.world.router.near.run(["nft", "-f", "-"], input_text=rules)


@pytest.mark.parametrize("passes", [1500, 4000])
@pytest.mark.parametrize("server", [NFS_ADDRESS, f"[{NFS_ADDRESS_IPV6}]"])
def test_a_black_hole_gives_way_to_what_passes(
    nfs_world: Lab, node: AgentNode, passes: int, server: str
) -> None:
    """To the byte, proven once more at that size; the full size comes back when asked."""
    nfs_world.world.router.set_path_mtu(passes, icmp=False)
    report = answer(node, "apply", *servers(server), exit_code=1)
    assert (report["outcome"], report["reason"]) == ("degraded", "BlackHole")
    assert report["links"] == {"eth1": passes}
    assert node.values()["eth1"] == str(passes)
    assert report["proofs"][0]["verdict"] == "passed"
    nfs_world.world.router.clear()
    assert answer(node, "apply", *servers(server), exit_code=0)["links"] == {"eth1": 9000}


@pytest.mark.parametrize("directions", [("up",), ("down",)])
def test_a_one_way_black_hole_is_found(
    nfs_world: Lab, node: AgentNode, directions: tuple[str, ...]
) -> None:
    """Reads flow down: a way back that loses large packets counts as much as the way up."""
    nfs_world.world.router.drop_larger_than(3000, directions)
    report = answer(node, "apply", *STORAGE, exit_code=1)
    assert (report["outcome"], report["reason"]) == ("degraded", "BlackHole")
    assert report["links"] == {"eth1": 3000}


def test_a_router_that_speaks_is_believed(nfs_world: Lab, node: AgentNode) -> None:
    """ICMP names the size; the link takes it, because the way back may not be told."""
    nfs_world.world.router.set_path_mtu(1500, icmp=True)
    report = answer(node, "apply", *STORAGE, exit_code=1)
    assert (report["outcome"], report["links"]) == ("degraded", {"eth1": 1500})
    assert report["reason"] in {"PathBelowTarget", "BlackHole"}


def test_a_server_at_1500_keeps_the_link_up(nfs_world: Lab, node: AgentNode) -> None:
    """TCP agrees on the smaller size: safe, below target, and the server is named."""
    nfs_world.world.nfs.set_mtu("eth0", 1500)
    report = answer(node, "apply", *STORAGE, exit_code=1)
    nfs_world.world.nfs.set_mtu("eth0", 9000)
    assert (report["outcome"], report["reason"]) == ("degraded", "ServerBelowTarget")
    assert report["links"] == {"eth1": 9000}


def test_filtered_icmp_hides_nothing(nfs_world: Lab, node: AgentNode) -> None:
    """TCP alone proves the way up; the way back is noted as not shown."""
    nfs_world.world.router.drop_echo()
    report = answer(node, "apply", *STORAGE, exit_code=0)
    assert report["proofs"][0]["wayBack"] == "unproven"
    assert "PathUnproven" in {item["reason"] for item in report["findings"]}


def test_the_smaller_of_two_paths_on_one_link_counts(nfs_world: Lab, node: AgentNode) -> None:
    """A link has one MTU: what passes to both servers."""
    nfs_world.world.router.set_path_mtu(4000, icmp=False, toward="nfs2")
    report = answer(node, "apply", *servers(NFS_ADDRESS, NFS2_ADDRESS), exit_code=1)
    assert report["links"] == {"eth1": 4000}
    assert {proof["verdict"] for proof in report["proofs"]} == {"passed"}


def test_a_silent_server_raises_nothing_until_it_answers(nfs_world: Lab, node: AgentNode) -> None:
    """Neither fine nor too small: unknown."""
    nfs_world.world.router.silence()
    report = answer(node, "apply", *STORAGE, exit_code=1)
    assert (report["outcome"], report["reason"]) == ("pending", "EndpointSilent")
    assert node.values()["eth1"] == "1500"
    nfs_world.world.router.clear()
    assert answer(node, "apply", *STORAGE, exit_code=0)["links"] == {"eth1": 9000}


def test_a_server_that_refuses_is_told_from_a_silent_one(nfs_world: Lab, node: AgentNode) -> None:
    """A stopped server says no: another reason, the same care."""
    nfs_world.nfs.stop()
    try:
        report = answer(node, "apply", *STORAGE, exit_code=1)
    finally:
        nfs_world.nfs.start()
    assert (report["outcome"], report["reason"]) == ("pending", "EndpointRefused")
    assert node.values()["eth1"] == "1500"


def test_connections_born_in_between_are_ended(nfs_world: Lab, node: AgentNode) -> None:
    """One that announced the large size is destroyed by the fall-back, an older one lives."""
    assert node.agent("apply", *STORAGE).returncode == 0
    node.namespace.set_mtu("eth1", 1500)
    with node.namespace.entered():
        older = socket.create_connection((NFS_ADDRESS, 2049), timeout=20)
    node.namespace.set_mtu("eth1", 9000)
    with node.namespace.entered():
        younger = socket.create_connection((NFS_ADDRESS, 2049), timeout=20)
    with older, younger:
        nfs_world.world.router.set_path_mtu(1500, icmp=False)
        report = answer(node, "apply", *STORAGE, exit_code=1)
        assert report["links"] == {"eth1": 1500}
        with pytest.raises(OSError, match=r"abort|reset"):
            younger.recv(1)
        older.settimeout(0.2)
        with pytest.raises(TimeoutError):
            older.recv(1)


def test_a_single_link_is_raised_when_all_goes_on_working(solo: AgentNode) -> None:
    """Storage and default route share it: the gateway answers before and after."""
    report = answer(solo, "apply", *STORAGE, exit_code=0)
    assert report["links"] == {"eth0": 9000}
    assert answer(solo, "revert", exit_code=0)["leftAlone"] is not None
    assert solo.values() == solo.first


def test_a_single_link_is_rolled_back_when_the_gateway_is_lost(
    nfs_world: Lab, solo: AgentNode
) -> None:
    """A gateway that goes silent with the raise: the first MTU comes back, and it is said."""
    lose_gateway_once_raised(nfs_world, "icmp", f"ip daddr {GATEWAY}")
    report = answer(solo, "apply", *STORAGE, exit_code=1)
    assert (report["outcome"], reasons(report)) == ("degraded", {"BaselineLost"})
    assert [change["after"] for change in report["applied"] if "eth0" in change["target"]] == [
        "9000",
        "1500",
    ]
    assert solo.values()["eth0"] == "1500"


def test_a_two_way_fault_on_a_single_link_falls_back(nfs_world: Lab, solo: AgentNode) -> None:
    """The black hole is behind the gateway: the link takes what passes."""
    nfs_world.world.router.set_path_mtu(1500, icmp=False)
    report = answer(solo, "apply", *STORAGE, exit_code=1)
    assert (report["outcome"], report["links"]) == ("degraded", {"eth0": 1500})
    assert reasons(report) == {"BlackHole"}


def test_a_lost_link_local_gateway_is_rolled_back(nfs_world: Lab, solo: AgentNode) -> None:
    """Routers announce themselves by link-local addresses, which mean nothing without the link."""
    near = nfs_world.world.router.near
    near.run(["ip", "address", "add", "fe80::1/64", "dev", "mgmt", "nodad"])
    via = ["ip", "-6", "route", "replace", "default", "via"]
    solo.namespace.run([*via, "fe80::1", "dev", "eth0"])
    storage = servers(f"[{NFS_ADDRESS_IPV6}]")
    try:
        assert answer(solo, "apply", *storage, exit_code=0)["links"] == {"eth0": 9000}
        assert solo.revert() == 0
        lose_gateway_once_raised(nfs_world, "icmpv6", "ip6 daddr fe80::1")
        report = answer(solo, "apply", *storage, exit_code=1)
    finally:
        solo.namespace.run([*via, "fd60::1"])
        near.run(["ip", "address", "del", "fe80::1/64", "dev", "mgmt"])
    assert (report["outcome"], reasons(report)) == ("degraded", {"BaselineLost"})
    assert "fe80::1%eth0" in " ".join(item["message"] for item in report["findings"])
    assert solo.values()["eth0"] == "1500"


def test_a_switch_that_loses_large_frames_is_found(nfs_world: Lab, solo: AgentNode) -> None:
    """The first hop itself: small echoes to the gateway pass, so only the path's proof shows it."""
    rules = (
        "add table bridge fault\n"
        "add chain bridge fault input { type filter hook input priority 0; }\n"
        "add rule bridge fault input ip length > 1500 drop\n"
    )
    nfs_world.world.router.near.run(["nft", "-f", "-"], input_text=rules)
    report = answer(solo, "apply", *STORAGE, exit_code=1)
    assert (report["outcome"], report["links"]) == ("degraded", {"eth0": 1500})
    assert reasons(report) == {"BlackHole"}
    nfs_world.world.router.clear()
    assert answer(solo, "apply", *STORAGE, exit_code=0)["links"] == {"eth0": 9000}
