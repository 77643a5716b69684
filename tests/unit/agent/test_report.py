"""From what a pass saw and did to one report."""

from dataclasses import replace

from agent.connections import Seen
from agent.report import build, journal_findings
from agent.scene import Scene
from agent.state import (
    Finding,
    LinkName,
    Outcome,
    Plan,
    Reason,
    Report,
    Severity,
    TcpMemory,
    Verdict,
)
from agent.verdict import Ceiling
from tests.unit.agent.nodes import SERVER, Node

CEILING = Ceiling(LinkName("eth1"), 4000, Reason.BLACK_HOLE, "lost above 4000")


def scene_of(node: Node) -> Scene:
    """Return the scene that the agent would see."""
    return node.tuner().plan()[0]


def test_a_change_that_is_left_must_be_explained(node: Node) -> None:
    """What no other finding names is not converged."""
    report = build(scene_of(node), (), (), Seen(()), ())
    assert {f.reason for f in report.findings} == {Reason.NOT_CONVERGED}
    assert {f.target for f in report.findings} == {c.target for c in report.plan.changes}
    explained = Finding("apply", Severity.FAILED, Reason.NO_PERMISSION, "link/eth1/mtu", "no")
    report = build(scene_of(node), (), (explained,), Seen(()), ())
    assert [f.reason for f in report.findings if f.target == "link/eth1/mtu"] == [
        Reason.NO_PERMISSION
    ]


def test_without_a_journal_nothing_else_needs_explaining(node: Node) -> None:
    """One sentence covers all that was not written."""
    failure = Finding("journal", Severity.FAILED, Reason.JOURNAL_UNWRITABLE, "", "full")
    assert build(scene_of(node), (), (failure,), Seen(()), ()).findings == (failure,)


def test_a_ceiling_counts_only_below_what_is_wanted(node: Node) -> None:
    """One found for a larger target says nothing about this one."""
    node.tuner().tune()
    scene = scene_of(node)
    above = replace(CEILING, mtu_bytes=9000)
    assert build(scene, (above,), (), Seen(()), ()).outcome is Outcome.TUNED
    report = build(scene, (CEILING, CEILING), (), Seen(()), ())
    assert (report.outcome, report.reason) == (Outcome.DEGRADED, Reason.BLACK_HOLE)
    assert len(report.findings) == 1


def test_what_the_host_could_not_tell_is_a_note(node: Node) -> None:
    """Unreadable files and filling buffers are told, and change no outcome."""
    node.tuner().tune()
    node.host.problems = ("cannot read mountinfo",)
    node.host.tcp_memory = TcpMemory(90, 100)
    report = build(scene_of(node), (), (), Seen(()), ())
    assert report.outcome is Outcome.TUNED
    assert {f.reason for f in report.findings} == {
        Reason.HOST_UNREADABLE,
        Reason.TCP_MEMORY_PRESSURE,
    }


def test_a_proof_over_a_link_that_went_says_nothing(node: Node) -> None:
    """The missing link is told by its route."""
    report = node.tuner().tune()
    node.host.remove("eth1")
    small = replace(report.proofs[0], verdict=Verdict.SMALLER, reason=Reason.BLACK_HOLE)
    found = build(scene_of(node), (), (), Seen((small,)), ())
    assert {f.reason for f in found.findings} == {Reason.ENDPOINT_UNROUTED}
    assert found.findings[0].target == SERVER


def test_damage_is_a_note_for_each_part() -> None:
    """The path is the target, the sentence what was found."""
    found = journal_findings("/j", ("line 1", "line 2"))
    assert [(f.target, f.message, f.severity) for f in found] == [
        ("/j", "line 1", Severity.NOTE),
        ("/j", "line 2", Severity.NOTE),
    ]


def test_the_reason_is_of_the_first_finding_that_decided() -> None:
    """Notes before it do not speak for the node."""
    note = Finding("host", Severity.NOTE, Reason.HOST_UNREADABLE, "", "")
    small = Finding("path", Severity.DEGRADED, Reason.PATH_BELOW_TARGET, "", "")
    report = Report(Outcome.DEGRADED, (note, small), Plan(()), (), {})
    assert report.reason is Reason.PATH_BELOW_TARGET
    assert replace(report, outcome=Outcome.TUNED).reason is Reason.TUNED
