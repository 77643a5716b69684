"""The loop: what counts as drift, and what counts as being alive."""

import io
import time
from dataclasses import replace

from agent.reconcile import News, Reconciler
from agent.server import _healthz
from agent.state import Report
from agent.status import Status
from common.telemetry import Log
from tests.unit.agent.nodes import Node


class Turning:
    """A loop on a fake node, and what it told."""

    def __init__(self, node: Node, **settings: float) -> None:
        """Make the loop; nothing turns yet."""
        self.published: list[Report] = []
        self.announced: list[str] = []
        self.logged = io.StringIO()
        self.status = Status()
        self.loop = Reconciler(
            replace(node.config, **settings),  # type: ignore[arg-type]  # all of them are numbers
            node.tuner(),
            self.status,
            Log("json", self.logged),
            self.published.append,
            lambda _reason, message: self.announced.append(message),
        )


def test_what_somebody_takes_away_between_two_looks_is_drift_in_a_pass_too(node: Node) -> None:
    """A pass that puts it back counts, tells and announces it as a repair does."""
    turning = Turning(node)
    turning.loop.first_pass()
    assert turning.announced == []
    node.host.set_mtu("eth1", 1500)
    turning.loop.first_pass()
    assert turning.status.repairs == {"link": 1}
    assert turning.announced == ["link/eth1/mtu was 1500, put back to 9000"]
    assert turning.logged.getvalue().count('"Repaired drift"') == 1


def test_a_pass_that_meets_a_rival_too_often_leaves_the_target_alone(node: Node) -> None:
    """The repairs of passes are counted with the others."""
    turning = Turning(node, watch_repairs=2)
    turning.loop.first_pass()
    for _ in range(2):
        node.host.set_mtu("eth1", 1500)
        turning.loop.first_pass()
    assert turning.published[-1].reason == "TargetContested"
    assert '"Left a contested target alone"' in turning.logged.getvalue()


def test_a_loop_that_sleeps_as_long_as_it_was_told_is_alive(node: Node) -> None:
    """A poll once an hour is no reason to be restarted for."""
    turning = Turning(node, watch_poll_seconds=3600, watch_probe_seconds=3600)
    turning.loop.first_pass()
    turning.loop.wake(News.STOP)
    turning.loop.run()
    assert turning.status.alive_seconds <= time.monotonic()
    turning.loop.wake(News.HOST)
    turning.loop._wait()  # noqa: SLF001 - the moment between sleep and turn
    turning.status.alive_seconds -= 3000
    assert _healthz(turning.status)[0] == 200
