"""A person's switch on the Node, the label ``tunegate.io/mode``: what the agent may do. Pure."""

from collections.abc import Sequence
from enum import StrEnum

from agent.facts import NodeFacts
from agent.state import Change, Finding, LeftAlone, Report, Severity
from common.names import LABEL_MODE


class Mode(StrEnum):
    """What the agent may do on its host."""

    APPLY = "apply"  # tune, prove, repair: without a label too
    OBSERVE = "observe"  # say what it would do, write nothing
    OFF = "off"  # put first values back and stand by


def mode_of(facts: NodeFacts) -> Mode:
    """Return the Node's mode; a word that is none of them only observes: somebody meant less."""
    word = (facts.labels or {}).get(LABEL_MODE, Mode.APPLY.value)
    return Mode(word) if word in set(Mode) else Mode.OBSERVE


def unknown_word(facts: NodeFacts) -> str:
    """Return what is wrong with the label, "" when it can be understood."""
    word = (facts.labels or {}).get(LABEL_MODE, Mode.APPLY.value)
    if word in set(Mode):
        return ""
    return f"label {LABEL_MODE}={word} is none of {', '.join(Mode)}, so this node is only observed"


def observing_message(report: Report, problem: str = "") -> str:
    """Return one sentence for the condition: what the agent would do and what it found."""
    would = _changes(report.plan.changes) or "nothing"
    found = [item.message for item in report.findings if item.severity is not Severity.NOTE]
    return "; ".join(dict.fromkeys((*([problem] if problem else []), f"would set {would}", *found)))


def standing_by_message(
    restored: Sequence[Change], left: Sequence[LeftAlone], failures: Sequence[Finding]
) -> str:
    """Return one sentence for the condition: what was put back, what was left and why."""
    parts = [f"put back {_changes(restored)}" if restored else "the host holds nothing of ours"]
    parts += [f"left {item.target} at {item.value}: {item.why}" for item in left]
    parts += [item.message for item in failures]
    return "; ".join(parts)


def _changes(changes: Sequence[Change]) -> str:
    return ", ".join(f"{item.target} {item.before} -> {item.after}" for item in changes)
