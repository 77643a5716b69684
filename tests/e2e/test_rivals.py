"""A rival that keeps resetting the MTU, and the gate: open or shut as the policy says."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.e2e.harness import Stage, condition, gates, taints, verdict
from tests.lab import mtu_writer
from tests.lab.api import Object

pytestmark = [pytest.mark.lab, pytest.mark.api]
AT_ONCE = (sys.executable, "-S", mtu_writer.__file__, "eth1", "1500")
EVERY_SECOND = ("sh", "-c", "while :; do sleep 1; ip link set eth1 mtu 1500; done")
CONTESTED = ("degraded", "False", "TargetContested")


@contextmanager
def rival(stage: Stage, argv: Sequence[str]) -> Iterator[None]:
    """Have another program write the MTU for as long as the block lasts."""
    process = stage.host.spawn("rival", argv)
    try:
        yield
    finally:
        process.kill()


def is_open(node: Object) -> bool:
    """Return whether no gate taint stands."""
    return not gates(node)


def test_hold_keeps_the_gate_shut_until_the_rival_is_gone(stage: Stage) -> None:
    """The MTU never stands, so nothing is proven; a while after the rival's end all is well."""
    stage.join()
    with rival(stage, AT_ONCE):
        agent = stage.start(
            gate_on_degraded="hold", watch_repairs=2, watch_backoff_seconds=3, watch_poll_seconds=1
        )
        node = stage.wait_verdict(*CONTESTED)
        assert "another program keeps link/eth1/mtu at 1500" in condition(node)["message"]
        assert gates(node)
        assert not agent.said("Opened the gate")
    node = stage.wait(is_open)
    assert verdict(node)[0] == "tuned"
    assert stage.host.mtu("eth1") == 9000


def test_open_lets_pods_on_to_the_node_all_the_same(stage: Stage) -> None:
    """The default: the node works at the rival's MTU, and its condition says who and what."""
    stage.join()
    with rival(stage, AT_ONCE):
        stage.start(watch_repairs=2, watch_poll_seconds=1)
        node = stage.wait(lambda node: is_open(node) and verdict(node) == CONTESTED)
        assert "stop that program or give it the same value" in condition(node)["message"]
        assert stage.host.mtu("eth1") == 1500


def test_a_gate_that_was_opened_is_not_shut_by_a_rival(stage: Stage) -> None:
    """A reset every second comes after the proof: told everywhere, and no pod is kept off."""
    stage.join()
    stage.start(gate_on_degraded="hold", watch_repairs=3)
    stage.wait(is_open)
    with rival(stage, EVERY_SECOND):
        node = stage.wait_verdict(*CONTESTED)
        assert taints(node) == set()
