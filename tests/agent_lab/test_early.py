"""A client's connection that was opened before the MTU was raised, on real links."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent_lab.mount_tables import table
from tests.agent_lab.node_commands import AgentNode
from tests.agent_lab.on_node import answer, on_node, servers
from tests.agent_lab.running import STORAGE, await_
from tests.lab.lab import Lab
from tests.lab.nfs_server import url

pytestmark = pytest.mark.lab
SMALL = "advmss:1448"
CHECK = "connections"


@pytest.fixture
def node(nfs_world: Lab, tmp_path: Path) -> Iterator[AgentNode]:
    """Give a node at MTU 1500 whose NFS client waits for an answer in an open connection."""
    with on_node(nfs_world, "gpu-0", tmp_path) as made:
        nfs_world.nfs.pause()
        reader = made.spawn(f"reader-{tmp_path.name}", ["nfs-cat", url(STORAGE)])
        try:
            await_(lambda: SMALL in connections(made), reader.log_text)
            yield made
        finally:
            nfs_world.nfs.resume()
            reader.kill()


def connections(node: AgentNode) -> str:
    """Return the established connections to the server with their TCP_INFO."""
    return node.namespace.run(
        ["ss", "-HtinO", "state", "established", f"dst {STORAGE} and dport = :2049"]
    ).stdout


def call_it_a_mount(node: AgentNode, options: str = "hard") -> None:
    """Have the node's mountinfo say that the kernel has this server mounted."""
    path = node.folder / "mountinfo"
    path.write_text(table(50, (STORAGE,)).replace(",hard,", f",{options},"))
    node.environment["TUNEGATE_MOUNTINFO"] = str(path)


def found(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return reason and severity of what was found about connections."""
    return [
        (item["reason"], item["severity"]) for item in report["findings"] if item["check"] == CHECK
    ]


def test_a_mounts_early_connection_is_reported_then_healed(node: AgentNode) -> None:
    """First as the policy says, then for real: it ends, and the next one is large."""
    call_it_a_mount(node)
    node.environment["TUNEGATE_CONNECTIONS_EARLY"] = "report"
    report = answer(node, "apply", *servers(STORAGE), exit_code=1)
    assert (report["outcome"], report["links"]) == ("degraded", {"eth1": 9000})
    assert found(report) == [("EarlyConnection", "degraded")]
    assert "volume models of pod 0c1d8a52" in str(report["findings"])
    assert SMALL in connections(node)
    del node.environment["TUNEGATE_CONNECTIONS_EARLY"]
    report = answer(node, "apply", *servers(STORAGE), exit_code=0)
    assert found(report) == [("ConnectionsHealed", "note")]
    assert SMALL not in connections(node)
    assert found(answer(node, "verify", *servers(STORAGE), exit_code=0)) == []


def test_a_soft_mounts_connection_is_left_alone(node: AgentNode) -> None:
    """Its requests could fail."""
    call_it_a_mount(node, "soft")
    report = answer(node, "apply", *servers(STORAGE), exit_code=1)
    assert found(report) == [("EarlyConnection", "degraded")]
    assert SMALL in connections(node)


def test_a_program_that_mounted_nothing_is_left_alone(node: AgentNode) -> None:
    """Another server is mounted here, this connection is somebody's own."""
    node.environment["TUNEGATE_MOUNTINFO"] = str(node.folder / "mountinfo")
    (node.folder / "mountinfo").write_text(table(50, ("10.71.0.99",)))
    report = answer(node, "apply", *servers(STORAGE), exit_code=0)
    assert found(report) == [("EarlyConnection", "note")]
    assert SMALL in connections(node)
