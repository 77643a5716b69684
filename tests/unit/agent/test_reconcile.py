"""The loop: what counts as drift, and what counts as being alive."""

import io
import time
from collections.abc import Callable
from dataclasses import replace
from errno import EBUSY, EMFILE, ENOBUFS

import pytest

from agent import standby
from agent.facts import NodeFacts
from agent.mode import Mode
from agent.news import News
from agent.ports import HostError
from agent.reconcile import Reconciler
from agent.server import _healthz
from agent.settings import Settings
from agent.standby import Standby
from agent.state import HostState, Outcome, Report
from agent.status import Status
from common.names import LABEL_MODE
from common.telemetry import Log
from tests.fakes import FakeHost, mounted
from tests.unit.agent.nodes import Node
from tests.unit.agent.sockets import opened


class Turning:
    """A loop on a fake node, and what it told."""

    def __init__(self, node: Node, **settings: float) -> None:
        """Make the loop; nothing turns yet."""
        self.published: list[Report] = []
        self.announced: list[str] = []
        self.logged = io.StringIO()
        self.status = Status()
        self.facts: NodeFacts | None = NodeFacts({})
        self.held: list[tuple[Mode, str]] = []
        log = Log("json", self.logged)
        self.loop = Reconciler(
            Settings(replace(node.config, **settings)),  # type: ignore[arg-type]  # all numbers
            node.tuner(),
            node.tools,
            self.status,
            log,
            self.published.append,
            lambda _reason, message: self.announced.append(message),
            Standby(self.status, log, lambda mode, message: self.held.append((mode, message))),
            lambda: self.facts,
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


def switched(turning: Turning, mode: str) -> None:
    """Let the Node say this mode and the loop hear of it."""
    turning.facts = NodeFacts({LABEL_MODE: mode})
    turning.loop.wake(News.SWITCH)
    turning.loop.wake(News.STOP)
    heard = turning.loop._wait()  # noqa: SLF001 - one turn of the loop, without its thread
    assert News.SWITCH in heard
    turning.loop.turn()


def test_a_host_is_not_written_to_before_its_node_was_read(node: Node) -> None:
    """Nobody can know what a person wants of it."""
    turning = Turning(node)
    turning.facts = None
    turning.loop.first_pass()
    turning.loop.turn()
    assert node.host.attempts == []
    assert turning.status.mode == "unknown"
    assert not turning.published
    assert not turning.held
    switched(turning, "apply")
    assert turning.published[-1].outcome is Outcome.TUNED
    assert turning.announced == [], "what was never ours has not drifted"


def test_an_observed_host_is_not_written_to(node: Node) -> None:
    """The Node is told what would be done, once."""
    turning = Turning(node)
    turning.facts = NodeFacts({LABEL_MODE: "observe"})
    turning.loop.first_pass()
    switched(turning, "observe")
    assert node.host.attempts == []
    (told,) = turning.held
    assert told[0] is Mode.OBSERVE
    assert "link/eth1/mtu 1500 -> 9000" in told[1]


def test_an_observed_change_is_told(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody raises the link: less would be done."""
    monkeypatch.setattr(standby, "SPACING_SECONDS", 0.0)
    turning = Turning(node)
    turning.facts = NodeFacts({LABEL_MODE: "observe"})
    turning.loop.first_pass()
    node.host.set_mtu("eth1", 9000)
    turning.loop.turn()
    assert "link/eth1/mtu" not in turning.held[-1][1]
    assert len(turning.held) == 2


def test_a_storm_of_changes_on_an_observed_host_is_looked_at_once_a_second(node: Node) -> None:
    """Each look probes every server; the one that is put off is not forgotten."""
    turning = Turning(node)
    turning.facts = NodeFacts({LABEL_MODE: "observe"})
    turning.loop.first_pass()
    asked = len(node.prober.sent)
    for mtu in (2000, 3000, 4000):
        node.host.set_mtu("eth1", mtu)
        turning.loop.turn()
    assert len(node.prober.sent) == asked
    wait_seconds = turning.loop.standby.hold(turning.loop.tuner, turning.facts)
    assert 0 < wait_seconds <= standby.SPACING_SECONDS


def test_off_reverts_once_and_apply_tunes_again(node: Node) -> None:
    """While it is off, what others write is theirs; a refused write is tried again."""
    turning = Turning(node)
    turning.loop.first_pass()
    node.host.refused["link/eth1/mtu"] = EBUSY
    switched(turning, "off")
    assert node.host.mtu("eth1") == 9000
    assert "refused" in turning.held[-1][1]
    del node.host.refused["link/eth1/mtu"]
    turning.loop.turn()
    assert node.host.mtu("eth1") == 1500
    node.host.set_mtu("eth1", 4000)
    turning.loop.turn()
    assert node.host.mtu("eth1") == 4000
    switched(turning, "apply")
    assert node.host.mtu("eth1") == 9000
    assert turning.status.repairs == {}


def test_a_switch_thrown_in_the_middle_of_a_pass_stops_its_first_write(node: Node) -> None:
    """The pass looked and probed with leave to write, and has it no more."""
    turning = Turning(node)
    asked = iter([NodeFacts({LABEL_MODE: "observe"})])
    last = NodeFacts({LABEL_MODE: "observe"})
    turning.loop.facts = lambda: next(asked, last)
    turning.loop.first_pass()
    assert node.host.attempts == []
    assert [mode for mode, _ in turning.held] == [Mode.OBSERVE]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(EMFILE, "Too many open files"), "Too many open files"),
        (HostError("links", ENOBUFS, "No buffer space available"), "links: No buffer space"),
        (MemoryError(), "out of memory"),
    ],
)
def test_a_look_that_breaks_off_is_pending_and_tried_again(
    node: Node, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    """The first one, with the gate shut: told, and the next one goes through."""
    turning = Turning(node)
    with monkeypatch.context() as broken:
        broken.setattr(FakeHost, "observe", _raising(error))
        turning.loop.first_pass()
    (report,) = turning.published
    assert (report.outcome, report.reason) == ("pending", "HostUnreadable")
    assert said in report.findings[0].message
    assert 0 < turning.loop._due.prove - time.monotonic() <= 1  # noqa: SLF001 - soon
    turning.loop.first_pass()
    assert turning.published[-1].outcome is Outcome.TUNED


def test_a_look_that_breaks_off_with_the_gate_open_changes_nothing_on_the_node(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was proven stands; the log says why there is no news."""
    turning = Turning(node)
    turning.loop.first_pass()
    turning.status.is_gate_open = True
    with monkeypatch.context() as broken:
        broken.setattr(FakeHost, "observe", _raising(MemoryError()))
        turning.loop.turn()
    assert [report.outcome for report in turning.published] == [Outcome.TUNED]
    assert "HostUnreadable" in turning.logged.getvalue()
    node.host.set_mtu("eth1", 1500)
    turning.loop.turn()
    assert turning.announced[0].startswith("link/eth1/mtu was 1500, put back to 9000")


def test_a_look_that_breaks_off_while_observing_is_only_logged(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch's own report stands on the Node."""
    turning = Turning(node)
    turning.facts = NodeFacts({LABEL_MODE: "observe"})
    with monkeypatch.context() as broken:
        broken.setattr(FakeHost, "observe", _raising(MemoryError()))
        turning.loop.first_pass()
    assert not turning.published
    assert "HostUnreadable" in turning.logged.getvalue()
    turning.loop.turn()
    assert [mode for mode, _ in turning.held] == [Mode.OBSERVE]


def _raising(error: Exception) -> Callable[..., HostState]:
    def observe(*_: object) -> HostState:
        raise error

    return observe


def test_connections_are_healed_only_until_the_gate_is_first_open(node: Node) -> None:
    """Later they are reported, but for a person who asks by SIGHUP; each time it is told."""
    node.host.mounts = (mounted(),)
    node.prober.opened = [opened()]
    turning = Turning(node)
    turning.loop.first_pass()
    assert turning.status.connections_healed == 1
    assert len(turning.announced) == 1
    assert '"Ended early connections"' in turning.logged.getvalue()
    turning.status.gate_opened_seconds = 0.1
    late = opened()
    node.prober.opened = [late]
    turning.loop.first_pass()
    assert node.prober.opened == [late]
    assert turning.published[-1].reason == "EarlyConnection"
    node.prober.reopens = lambda _: turning.loop.wake(News.STOP)
    turning.loop.wake(News.RETRY_FULL)
    turning.loop.run()
    assert node.prober.opened == []
    assert turning.status.connections_healed == 2
