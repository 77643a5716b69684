"""Read-ahead over the life of mounts: raised, raised again, put back, never another mount's."""

import shutil
import threading
from collections.abc import Iterable
from dataclasses import replace
from errno import EACCES, EINVAL, ENOENT
from pathlib import Path

import pytest

from agent.journal import Journal, load
from agent.ports import AgentError, HostError
from agent.readahead import DEFAULT_KIB, ReadAheadChange
from agent.state import Change, LinkName, Outcome, Reason
from agent.tune import Tuner
from agent.verdict import Ceiling
from tests.fake_network import FakeServer
from tests.unit.agent.nodes import SERVER, Node
from tests.unit.agent.sockets import opened

TARGET = "readahead/0:50"


def kib(node: Node, device: str = "0:50") -> int:
    """Return a mount's read-ahead now."""
    return node.host.read_ahead[device].kib


def tuned(node: Node) -> Tuner:
    """Return the tuner of a node that has had its first pass."""
    tuner = node.tuner()
    assert tuner.tune().outcome is Outcome.TUNED
    return tuner


def test_a_mount_is_raised_and_put_back(node: Node) -> None:
    """By the first pass, and by revert."""
    node.host.mount()
    tuner = tuned(node)
    assert kib(node) == DEFAULT_KIB
    plan, findings = tuner.revert()
    assert TARGET in {change.target for change in plan.changes}
    assert findings == ()
    assert kib(node) == 128


def test_a_new_mount_is_a_first_write_and_no_drift(node: Node) -> None:
    """Whoever mounts has taken nothing away."""
    tuner = tuned(node)
    node.host.mount()
    done = tuner.repair()
    assert [change.target for change in done.applied] == [TARGET]
    assert (done.drifts, done.failures) == ((), ())
    assert kib(node) == DEFAULT_KIB


def test_a_mount_that_its_watch_raised_since_the_look_is_not_written_again(node: Node) -> None:
    """Neither told twice nor drift: the watch answers while the loop is between look and write."""
    tuner = tuned(node)
    raised: list[str] = []

    def watch() -> None:
        raised.extend(change.target for change in tuner.tend_mounts())

    node.host.mount()
    assert tuner.repair(before_write=watch).applied == ()
    node.host.mount()
    assert tuner.tune(before_write=watch).applied == ()
    assert raised == [TARGET, TARGET]


def test_a_mount_that_its_watch_raised_since_the_look_stays_in_the_journal(node: Node) -> None:
    """The loop writes something else: what its look did not show is new, and not gone."""
    tuner = tuned(node)

    def watch() -> None:
        node.host.mount()
        tuner.tend_mounts()

    node.host.set_mtu("eth1", 1500)
    assert len(tuner.repair(before_write=watch).drifts) == 1
    tuner.revert()
    assert kib(node) == 128  # the journal still knew it


def test_what_was_lowered_again_since_the_watch_raised_it_is_drift(node: Node) -> None:
    """The value of now decides, not what the look saw."""
    tuner = tuned(node)
    node.host.mount()
    tuner.tend_mounts()
    node.host.set_read_ahead("0:50", 256)

    def lower() -> None:
        node.host.set_read_ahead("0:50", 512)

    done = tuner.repair(before_write=lower)
    assert [(change.before, change.after) for change in done.drifts] == [("512", str(DEFAULT_KIB))]


def test_a_device_number_used_again_is_a_first_write_each_time(node: Node) -> None:
    """The kernel gives the number to the next mount at once: 200 of them are no fight."""
    tuner = tuned(node)
    for _ in range(200):
        node.host.mount()
        done = tuner.repair()
        assert (len(done.applied), done.drifts) == (1, ())
    assert tuner.repair().applied == ()


def test_a_known_mount_that_somebody_lowers_is_drift(node: Node) -> None:
    """Also after a restart: the journal knows the mount."""
    node.host.mount()
    for tuner in (tuned(node), tuned(node)):
        node.host.set_read_ahead("0:50", 1024)
        done = tuner.repair()
        assert [(item.target, item.before, item.after) for item in done.drifts] == [
            (TARGET, "1024", str(DEFAULT_KIB))
        ]
    tuner.revert()
    assert kib(node) == 128


def test_the_journal_forgets_mounts_that_are_gone(node: Node) -> None:
    """It does not grow with every mount that ever was."""
    tuner = tuned(node)
    for number in range(300):
        node.host.mount(f"0:{number}")
        tuner.repair()
        node.host.unmount(f"0:{number}")
    known = [item.target for item in load(node.folder, node.host.boot_id).originals]
    assert [target for target in known if target.startswith("readahead/")] == ["readahead/0:299"]


def test_the_journal_forgets_nothing_that_cannot_be_read_now(node: Node) -> None:
    """A folder that is away for a moment comes back, and revert must still know."""
    node.host.mount()
    tuner = tuned(node)
    away, node.host.read_ahead = node.host.read_ahead, {}
    node.host.read_ahead_problem = "it is not there"
    node.host.set_mtu("eth1", 1500)
    tuner.repair()
    node.host.read_ahead, node.host.read_ahead_problem = away, ""
    node.tuner().revert()
    assert kib(node) == 128


def test_a_value_that_another_program_gave_a_new_mount_is_never_reverted(node: Node) -> None:
    """A udev rule gives the next mount of the number just what we would have: it is not ours."""
    node.host.mount()
    tuner = tuned(node)
    node.host.mount(kib=DEFAULT_KIB)
    assert tuner.repair().applied == ()
    plan, _ = node.tuner().revert()
    assert kib(node) == DEFAULT_KIB
    (left,) = [item for item in plan.left_alone if item.target == TARGET]
    assert "gone" in left.why


def test_the_next_mount_of_a_number_has_its_own_first_value(node: Node) -> None:
    """What revert gives it is what it had, not what the one before had."""
    node.host.mount(kib=128)
    tuner = tuned(node)
    node.host.mount(kib=4096)
    tuner.repair()
    assert kib(node) == DEFAULT_KIB
    tuner.revert()
    assert kib(node) == 4096


def test_a_paused_target_is_not_the_next_mount_of_its_number(node: Node) -> None:
    """The breaker's pause is about a mount that has gone."""
    node.host.mount()
    tuner = tuned(node)
    paused = frozenset({TARGET})
    node.host.set_read_ahead("0:50", 128)
    assert tuner.repair(paused).applied == ()
    node.host.mount()
    assert [change.target for change in tuner.repair(paused).applied] == [TARGET]


def test_a_mount_that_vanishes_before_its_write_is_not_told(node: Node) -> None:
    """No finding, no failed node, no failure of revert."""
    node.host.mount()

    def unmount(change: Change) -> None:
        if isinstance(change, ReadAheadChange):
            node.host.unmount()

    node.host.before_write = unmount
    report = node.tuner().tune()
    assert report.outcome is Outcome.TUNED
    assert report.findings == ()


def test_a_mount_that_appears_during_the_writes_is_raised_in_the_same_pass(node: Node) -> None:
    """A storm of mounts never leaves a node failed for what came in between."""
    node.host.mount("0:50")
    waiting = [f"0:{number}" for number in range(51, 60)]

    def mount(change: Change) -> None:
        if isinstance(change, ReadAheadChange) and waiting:
            node.host.mount(waiting.pop())

    node.host.before_write = mount
    report = node.tuner().tune()
    assert report.outcome is Outcome.TUNED
    assert {item.kib for item in node.host.read_ahead.values()} == {DEFAULT_KIB}
    assert len(node.host.read_ahead) == 10


def test_a_refused_write_is_a_note_and_not_tried_without_end(node: Node) -> None:
    """The node is tuned all the same, and says what it lacks."""
    node.host.mount()
    for code, reason in ((EACCES, Reason.READ_AHEAD_READ_ONLY), (EINVAL, "ReadAheadRefused")):
        node.host.refused = {TARGET: code}
        report = node.tuner().tune()
        assert report.outcome is Outcome.TUNED
        assert {item.reason for item in report.findings if item.check == "readahead"} == {reason}


def test_verify_says_what_is_left_to_raise(node: Node) -> None:
    """It writes nothing, so a mount below what is wanted is not fine."""
    tuner = tuned(node)
    node.host.mount()
    report = tuner.verify()
    assert (report.outcome, report.reason) == (Outcome.DEGRADED, Reason.NOT_CONVERGED)
    assert kib(node) == 128


def test_one_look_is_one_record(node: Node) -> None:
    """200 mounts at once are one write of the journal, before the first write to the host."""
    tuner = tuned(node)
    for number in range(200):
        node.host.mount(f"0:{number}")
    written: list[int] = []

    def note(_: Change) -> None:
        written.append(Path(node.folder, "journal.jsonl").stat().st_ino)

    node.host.before_write = note
    assert len(tuner.repair().applied) == 200
    assert len(set(written)) == 1


def test_the_report_shows_what_is_there_and_what_is_wanted(node: Node) -> None:
    """For the metrics and for scripts."""
    node.host.mount("0:50")
    node.host.mount("0:51", kib=20000)
    report = node.tuner().tune()
    assert report.read_ahead_kib == {"0:50": DEFAULT_KIB, "0:51": 20000}
    assert report.plan.read_ahead_kib == {"0:50": DEFAULT_KIB, "0:51": DEFAULT_KIB}


def test_it_can_be_left_alone(node: Node) -> None:
    """readAhead.kib: 0."""
    node.config = replace(node.config, read_ahead_kib=0)
    node.host.mount()
    tuned(node)
    assert kib(node) == 128


def tended(node: Node) -> Tuner:
    """Return a tuner that has had its first pass, with the mount 0:50 and its read-ahead."""
    node.host.mount()
    return tuned(node)


def test_a_new_mount_is_tended_without_a_look(node: Node) -> None:
    """The watch's own answer: one write, journaled first, and nothing left for the loop."""
    tuner = tended(node)
    node.host.mount("0:51")
    (change,) = tuner.tend_mounts()
    assert (change.target, change.before, change.after) == ("readahead/0:51", "128", "15360")
    assert (tuner.tend_mounts(), tuner.repair().applied) == ((), ())
    tuner.revert()
    assert kib(node, "0:51") == 128


def test_auto_is_tended_too(node: Node) -> None:
    """By what was measured of the mount's connection."""
    node.config = replace(node.config, read_ahead_kib="auto")
    node.host.mount()
    node.prober.opened = [
        opened(mtu=9000, min_rtt_seconds=0.01),
        opened(mtu=9000, min_rtt_seconds=0.03, rtt_seconds=0.001),
    ]
    node.speeds = {LinkName("eth1"): 10_000}
    tuner = tuned(node)
    assert kib(node) == 8192
    node.host.mount("0:51")
    assert [change.after for change in tuner.tend_mounts()] == ["8192"]


def test_auto_never_lowers_what_the_watch_found_larger_since_the_look(node: Node) -> None:
    """The first look comes before the mount's connection shows its delay, the watch after."""
    node.config = replace(node.config, read_ahead_kib="auto")
    node.prober.opened = [opened(mtu=9000, min_rtt_seconds=0.001)]
    node.speeds = {LinkName("eth1"): 10_000}
    tuner = tuned(node)

    def watch() -> None:
        node.prober.opened = [opened(mtu=9000, min_rtt_seconds=0.01)]
        assert [change.after for change in tuner.tend_mounts()] == ["8192"]

    node.host.mount()
    assert tuner.repair(before_write=watch).applied == ()
    assert kib(node) == 8192


def test_auto_without_a_list_of_connections_takes_the_default(node: Node) -> None:
    """A kernel that cannot list them keeps nobody from reading ahead."""
    node.config = replace(node.config, read_ahead_kib="auto")
    node.prober.cannot_list = HostError("connections", ENOENT, "tcp_diag is missing")
    node.host.mount()
    tuned(node)
    assert kib(node) == DEFAULT_KIB


def test_smaller_settings_take_back_what_larger_ones_raised(node: Node) -> None:
    """And 0 takes back all of it; the very first value is kept for revert."""
    node.host.mount()
    tuned(node)
    for wanted, is_now in ((1024, 1024), (0, 128)):
        node.config = replace(node.config, read_ahead_kib=wanted)
        tuned(node)
        assert kib(node) == is_now


def test_nothing_is_tended_before_the_first_pass_writes(node: Node) -> None:
    """The Node may forbid all writing; only the pass has asked."""
    tuner = node.tuner()
    node.host.mount()
    assert tuner.tend_mounts() == ()

    def refuse() -> None:
        raise AgentError

    with pytest.raises(AgentError):
        tuner.tune(before_write=refuse)
    assert tuner.tend_mounts() == ()
    assert kib(node) == 128


def test_nothing_is_tended_after_a_revert_or_at_rest(node: Node) -> None:
    """Until the next pass writes."""
    tuner = tended(node)
    for stop in (tuner.revert, tuner.rest):
        stop()
        node.host.mount("0:51")
        assert tuner.tend_mounts() == ()
        tuner.tune()
        assert kib(node, "0:51") == DEFAULT_KIB


def test_a_known_mount_is_not_tended(node: Node) -> None:
    """Who lowers it meets the loop, which counts and gives up in the end."""
    tuner = tended(node)
    node.host.set_read_ahead("0:50", 128)
    assert tuner.tend_mounts() == ()
    assert len(tuner.repair().drifts) == 1


def test_a_refused_or_unjournaled_mount_is_left_to_the_loop(node: Node) -> None:
    """The loop says what is wrong; the watch goes on."""
    tuner = tended(node)
    node.host.mount("0:51")
    node.host.refused = {"readahead/0:51": EACCES}
    assert tuner.tend_mounts() == ()
    node.host.mount("0:52")
    shutil.rmtree(node.folder)
    Path(node.folder).write_text("no folder")
    assert tuner.tend_mounts() == ()
    assert kib(node, "0:52") == 128
    Path(node.folder).unlink()


def test_a_mount_that_comes_while_ceilings_are_kept_stays_in_the_journal(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads write the journal: neither may write over what the other has put there."""
    node.prober.servers[SERVER] = FakeServer(up_bytes=4000, has_hints=True)
    tuner = node.tuner()
    mounting: list[threading.Thread] = []
    hold = Journal.hold

    def hold_slowly(journal: Journal, ceilings: Iterable[Ceiling], settings_hash: str) -> Journal:
        node.host.mount()
        thread = threading.Thread(target=tuner.tend_mounts)
        thread.start()
        thread.join(0.2)
        mounting.append(thread)
        return hold(journal, ceilings, settings_hash)

    monkeypatch.setattr(Journal, "hold", hold_slowly)
    tuner.tune()
    for thread in mounting:
        thread.join()
    assert kib(node) == DEFAULT_KIB
    assert TARGET in {item.target for item in load(node.folder, "boot-1").originals}
