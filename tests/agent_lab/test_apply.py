"""plan, apply, verify and revert on a GPU node with a storage link, as a person uses them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_lab.node_commands import AgentNode
from tests.agent_lab.on_node import answer, on_node, reasons, servers
from tests.lab.lab import Lab
from tests.lab.link_events import LinkEvents
from tests.lab.world import NFS_ADDRESS, NFS_ADDRESS_IPV6

pytestmark = pytest.mark.lab
STORAGE = servers(NFS_ADDRESS)


@pytest.fixture
def node(nfs_world: Lab, tmp_path: Path) -> Iterator[AgentNode]:
    """Give the GPU node."""
    with on_node(nfs_world, "gpu-0", tmp_path) as made:
        yield made


def test_plan_says_what_would_change_and_what_not(node: AgentNode) -> None:
    """Each target with its value now, the one wanted, and why; nothing is written."""
    plan = answer(node, "plan", *STORAGE, exit_code=1)
    changes = {item["target"]: (item["before"], item["after"]) for item in plan["changes"]}
    assert changes["link/eth1/mtu"] == ("1500", "9000")
    assert changes["sysctl/net.ipv4.tcp_rmem"][1] == "4096 131072 16777216"
    left = {item["target"]: item["why"] for item in plan["leftAlone"]}
    assert left["link/eth0/mtu"] == "no storage endpoint is routed over it"
    assert left["link/lo/mtu"] == "loopback"
    assert node.values() == node.first
    assert not node.journal.exists()


def test_the_text_is_for_people(node: AgentNode) -> None:
    """The same in a table, without colour where nobody sees it."""
    done = node.agent("plan", *STORAGE)
    assert "eth1 MTU" in done.stdout
    assert "1500 -> 9000" in done.stdout
    assert "'tunegate-agent apply' makes them" in done.stdout
    assert "\x1b" not in done.stdout


def test_apply_proves_and_verify_agrees(node: AgentNode) -> None:
    """The kernel holds what the report says, and the real server took full-size packets."""
    report = answer(node, "apply", *STORAGE, exit_code=0)
    assert report["outcome"] == "tuned"
    assert report["links"] == {"eth1": 9000}
    assert [(p["verdict"], p["passesBytes"], p["wayBack"]) for p in report["proofs"]] == [
        ("passed", 9000, "icmp")
    ]
    now = node.values()
    assert (now["eth1"], now["eth0"]) == ("9000", "1500")
    assert now["net.ipv4.tcp_rmem"] == "4096 131072 16777216"
    assert answer(node, "verify", *STORAGE, exit_code=0)["outcome"] == "tuned"
    assert answer(node, "plan", *STORAGE, exit_code=0)["isEmpty"]


def test_a_second_apply_writes_nothing(node: AgentNode) -> None:
    """No write, no journal, no message about any link."""
    assert node.agent("apply", *STORAGE).returncode == 0
    before = node.journal.stat()
    with LinkEvents(node.namespace) as events:
        report = answer(node, "apply", *STORAGE, exit_code=0)
        assert report["applied"] == []
        assert events.count("eth1") == events.count("eth0") == 0
    after = node.journal.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_verify_tells_drift_and_writes_nothing(node: AgentNode) -> None:
    """What somebody set back is named."""
    node.agent("apply", *STORAGE)
    node.namespace.set_mtu("eth1", 1500)
    report = answer(node, "verify", *STORAGE, exit_code=1)
    assert reasons(report) == {"NotConverged"}
    assert node.values()["eth1"] == "1500"


def test_revert_gives_the_first_values_back(node: AgentNode) -> None:
    """All of them; a second revert finds nothing to do."""
    node.agent("apply", *STORAGE)
    done = answer(node, "revert", exit_code=0)
    assert {item["target"] for item in done["reverted"]} >= {
        "link/eth1/mtu",
        "sysctl/net.ipv4.tcp_rmem",
    }
    assert node.values() == node.first
    assert answer(node, "revert", exit_code=0)["reverted"] == []


def test_revert_leaves_what_somebody_else_wrote(node: AgentNode) -> None:
    """A foreign value stands, and is named with the first value beside it."""
    node.agent("apply", *STORAGE)
    node.namespace.set_mtu("eth1", 4000)
    done = answer(node, "revert", exit_code=0)
    left = {item["target"]: item["why"] for item in done["leftAlone"]}
    assert "the first value was 1500" in left["link/eth1/mtu"]
    assert node.values()["eth1"] == "4000"
    node.namespace.set_mtu("eth1", 1500)
    assert node.values() == node.first


def test_what_is_higher_is_not_lowered(node: AgentNode) -> None:
    """An MTU of 9001 and a buffer of 32 MiB stay."""
    node.namespace.set_mtu("eth1", 9001)
    node.namespace.set_sysctl("net.ipv4.tcp_rmem", "8192 131072 33554432")
    node.agent("apply", *STORAGE)
    now = node.values()
    assert (now["eth1"], now["net.ipv4.tcp_rmem"]) == ("9001", "8192 131072 33554432")


def test_ipv6_alone_is_enough(node: AgentNode) -> None:
    """The route, the proof and the echo are those of the server's IPv6 address."""
    report = answer(node, "apply", *servers(f"[{NFS_ADDRESS_IPV6}]"), exit_code=0)
    assert [(p["address"], p["passesBytes"], p["wayBack"]) for p in report["proofs"]] == [
        (NFS_ADDRESS_IPV6, 9000, "icmp")
    ]


def test_without_an_endpoint_only_sysctls_are_tuned(node: AgentNode) -> None:
    """That is its own outcome, and no link is touched."""
    report = answer(node, "apply", exit_code=1)
    assert (report["outcome"], reasons(report)) == ("degraded", {"NoStorageEndpoint"})
    now = node.values()
    assert (now["eth0"], now["eth1"], now["net.ipv4.tcp_mtu_probing"]) == ("1500", "1500", "1")


def test_a_name_without_an_address_is_pending(node: AgentNode) -> None:
    """It is named, and the links stay."""
    report = answer(node, "apply", *servers("no-such-host.invalid"), exit_code=1)
    assert (report["outcome"], report["reason"]) == ("pending", "EndpointUnresolved")
    assert node.values()["eth1"] == "1500"


def test_a_server_without_a_route_is_pending(node: AgentNode) -> None:
    """The kernel's own answer is what is told."""
    node.namespace.run(["ip", "route", "add", "unreachable", "10.99.0.0/24"])
    report = answer(node, "apply", *servers("10.99.0.1"), exit_code=1)
    node.namespace.run(["ip", "route", "del", "unreachable", "10.99.0.0/24"])
    assert (report["outcome"], report["reason"]) == ("pending", "EndpointUnrouted")


def test_storage_on_the_node_itself_needs_no_link(node: AgentNode) -> None:
    """Nothing is raised for it, and nothing is wrong with it."""
    report = answer(node, "apply", *servers("10.70.0.20"), exit_code=0)
    assert report["links"] == {}
    assert node.values()["eth1"] == "1500"


def test_an_ipv4_address_in_ipv6_clothes_is_ipv4(node: AgentNode) -> None:
    """Its packets are IPv4, so are route and proof."""
    report = answer(node, "apply", *servers(f"[::ffff:{NFS_ADDRESS}]"), exit_code=0)
    assert report["links"] == {"eth1": 9000}
    assert report["proofs"][0]["address"] == NFS_ADDRESS


def test_addresses_of_nobody_are_refused_together(node: AgentNode) -> None:
    """No server has them: all are named, nothing is touched."""
    nobody = ("0.0.0.0", "[::]", "224.0.0.1", "[fe80::5%eth1]")
    done = node.agent("apply", *servers(*nobody))
    assert done.returncode == 2
    assert all(address in done.stderr for address in nobody)
    assert node.values() == node.first
    assert not node.journal.exists()
