"""What the read-ahead of mounts needs: planned, left alone, or said."""

from dataclasses import replace
from errno import EACCES, EINVAL, ENODEV

import pytest

from agent.mount_plan import plan_mounts
from agent.ports import HostError
from agent.readahead import ReadAheadChange, ReadAheadPolicy
from agent.readers import AUTO
from agent.state import Address, HostState, LinkName, Reason, Severity
from agent.verdict import failure_finding, is_gone
from tests.fakes import FakeHost

POLICY = ReadAheadPolicy()


def state_of(*kibs: int) -> HostState:
    """Return a host with a mount for each of these read-aheads."""
    host = FakeHost()
    for number, kib in enumerate(kibs):
        host.mount(f"0:{50 + number}", kib, source=f"10.1.0.10:/models{number}")
    return host.observe(())


def test_every_superblock_is_raised() -> None:
    """The change names the mount, its first value and the very superblock."""
    state = state_of(128, 1024)
    plan = plan_mounts(POLICY, state)
    assert [(item.target, item.before, item.after) for item in plan.changes] == [
        ("readahead/0:50", "128", "15360"),
        ("readahead/0:51", "1024", "15360"),
    ]
    assert [item.superblock for item in plan.changes] == [
        item.superblock for item in state.read_ahead.values()
    ]
    assert plan.changes[1].source == "10.1.0.10:/models1"


@pytest.mark.parametrize("kib", [15360, 20000])
def test_what_is_there_already_is_left_alone(kib: int) -> None:
    """A larger value is never lowered, and is named."""
    plan = plan_mounts(POLICY, state_of(kib))
    assert plan.changes == ()
    (left,) = plan.left_alone
    assert (left.target, left.value) == ("readahead/0:50", str(kib))
    assert plan.wanted_kib == {"0:50": 15360}


def test_zero_plans_nothing_and_says_nothing() -> None:
    """Whoever switches it off does not want to hear of it either."""
    state = replace(state_of(128), read_ahead_problem="it is not there")
    plan = plan_mounts(ReadAheadPolicy(0), state)
    assert (plan.changes, plan.left_alone, plan.findings) == ((), (), ())


def test_read_only_mounts_are_one_note_that_names_the_hostpath() -> None:
    """200 mounts are one line; the node does not fail."""
    state = state_of(128, 128, 128)
    read_ahead = {key: replace(item, is_writable=False) for key, item in state.read_ahead.items()}
    plan = plan_mounts(POLICY, replace(state, read_ahead=read_ahead))
    assert plan.changes == ()
    (finding,) = plan.findings
    assert (finding.severity, finding.reason) == (Severity.NOTE, Reason.READ_AHEAD_READ_ONLY)
    assert "10.1.0.10:/models0 and of 2 more NFS mounts" in finding.message
    assert "/sys/devices/virtual/bdi as a writable hostPath" in finding.message


def test_what_cannot_be_read_is_one_note() -> None:
    """A missing hostPath is named; without a mount nobody misses it."""
    problem = "/host/bdi is not there"
    state = replace(state_of(128), read_ahead={}, read_ahead_problem=problem)
    (finding,) = plan_mounts(POLICY, state).findings
    assert (finding.severity, finding.reason) == (Severity.NOTE, Reason.READ_AHEAD_UNREADABLE)
    assert problem in finding.message
    assert plan_mounts(POLICY, replace(state, mounts=())).findings == ()


def test_a_mount_that_went_away_during_the_look_is_nothing() -> None:
    """The table of mounts still had it, sysfs no more."""
    plan = plan_mounts(POLICY, replace(state_of(128), read_ahead={}))
    assert (plan.changes, plan.findings) == ((), ())


def test_auto_reckons_with_the_link_that_leads_to_the_server() -> None:
    """The delay is the server's, the bandwidth that of the route's link."""
    host = FakeHost()
    host.add("eth1")
    host.route("10.1.0.10", "eth1")
    host.mount()
    host.round_trips = {Address("10.1.0.10"): 0.01}
    host.link_megabits = {LinkName("eth1"): 10_000}
    state = host.observe([Address("10.1.0.10")])
    (change,) = plan_mounts(ReadAheadPolicy(AUTO), state).changes
    assert change.after_kib == 8192
    assert "10000 Mbit/s x 10.00 ms" in change.why


CHANGE = ReadAheadChange("0:50", 7, "srv:/a", 128, 15360, "read-ahead")


@pytest.mark.parametrize(
    ("code", "reason"),
    [(EACCES, Reason.READ_AHEAD_READ_ONLY), (EINVAL, Reason.READ_AHEAD_REFUSED)],
)
def test_a_refused_write_is_a_note(code: int, reason: Reason) -> None:
    """Whatever the kernel says, no node fails for read-ahead."""
    finding = failure_finding(CHANGE, HostError(CHANGE.target, code, "no"))
    assert (finding.severity, finding.reason) == (Severity.NOTE, reason)
    assert "srv:/a stays 128 KiB: no" in finding.message


def test_an_unmounted_mount_is_no_refusal() -> None:
    """It needs nothing any more."""
    assert is_gone(CHANGE, HostError(CHANGE.target, ENODEV, "gone"))
    assert not is_gone(CHANGE, HostError(CHANGE.target, EACCES, "no"))


@pytest.mark.parametrize(
    ("kib", "first", "after", "why"),
    [
        (0, "128", "128", "no longer wanted: its first value"),
        (1024, "128", "1024", "read-ahead"),
        (1024, "4096", "4096", "no longer wanted: its first value"),
    ],
)
def test_what_earlier_settings_raised_comes_down(
    kib: int, first: str, after: str, why: str
) -> None:
    """To what is wanted now, never below the first value, and only where ours still stands."""
    state = state_of(15360)
    (change,) = plan_mounts(ReadAheadPolicy(kib), state, {"readahead/0:50": first}).changes
    assert (change.before, change.after, change.why) == ("15360", after, why)
    assert plan_mounts(ReadAheadPolicy(kib), state).changes == ()
    done = state_of(int(after))
    assert plan_mounts(ReadAheadPolicy(kib), done, {"readahead/0:50": first}).changes == ()


def test_a_measured_size_only_rises() -> None:
    """It varies by itself, and a reader should not feel that."""
    plan = plan_mounts(ReadAheadPolicy(AUTO), state_of(65536), {"readahead/0:50": "128"})
    assert plan.changes == ()
