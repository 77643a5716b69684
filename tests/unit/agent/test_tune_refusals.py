"""What a pass does when the kernel, the journal or another writer says no."""

from dataclasses import replace
from errno import EINVAL, ENODEV, EPERM, EROFS
from pathlib import Path

import pytest

from agent.state import (
    Change,
    LinkName,
    Outcome,
    Reason,
    Severity,
)
from tests.fakes import FakeHost
from tests.unit.agent.nodes import SERVER, Node, one_link, reasons


def test_a_refused_mtu_is_not_tried_again(node: Node) -> None:
    """A driver that takes less than it says: degraded, and a restart does not ask again."""
    node.host.refused_above["eth1"] = 4000
    report = node.tuner().tune()
    assert report.outcome is Outcome.DEGRADED
    assert report.reason is Reason.LINK_REFUSED_MTU
    attempts = len(node.host.attempts)
    assert node.tuner().tune().reason is Reason.LINK_REFUSED_MTU
    assert len(node.host.attempts) == attempts


def test_a_refused_parent_spares_its_vlan(tmp_path: Path) -> None:
    """What stands on a link that did not grow is not asked to outgrow it."""
    node = one_link(str(tmp_path))
    node.host.add("vlan7", kind="vlan", on="eth0", addresses=("10.7.0.5",))
    node.host.route("10.7.0.10", "vlan7")
    node.serve("10.7.0.10")
    node.host.refused_above["eth0"] = 4000
    report = node.tuner().tune()
    assert report.reason is Reason.LINK_REFUSED_MTU
    assert [error.errno for error in node.host.refusals] == [EINVAL]


def test_a_link_that_vanishes_is_pending(node: Node) -> None:
    """The route goes with the link; both may come back."""

    def unplug(change: Change) -> None:
        if change.target == "link/eth1/mtu":
            node.host.remove("eth1")

    node.host.before_write = unplug
    report = node.tuner().tune()
    assert report.outcome is Outcome.PENDING
    assert Reason.LINK_VANISHED in reasons(report)


def test_a_link_made_anew_under_the_same_name_is_pending(node: Node) -> None:
    """The new link is not the one that was planned for: it is left for the next pass."""

    def swap(change: Change) -> None:
        if change.target == "link/eth1/mtu":
            node.host.before_write = None
            node.host.remove("eth1")
            node.host.add("spare")
            node.host.add("eth1", addresses=("10.1.0.5",))
            node.host.route(SERVER, "eth1")

    node.host.before_write = swap
    tuner = node.tuner()
    assert tuner.tune().outcome is Outcome.PENDING
    assert tuner.tune().outcome is Outcome.TUNED


def test_a_route_that_moves_in_the_middle_is_pending(node: Node) -> None:
    """While a link flaps its routes go elsewhere: nothing was tried there, so nothing failed."""

    def move(change: Change) -> None:
        if change.target == "link/eth1/mtu":
            node.host.route(SERVER, "eth0")

    node.host.before_write = move
    tuner = node.tuner()
    report = tuner.tune()
    assert report.outcome is Outcome.PENDING
    assert [(item.target, item.reason) for item in report.findings] == [
        ("link/eth0/mtu", Reason.NOT_CONVERGED)
    ]
    node.host.route(SERVER, "eth1")
    assert tuner.tune().outcome is Outcome.TUNED
    assert node.host.named("eth0").mtu_bytes == 1500


@pytest.mark.parametrize("target", ["link/eth1/mtu", "sysctl/net.ipv4.tcp_rmem"])
def test_no_permission_names_what_is_missing(node: Node, target: str) -> None:
    """A missing capability is a failure that says what to give; the rest is still tuned."""
    node.host.refused[target] = EPERM
    report = node.tuner().tune()
    assert report.outcome is Outcome.FAILED
    assert report.reason is Reason.NO_PERMISSION
    assert reasons(report) == {Reason.NO_PERMISSION}
    assert node.host.sysctls["net.ipv4.tcp_mtu_probing"] == "1"  # type: ignore[index]


@pytest.mark.parametrize("number", [EPERM, EROFS, EINVAL, ENODEV])
def test_an_advisory_sysctl_never_fails_the_node(node: Node, number: int) -> None:
    """rmem_max may refuse its write however it likes: it is a note."""
    node.host.refused["sysctl/net.core.rmem_max"] = number
    report = node.tuner().tune()
    assert report.outcome is Outcome.TUNED
    assert {f.severity for f in report.findings} == {Severity.NOTE}


def test_a_read_only_sysctl_is_not_tried(node: Node) -> None:
    """Advisory rows that are read-only cost a note and no write."""
    node.host.read_only |= {"net.core.rmem_max", "net.core.wmem_max"}
    report = node.tuner().tune()
    assert report.outcome is Outcome.TUNED
    assert reasons(report) == {Reason.SYSCTL_READ_ONLY}
    assert node.host.refusals == []


def test_a_sysctl_that_does_not_stick_is_not_converged(node: Node) -> None:
    """Somebody who writes right after us is seen by planning again."""

    def undo(change: Change) -> None:
        if change.target != "sysctl/net.ipv4.tcp_mtu_probing":
            node.host.sysctls["net.ipv4.tcp_mtu_probing"] = "0"  # type: ignore[index]

    node.host.before_write = undo
    node.config = replace(node.config, sysctls=tuple(reversed(node.config.sysctls)))
    report = node.tuner().tune()
    assert report.outcome is Outcome.FAILED
    assert report.reason is Reason.NOT_CONVERGED


def test_without_a_journal_nothing_is_written(node: Node) -> None:
    """What could not be undone is not done."""
    Path(node.folder, "journal.jsonl.new").mkdir()
    report = node.tuner().tune()
    assert report.outcome is Outcome.FAILED
    assert reasons(report) == {Reason.JOURNAL_UNWRITABLE}
    assert node.host.attempts == []


def test_a_damaged_journal_is_told(node: Node) -> None:
    """The pass goes on, says so, and keeps the damaged file."""
    Path(node.folder, "journal.jsonl").write_text("garbage\n")
    report = node.tuner().tune()
    assert report.outcome is Outcome.TUNED
    assert reasons(report) == {Reason.JOURNAL_DAMAGED}
    assert Path(node.folder, "journal.jsonl.damaged").read_text() == "garbage\n"


def test_an_unknown_boot_writes_nothing(node: Node) -> None:
    """Without the boot ID nobody can say whose first values the journal holds."""
    node.tuner().tune()
    kept = Path(node.folder, "journal.jsonl").read_text()
    node.host.boot_id = ""
    node.host.set_mtu("eth1", 1500)
    written = len(node.host.attempts)
    tuner = node.tuner()
    assert tuner.tune().reason is Reason.JOURNAL_UNWRITABLE
    tuner.revert()
    assert len(node.host.attempts) == written
    assert Path(node.folder, "journal.jsonl").read_text() == kept


def test_a_refused_revert_keeps_the_journal(node: Node) -> None:
    """What could not be put back can be tried again."""
    node.tuner().tune()
    node.host.refused["link/eth1/mtu"] = EPERM
    _, findings = node.tuner().revert()
    assert [finding.reason for finding in findings] == [Reason.NO_PERMISSION]
    node.host.refused.clear()
    node.tuner().revert()
    assert node.host.mtu("eth1") == 1500


def test_an_ignored_target_is_left_as_it_is(node: Node) -> None:
    """A contested target and what stands on it are not written."""
    node.host.add("vlan7", kind="vlan", on="eth1", addresses=("10.7.0.5",))
    node.host.route("10.7.0.10", "vlan7")
    node.serve("10.7.0.10")
    node.tuner().tune(frozenset({"link/eth1/mtu"}))
    assert (node.host.mtu("eth1"), node.host.mtu("vlan7")) == (1500, 1500)
    assert node.host.refusals == []


def test_a_bond_of_unequal_links_settles(tmp_path: Path) -> None:
    """The kernel gives all members the bond's MTU: the smallest maximum rules them all."""
    host = FakeHost()
    host.add("bond0", kind="bond", addresses=("10.1.0.5",))
    host.add("eth0", master="bond0", max_mtu_bytes=9000)
    host.add("eth1", master="bond0", max_mtu_bytes=3900)
    host.route(SERVER, "bond0")
    node = Node(host, str(tmp_path))
    node.serve(SERVER)
    report = node.tuner().tune()
    assert report.outcome is Outcome.TUNED
    assert [host.mtu(name) for name in ("bond0", "eth0", "eth1")] == [3900, 3900, 3900]
    assert report.link_mtus == {LinkName("bond0"): 3900}


def test_a_parent_without_permission_spares_its_vlan(single: Node) -> None:
    """The vlan's own size was never refused, so nothing is remembered against it."""
    single.host.add("vlan7", kind="vlan", on="eth0", addresses=("10.7.0.5",))
    single.host.route("10.7.0.10", "vlan7")
    single.serve("10.7.0.10")
    single.host.refused["link/eth0/mtu"] = EPERM
    assert single.tuner().tune().reason is Reason.NO_PERMISSION
    assert [error.target for error in single.host.refusals] == ["link/eth0/mtu"]
    single.host.refused.clear()
    assert single.tuner().tune().outcome is Outcome.TUNED
    assert single.host.mtu("vlan7") == 9000


def test_a_fallback_that_cannot_be_remembered_is_told(node: Node) -> None:
    """The host is safe; a restart would try the unsafe size again, and that is said."""
    node.prober.servers[SERVER].up_bytes = 4000

    def fill(change: Change) -> None:
        if change.after == "4000":
            Path(node.folder, "journal.jsonl.new").mkdir()

    node.host.before_write = fill
    report = node.tuner().tune()
    assert node.host.mtu("eth1") == 4000
    assert reasons(report, Severity.FAILED) == {Reason.JOURNAL_UNWRITABLE}
