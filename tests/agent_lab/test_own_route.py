"""A node whose own route keeps packets small though full size passes: said, the link stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_lab.on_node import answer, reasons, servers
from tests.agent_lab.running import STORAGE, Watched, await_, watching
from tests.lab.lab import Lab
from tests.lab.link_events import LinkEvents

pytestmark = pytest.mark.lab
ROUTE = "ip route replace 10.71.0.0/24 via 10.70.0.1"


@pytest.fixture
def watched(nfs_world: Lab, tmp_path: Path) -> Iterator[Watched]:
    """Give the GPU node to watch."""
    with watching(nfs_world, tmp_path) as made:
        yield made


def test_a_path_that_was_small_for_a_moment_lowers_nothing(watched: Watched) -> None:
    """The kernel remembers ICMP's word for ten minutes; the link must not outlast it at 1500."""
    namespace = watched.node.namespace
    agent = watched.run({"TUNEGATE_WATCH_PROBE_SECONDS": "1"})
    with LinkEvents(namespace) as events:
        watched.router.set_path_mtu(1500, icmp=True)
        namespace.run(["ping", "-c1", "-W1", "-Mdo", "-s8000", STORAGE], check=False)
        watched.router.clear()
        assert "mtu 1500" in namespace.run(["ip", "route", "get", STORAGE]).stdout
        agent.await_line("Judged the node", outcome="degraded", reason="RouteBelowTarget")
        namespace.run(["ip", "route", "flush", "cache"])
        judged = "Judged the node"
        await_(lambda: agent.said(judged)[-1]["outcome"] == "tuned", agent.process.log_text)
        assert events.count("eth1") == 0
    assert agent.end() == 0


def test_a_route_with_an_mtu_of_its_own_is_named(watched: Watched) -> None:
    """A route set to 1400 holds TCP down, in both directions; taking that away is all it needs."""
    node = watched.node
    node.namespace.run([*ROUTE.split(), "mtu", "1400"])
    try:
        report = answer(node, "apply", *servers(STORAGE), exit_code=1)
    finally:
        node.namespace.run(ROUTE.split())
    assert (report["outcome"], reasons(report)) == ("degraded", {"RouteBelowTarget"})
    assert report["links"] == {"eth1": 9000}
    assert any("holds TCP to 1400" in item["message"] for item in report["findings"])
    assert answer(node, "verify", *servers(STORAGE), exit_code=0)["outcome"] == "tuned"
