"""Which writes of a pass put a drift right, and which are news."""

from dataclasses import replace

from agent.drift import drifts_in
from agent.readahead import ReadAheadChange
from agent.state import LinkMtuChange, LinkName
from tests.unit.agent.nodes import Node


def mtu(node: Node, before: int, after: int) -> LinkMtuChange:
    """Return a change of eth1's MTU."""
    link = node.host.observe(()).named(LinkName("eth1"))
    assert link
    return LinkMtuChange(link.name, link.index, before, after, "test")


def test_giving_back_what_the_last_pass_left_is_a_drift(node: Node) -> None:
    """A first pass has nothing to compare with; a fall-back is no drift."""
    tuner = node.tuner()
    tuner.tune()
    back, down = mtu(node, 1500, 9000), mtu(node, 9000, 4000)
    assert drifts_in((back,), None) == ()
    assert drifts_in((back,), tuner.scene) == (back,)
    assert drifts_in((down,), tuner.scene) == ()
    assert drifts_in((back, down, replace(back, before_bytes=4000)), tuner.scene) == (back,)


def test_mounts_of_one_number_one_after_the_other_are_no_drift(node: Node) -> None:
    """A storm of mounts goes on while a pass writes: each is written to for the first time."""
    tuner = node.tuner()
    tuner.tune()
    first = ReadAheadChange("0:50", 7001, "models.example:/a", 128, 15360, "test")
    changes = (first, replace(first, superblock=7002))
    assert drifts_in(changes, tuner.scene) == ()
    assert drifts_in((*changes, changes[1]), tuner.scene) == (changes[1],)
