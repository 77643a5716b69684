"""The loop and the watch on the mounts: what is a first write, what is drift, what is contested."""

import pytest

from agent.facts import NodeFacts
from agent.mode import Mode
from agent.readahead import DEFAULT_KIB
from common.names import LABEL_MODE
from tests.unit.agent.nodes import Node
from tests.unit.agent.test_reconcile import Turning

SOURCE = "models.example:/a"


def started(node: Node) -> Turning:
    """Return a loop after its first pass, which gives up a target after two repairs."""
    turning = Turning(node, watch_repairs=2)
    turning.loop.first_pass()
    return turning


@pytest.mark.parametrize("watch_is_first", [True, False])
def test_a_storm_of_mounts_is_no_fight(node: Node, *, watch_is_first: bool) -> None:
    """All with one device number: each a first write, none a repair, nothing left alone."""
    turning = started(node)
    for _ in range(20):
        node.host.mount(source=SOURCE)
        if watch_is_first:
            turning.loop.mounts_changed()
        turning.loop.turn()
        assert node.host.read_ahead["0:50"].kib == DEFAULT_KIB
    assert turning.status.changes["readahead", "applied"] == 20
    assert turning.status.repairs["readahead"] == 0
    assert turning.announced == []
    assert turning.status.contested == frozenset()


def test_a_known_mount_that_is_lowered_is_put_back_and_told(node: Node) -> None:
    """As any drift is."""
    turning = started(node)
    node.host.mount(source=SOURCE)
    turning.loop.mounts_changed()
    node.host.set_read_ahead("0:50", 256)
    turning.loop.turn()
    assert turning.status.repairs["readahead"] == 1
    assert turning.announced[0].startswith(f"readahead/0:50 was 256, put back to {DEFAULT_KIB}")


def test_a_contested_mount_is_forgotten_with_its_unmount(node: Node) -> None:
    """The next mount of its number has no rival, and nobody is told that it has."""
    turning = started(node)
    node.host.mount(source=SOURCE)
    turning.loop.turn()
    for _ in range(2):
        node.host.set_read_ahead("0:50", 256)
        turning.loop.turn()
    turning.loop.first_pass()
    assert "TargetContested" in [item.reason for item in turning.published[-1].findings]
    node.host.mount(source=SOURCE)
    turning.loop.mounts_changed()
    assert node.host.read_ahead["0:50"].kib == DEFAULT_KIB
    turning.loop.first_pass()
    assert "TargetContested" not in [item.reason for item in turning.published[-1].findings]


def test_a_node_that_is_only_observed_has_its_mounts_left_alone(node: Node) -> None:
    """By the watch as by the loop."""
    turning = started(node)
    turning.facts = NodeFacts({LABEL_MODE: Mode.OBSERVE.value})
    turning.loop.turn()
    node.host.mount(source=SOURCE)
    turning.loop.mounts_changed()
    turning.loop.turn()
    assert node.host.read_ahead["0:50"].kib == 128
