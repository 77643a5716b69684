"""From what a pass saw and did to the one Report that the gate and the commands look at. Pure."""

from collections.abc import Iterable, Sequence

from agent.baseline import layer_names
from agent.connections import Seen
from agent.plan import floor_bytes, link_target
from agent.readahead import ReadAheadChange
from agent.scene import Scene
from agent.state import (
    Change,
    Finding,
    LinkMtuChange,
    Outcome,
    Plan,
    Proof,
    Reason,
    Report,
    Severity,
)
from agent.verdict import (
    Ceiling,
    ceiling_finding,
    memory_finding,
    outcome_of,
    proof_finding,
    way_back_finding,
)
from common.record import replace


def journal_findings(path: str, problems: Iterable[str]) -> tuple[Finding, ...]:
    """Return a note for each part of the journal that could not be read."""
    return tuple(
        Finding("journal", Severity.NOTE, Reason.JOURNAL_DAMAGED, path, problem)
        for problem in problems
    )


def build(
    scene: Scene,
    ceilings: Iterable[Ceiling],
    failures: Iterable[Finding],
    seen: Seen,
    applied: tuple[Change, ...],
) -> Report:
    """Return the report of a pass that ended in this scene."""
    remaining = scene.plan
    findings = [*failures, *remaining.findings, *scene.known.findings]
    is_auto = bool(scene.desired.auto_from)
    findings += [
        ceiling_finding(item, is_auto=is_auto)
        for item in ceilings
        if item.mtu_bytes < scene.desired.mtu_bytes
    ]
    for proof in seen.proofs:
        findings += _proof_findings(scene, proof)
    findings += seen.findings
    findings += [_unread(problem) for problem in scene.state.problems]
    findings += [item for item in (memory_finding(scene.state),) if item]
    findings += _unconverged(remaining, findings)
    mtus = {name: link.mtu_bytes for name in remaining.links if (link := scene.state.named(name))}
    unique = tuple(dict.fromkeys(findings))
    read_ahead = {device: item.kib for device, item in scene.state.read_ahead.items()}
    return Report(
        outcome=outcome_of(unique),
        findings=unique,
        plan=remaining,
        proofs=seen.proofs,
        link_mtus=mtus,
        applied=applied,
        read_ahead_kib=read_ahead,
        early_connections=seen.early,
        healed_connections=seen.healed,
    )


def put_off(report: Report, began: Scene, ended: Scene) -> Report:
    """
    Return the report with links that carry storage only since the pass began as not known yet.

    A route moved in the middle, as it does while another link flaps: nothing was tried there.
    """
    known = {name for link in began.plan.links for name in layer_names(began, link)}
    moved = {name for link in ended.plan.links for name in layer_names(ended, link)} - known
    targets = {link_target(name) for name in moved}
    findings = tuple(
        replace(
            item,
            severity=Severity.PENDING,
            message=f"{item.message}: it carries storage only since a moment ago",
        )
        if item.reason is Reason.NOT_CONVERGED and item.target in targets
        else item
        for item in report.findings
    )
    return replace(report, findings=findings, outcome=outcome_of(findings))


def broken_off(error: Exception) -> Report:
    """Return what a look at the host that came to no end means: not known yet, tried again."""
    why = str(error) or "out of memory"
    message = (
        f"the look at the host broke off and is tried again: {why}; if it goes on, see the agent's "
        "limits on memory, processes and open files"
    )
    finding = Finding("host", Severity.PENDING, Reason.HOST_UNREADABLE, "", message)
    return Report(Outcome.PENDING, (finding,), Plan(()), (), {})


def _unread(problem: str) -> Finding:
    return Finding("host", Severity.NOTE, Reason.HOST_UNREADABLE, "", problem)


def _proof_findings(scene: Scene, proof: Proof) -> list[Finding]:
    link = scene.carrier(proof.endpoint.address)
    if link is None:
        return []
    first = floor_bytes(link, scene.desired.first_values)
    found = (proof_finding(proof, link.mtu_bytes, first), way_back_finding(proof))
    return [item for item in found if item]


def _unconverged(remaining: Plan, findings: Sequence[Finding]) -> list[Finding]:
    """
    Return a failure for each change still planned that no other finding explains.

    A read-ahead is advisory: a node without it is degraded. Where a link went away, its routes
    went elsewhere: what other links want now is the next pass's.
    """
    explained = {finding.target for finding in findings}
    reasons = {finding.reason for finding in findings}
    if Reason.JOURNAL_UNWRITABLE in reasons:
        return []
    if Reason.LINK_VANISHED in reasons:
        explained |= {item.target for item in remaining.changes if isinstance(item, LinkMtuChange)}
    return [
        Finding(
            "apply",
            Severity.DEGRADED if isinstance(change, ReadAheadChange) else Severity.FAILED,
            Reason.NOT_CONVERGED,
            change.target,
            f"{change.target} is {change.before}, wanted {change.after}",
        )
        for change in remaining.changes
        if change.target not in explained
    ]
