"""What reaches the loop in the middle of something else: a switch, a mount, a new link."""

import time
from dataclasses import replace
from errno import EMFILE
from math import inf

import pytest

from agent import standby
from agent.facts import NodeFacts
from agent.mode import Mode
from agent.ports import HostError
from agent.readahead import DEFAULT_KIB
from agent.standby import Standby
from agent.state import Change, Endpoint, Outcome, Proof
from common.names import LABEL_MODE
from tests.fake_network import FakeProber, FakeServer
from tests.fakes import FakeHost
from tests.unit.agent.nodes import LATE, SERVER, Node, add_network
from tests.unit.agent.test_reconcile import Turning, switched

OBSERVED = NodeFacts({LABEL_MODE: "observe"})


class SwitchingProber(FakeProber):
    """A network beside which a person throws the switch in the middle of a proof."""

    turning: Turning | None = None

    def prove(self, endpoint: Endpoint, wanted_bytes: int) -> Proof:
        """Throw the switch and return what the path shows."""
        if self.turning:
            self.turning.facts = OBSERVED
        return super().prove(endpoint, wanted_bytes)


def test_a_pass_that_was_overtaken_by_the_switch_does_not_speak_for_the_node(node: Node) -> None:
    """Its gate and labels would contradict the mode; the next turn says what the mode allows."""
    prober = SwitchingProber(node.host, node.prober.servers)
    node.prober = prober
    turning = Turning(node)
    prober.turning = turning
    turning.loop.first_pass()
    assert turning.published == []
    turning.loop.turn()
    assert turning.published == []
    assert [mode for mode, _ in turning.held] == [Mode.OBSERVE]


def test_a_pass_that_was_overtaken_is_made_up_for(node: Node) -> None:
    """A person throws the switch and at once back: the node is shown as it is in the next turn."""
    prober = SwitchingProber(node.host, node.prober.servers)
    node.prober = prober
    turning = Turning(node)
    prober.turning = turning
    turning.loop.first_pass()
    prober.turning, turning.facts = None, NodeFacts({})
    turning.loop.turn()
    assert [report.outcome for report in turning.published] == [Outcome.TUNED]


def test_a_switch_that_is_thrown_back_before_the_loop_can_hold_costs_nothing(node: Node) -> None:
    """What was held back for that moment, the watch on mounts with it, goes on in the next turn."""
    turning = Turning(node)
    turning.loop.first_pass()
    answers = [NodeFacts({}), OBSERVED]  # what the settings, then what the first write asks for
    turning.loop.facts = lambda: answers.pop(0) if answers else NodeFacts({})
    turning.loop.turn()
    assert (answers, turning.held) == ([], [])
    turning.loop.turn()
    node.host.mount()
    turning.loop.mounts_changed()
    assert node.host.read_ahead["0:50"].kib == DEFAULT_KIB


def test_a_mount_is_left_alone_as_soon_as_the_switch_is_thrown(node: Node) -> None:
    """The watch on mounts does not wait for the loop to come round, which may be proving."""
    turning = Turning(node)
    turning.loop.first_pass()
    turning.facts = OBSERVED
    node.host.mount()
    turning.loop.mounts_changed()
    assert node.host.read_ahead["0:50"].kib == 128
    assert not turning.loop.news.empty(), "the loop hears of the mount"


@pytest.mark.parametrize("error", [HostError("links", EMFILE, "no more"), MemoryError()])
def test_a_look_at_mounts_that_breaks_off_ends_no_thread(
    node: Node, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The loop looks at the same host and says what is wrong with it."""
    node.config = replace(node.config, read_ahead_kib="auto")
    turning = Turning(node)
    turning.loop.first_pass()

    def observe(*_: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(FakeHost, "observe", observe)
        turning.loop.mounts_changed()
    assert not turning.loop.news.empty()


def test_a_held_loop_sleeps_though_mounts_were_to_be_judged(node: Node) -> None:
    """A mount comes and the switch is thrown: what was due before must not wake it for ever."""
    turning = Turning(node)
    turning.loop.first_pass()
    node.host.mount()
    turning.loop.turn()
    node.host.mount("0:51", path="/mnt/more")
    turning.loop.turn()
    turning.loop._judged_seconds = time.monotonic()  # noqa: SLF001 - judged a moment ago
    turning.loop._due.judge = time.monotonic()  # noqa: SLF001 - and to be judged again
    switched(turning, "observe")
    assert turning.loop._due.judge == inf  # noqa: SLF001 - nothing wakes it


def test_a_broken_look_under_new_settings_is_not_repeated_without_a_pause(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tuner that has seen nothing yet judges no mounts."""
    turning = Turning(node)
    turning.loop.first_pass()
    turning.loop.tuner.scene = None
    turning.loop._is_new = True  # noqa: SLF001 - as after a change of settings
    turning.loop._due.judge = time.monotonic()  # noqa: SLF001 - due under the settings before

    def observe(*_: object) -> None:
        raise HostError("links", EMFILE, "no more")

    with monkeypatch.context() as broken:
        broken.setattr(FakeHost, "observe", observe)
        turning.loop.turn()
    assert turning.loop._due.judge == inf  # noqa: SLF001 - nothing wakes it


def test_a_person_who_asks_for_the_full_size_gets_a_whole_pass(node: Node) -> None:
    """It asks what worked before and proves; nothing of it is drift that was put right."""
    turning = Turning(node)
    node.prober.servers[SERVER] = FakeServer(up_bytes=4000, has_hints=True)
    turning.loop.first_pass()
    assert node.host.mtu("eth1") == 4000
    node.prober.servers[SERVER] = FakeServer()
    turning.loop.retry()
    turning.loop.turn()
    assert node.host.mtu("eth1") == 9000
    assert turning.status.repairs == {}
    assert turning.announced == []


def test_a_link_that_is_new_to_us_grows_in_a_whole_pass_only(node: Node) -> None:
    """A mount of another server appears: its link's neighbours are asked before it grows."""
    add_network(node, FakeServer())
    turning = Turning(node)
    turning.loop.first_pass()
    node.host.mount(source=f"{LATE}:/models")
    node.prober.sent.clear()
    asked: list[bool] = []
    node.host.before_write = lambda change: asked.append(
        change.target != "link/eth2/mtu" or "gateway 10.2.0.1" in " ".join(node.prober.sent)
    )
    turning.loop.turn()
    assert node.host.mtu("eth2") == 9000
    assert all(asked)
    assert turning.status.repairs == {}


def test_a_link_that_is_new_to_us_in_the_middle_of_a_repair_waits_for_the_pass(node: Node) -> None:
    """The mount comes while a drift is put right: what it needs is asked for all the same."""
    add_network(node, FakeServer())
    turning = Turning(node)
    turning.loop.first_pass()
    node.prober.sent.clear()
    asked: list[bool] = []

    def mount(change: Change) -> None:
        if change.target == "link/eth2/mtu":
            asked.append("gateway 10.2.0.1" in node.prober.sent)
        elif not node.host.mounts:
            node.host.mount(source=f"{LATE}:/models")

    node.host.set_mtu("eth1", 1500)
    node.host.before_write = mount
    turning.loop.turn()
    assert node.host.mtu("eth2") == 9000
    assert asked == [True]
    assert turning.status.repairs == {"link": 1}


def test_a_node_that_is_switched_back_says_so_though_its_server_is_silent(node: Node) -> None:
    """Otherwise it would be shown as observed for as long as the server is waited for."""
    turning = Turning(node)
    turning.loop.first_pass()
    turning.status.is_gate_open = True
    switched(turning, "observe")
    node.prober.servers[SERVER].answers = False
    switched(turning, "apply")
    assert turning.published[-1].outcome is Outcome.PENDING
    told = len(turning.published)
    turning.loop.turn()
    turning.loop._due.prove = 0.0  # noqa: SLF001 - the retry is due
    turning.loop.turn()
    assert len(turning.published) == told, "and only once"


def test_a_mode_is_announced_once_however_often_the_message_changes(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storm of mounts is no storm of events; the condition says what would be done now."""
    monkeypatch.setattr(standby, "SPACING_SECONDS", 0.0)
    turning = Turning(node)
    events: list[Mode] = []
    turning.loop.standby = Standby(
        turning.status,
        turning.loop.log,
        lambda mode, message: turning.held.append((mode, message)),
        lambda mode, _message: events.append(mode),
    )
    switched(turning, "observe")
    for number in range(3):
        node.host.mount(f"0:{60 + number}", path=f"/mnt/{number}")
        turning.loop.turn()
    assert len(turning.held) == 4
    assert events == [Mode.OBSERVE]
    switched(turning, "apply")
    switched(turning, "observe")
    switched(turning, "off")
    assert events == [Mode.OBSERVE, Mode.OBSERVE, Mode.OFF]
