"""What the commands print: one report or plan as text for people or JSON for scripts. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence

from agent.config import AgentConfig
from agent.profiles import Chosen, differences
from agent.readahead import ReadAheadChange
from agent.state import (
    Change,
    Finding,
    LeftAlone,
    LinkMtuChange,
    Outcome,
    Plan,
    Proof,
    Report,
    Severity,
)

_COLOURS = {"good": "32", "warn": "33", "bad": "31", "dim": "2", "bold": "1"}
_SEVERITY_COLOUR = {
    Severity.NOTE: "dim",
    Severity.DEGRADED: "warn",
    Severity.PENDING: "warn",
    Severity.FAILED: "bad",
}
_OUTCOME_COLOUR = {
    Outcome.TUNED: "good",
    Outcome.DEGRADED: "warn",
    Outcome.PENDING: "warn",
    Outcome.FAILED: "bad",
}


def paint(text: str, colour: str, *, is_coloured: bool) -> str:
    """Return the text in a colour when the output takes colours."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if is_coloured else text


def name_of(change: Change) -> str:
    """Return a change's target as people call it."""
    if isinstance(change, ReadAheadChange):
        return f"{change.source} ({change.device}) read-ahead KiB"
    return f"{change.link} MTU" if isinstance(change, LinkMtuChange) else str(change.key)


def profile_lines(base: AgentConfig, chosen: Chosen) -> list[str]:
    """Return which profile won and why, what it changes, and why not each one before it."""
    if not base.profiles:
        return []
    changed = differences(base, chosen.config)
    width = max((len(item.path) for item in changed), default=0)
    return [
        f"profile {chosen.name} ({chosen.why})",
        *(f"  {item.path:<{width}}  {item.before} -> {item.after}" for item in changed),
        *(f"  not {text}" for text in chosen.passed_over),
    ]


def plan_text(plan: Plan, profile: Sequence[str], *, is_coloured: bool) -> str:
    """
    Return a plan as lines below those of the profile.

    Each change, what is left alone and why, what to know, a summary.
    """
    lines = [*profile, *_change_lines(plan.changes), *_left_alone_lines(plan.left_alone)]
    lines += _finding_lines(plan.findings, is_coloured=is_coloured)
    if plan.changes:
        number = len(plan.changes)
        what = f"{number} change{'s' if number > 1 else ''} to make; 'tunegate-agent apply' makes "
        lines.append(
            paint(f"{what}{'them' if number > 1 else 'it'}", "warn", is_coloured=is_coloured)
        )
    else:
        lines.append(paint("nothing to change", "good", is_coloured=is_coloured))
    return "\n".join(lines)


def report_text(report: Report, profile: Sequence[str], *, is_coloured: bool) -> str:
    """Return a report as lines: what was written, the proofs, the findings, the outcome."""
    lines = [*profile, *_change_lines(report.applied), *_left_alone_lines(report.plan.left_alone)]
    lines += [line for proof in report.proofs for line in _proof_lines(proof)]
    lines += _finding_lines(report.findings, is_coloured=is_coloured)
    mtus = ", ".join(f"{name} MTU {mtu}" for name, mtu in sorted(report.link_mtus.items()))
    word = paint(report.outcome.value, _OUTCOME_COLOUR[report.outcome], is_coloured=is_coloured)
    lines.append(f"{word}: {report.reason.value}{f' ({mtus})' if mtus else ''}")
    return "\n".join(lines)


def revert_text(plan: Plan, findings: Iterable[Finding], *, is_coloured: bool) -> str:
    """Return what a revert put back and what it left alone."""
    lines = [*_change_lines(plan.changes), *_left_alone_lines(plan.left_alone)]
    lines += _finding_lines(findings, is_coloured=is_coloured)
    lines.append(f"{len(plan.changes)} put back, {len(plan.left_alone)} left alone")
    return "\n".join(lines)


def _change_lines(changes: Sequence[Change]) -> list[str]:
    width = max((len(name_of(change)) for change in changes), default=0)
    return [
        f"  {name_of(change):<{width}}  {change.before} -> {change.after}  ({change.why})"
        for change in changes
    ]


def _left_alone_lines(left_alone: Sequence[LeftAlone]) -> list[str]:
    if not left_alone:
        return []
    width = max(len(item.target) for item in left_alone)
    rows = [f"  {item.target:<{width}}  {item.value}: {item.why}" for item in left_alone]
    return ["left alone:", *rows]


def _finding_lines(findings: Iterable[Finding], *, is_coloured: bool) -> list[str]:
    return [
        paint(f"{item.severity.value}", _SEVERITY_COLOUR[item.severity], is_coloured=is_coloured)
        + f" {item.reason.value}: {item.message}"
        for item in findings
    ]


def _proof_lines(proof: Proof) -> list[str]:
    where = f"{proof.endpoint.host}:{proof.endpoint.port}"
    if proof.endpoint.host != proof.endpoint.address:
        where += f" ({proof.endpoint.address})"
    head = f"  path to {where}, {proof.wanted_bytes} bytes: {proof.verdict.value}"
    return [head, *(f"    {sign}" for sign in proof.signs)]


def profile_object(base: AgentConfig, chosen: Chosen) -> dict[str, object]:
    """Return which profile won and why, what it changes, and why not each one before it."""
    return {
        "name": chosen.name,
        "why": chosen.why,
        "hash": chosen.config.hash,
        "changes": [
            {"setting": item.path, "before": item.before, "after": item.after}
            for item in differences(base, chosen.config)
        ],
        "passedOver": list(chosen.passed_over),
    }


def plan_json(plan: Plan, profile: Mapping[str, object]) -> str:
    """Return a plan as one JSON object, with the profile that it was made by."""
    return _dump({"isEmpty": plan.is_empty, "profile": profile, **_plan_object(plan)})


def report_json(report: Report, profile: Mapping[str, object]) -> str:
    """Return a report as one JSON object, with the profile that it was made by."""
    return _dump(
        {
            "outcome": report.outcome.value,
            "reason": report.reason.value,
            "profile": profile,
            "applied": [_change_object(change) for change in report.applied],
            "links": dict(report.link_mtus),
            "readAheadKib": dict(report.read_ahead_kib),
            "proofs": [_proof_object(proof) for proof in report.proofs],
            "remaining": _plan_object(report.plan),
            "findings": [_finding_object(finding) for finding in report.findings],
        }
    )


def revert_json(plan: Plan, findings: Iterable[Finding]) -> str:
    """Return a revert as one JSON object."""
    return _dump(
        {
            "reverted": [_change_object(change) for change in plan.changes],
            "leftAlone": [_left_object(item) for item in plan.left_alone],
            "findings": [_finding_object(finding) for finding in findings],
        }
    )


def _dump(value: object) -> str:
    return json.dumps(value, indent=2)


def _plan_object(plan: Plan) -> dict[str, object]:
    return {
        "changes": [_change_object(change) for change in plan.changes],
        "leftAlone": [_left_object(item) for item in plan.left_alone],
        "links": dict(plan.links),
        "readAheadKib": dict(plan.read_ahead_kib),
        "findings": [_finding_object(finding) for finding in plan.findings],
    }


def _change_object(change: Change) -> dict[str, object]:
    return {
        "target": change.target,
        "before": change.before,
        "after": change.after,
        "why": change.why,
    }


def _left_object(item: LeftAlone) -> dict[str, object]:
    return {"target": item.target, "value": item.value, "why": item.why}


def _finding_object(finding: Finding) -> dict[str, object]:
    return {
        "check": finding.check,
        "severity": finding.severity.value,
        "reason": finding.reason.value,
        "target": finding.target,
        "message": finding.message,
    }


def _proof_object(proof: Proof) -> dict[str, object]:
    return {
        "host": proof.endpoint.host,
        "address": proof.endpoint.address,
        "port": proof.endpoint.port,
        "origin": proof.endpoint.origin,
        "verdict": proof.verdict.value,
        "reason": proof.reason.value,
        "wantedBytes": proof.wanted_bytes,
        "passesBytes": proof.passes_bytes,
        "serverMtuBytes": proof.server_mtu_bytes,
        "wayBack": proof.way_back,
        "signs": list(proof.signs),
    }
