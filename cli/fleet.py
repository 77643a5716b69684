"""
What a reader may conclude about each node of a fleet, and in which order to look at them.

Pure. A verdict stands on the Node until somebody writes another one, so its age says nothing about
its worth; what does is listed in `Sign`.
"""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

from cli.node import Condition, Node
from common import names
from common.record import dataclass

BEATS_MISSED = 2
BEAT_SLACK_SECONDS = 300
"""A sign of life is overdue after two beats and this: one may be lost, and clocks differ."""


class Outcome(StrEnum):
    """What the agent says of a node; UNKNOWN: no agent has said anything that can be read."""

    TUNED = "tuned"
    DEGRADED = "degraded"
    FAILED = "failed"
    PENDING = "pending"
    OBSERVING = "observing"
    OFF = "off"
    UNKNOWN = "unknown"


class Sign(StrEnum):
    """Why a verdict may not be trusted."""

    OTHER_BOOT = "OtherBoot"
    NODE_NOT_READY = "NodeNotReady"
    AGENT_SILENT = "AgentSilent"
    CONTRADICTED = "Contradicted"


_MODES = {"Observing": Outcome.OBSERVING, "StandingBy": Outcome.OFF}
_STATUS = {Outcome.TUNED: "True", Outcome.DEGRADED: "False", Outcome.FAILED: "False"}
_JUDGED = {outcome.value: outcome for outcome in _STATUS}
_URGENCY = tuple(Outcome(name) for name in ("failed", "unknown", "pending", "degraded"))


@dataclass(frozen=True, slots=True)
class Stale:
    """One sign that the verdict is not about now, and the sentence for a person."""

    sign: Sign
    message: str


@dataclass(frozen=True, slots=True)
class Row:
    """
    One node, judged; ``since_seconds`` and ``waiting_seconds`` are since the epoch.

    ``since_seconds``: when the verdict last changed. ``waiting_seconds``: since when the closed
    gate keeps pods off, as far as the Node tells; None while it is open.
    """

    node: Node
    outcome: Outcome
    reason: str
    message: str
    since_seconds: float | None
    stale: tuple[Stale, ...]
    waiting_seconds: float | None

    @property
    def is_open(self) -> bool:
        """Return whether no gate taint stands."""
        return not self.node.gate_taints

    @property
    def is_fine(self) -> bool:
        """Return whether the node is tuned, its gate open, and all that is still true."""
        return self.outcome is Outcome.TUNED and self.is_open and not self.stale


@dataclass(frozen=True, slots=True)
class Fleet:
    """The rows to show, in order, and how many nodes were left out as nothing to do with us."""

    rows: tuple[Row, ...]
    left_out: int
    now_seconds: float


@dataclass(frozen=True, slots=True)
class Choice:
    """
    Which nodes to show.

    ``only`` (names) empty: all that bear a sign of tunegate, or really all where ``is_all``.
    """

    only: tuple[str, ...] = ()
    is_all: bool = False


def fleet(nodes: Iterable[Node], choice: Choice, now_seconds: float) -> Fleet:
    """Judge and order the chosen ones of these Nodes."""
    asked = [node for node in nodes if not choice.only or node.name in choice.only]
    shown = [node for node in asked if choice.only or choice.is_all or node.is_known]
    rows = ordered(judge(node, now_seconds) for node in shown)
    return Fleet(rows, len(asked) - len(shown), now_seconds)


def ordered(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Return closed gates first, the longest wait on top; then what is not fine; then the rest."""
    return tuple(sorted(rows, key=_place))


def judge(node: Node, now_seconds: float) -> Row:
    """Return what can be said of one node now."""
    outcome, condition = outcome_of(node), node.condition
    reason, message = (condition.reason, condition.message) if condition else ("", "")
    if not node.has_verdict:
        reason, message = "NoVerdict", _no_verdict(node)
    elif condition is None:
        reason, message = "NoCondition", f"The Node has no condition {names.CONDITION}."
    return Row(
        node=node,
        outcome=outcome,
        reason=reason,
        message=message,
        since_seconds=_since(node),
        stale=tuple(stale_signs(node, now_seconds)),
        waiting_seconds=_waiting_since(node),
    )


def outcome_of(node: Node) -> Outcome:
    """
    Return the outcome that the Node shows.

    A condition that is Unknown comes first, as a new boot sets it before anything else; then the
    label, then the annotation, then the condition by itself.
    """
    condition = node.condition
    if condition and condition.status not in ("True", "False"):
        return _MODES.get(condition.reason, Outcome.PENDING)
    for said in (node.label_network, node.state.outcome if node.state else ""):
        if said in _JUDGED:
            return _JUDGED[said]
    is_tuned = condition is not None and condition.status == "True"
    return Outcome.TUNED if is_tuned else Outcome.UNKNOWN


def stale_signs(node: Node, now_seconds: float) -> Iterable[Stale]:
    """Yield each sign that what the Node says is not about now; without a verdict there is none."""
    if not node.has_verdict:
        return
    if node.state and node.state.boot_id and node.boot_id not in ("", node.state.boot_id):
        yield Stale(
            Sign.OTHER_BOOT,
            f"the verdict is of boot {node.state.boot_id}, the node now runs boot {node.boot_id}; "
            "its agent has not judged this one",
        )
    if node.ready is None:
        yield Stale(Sign.NODE_NOT_READY, "the Node has no condition Ready: no kubelet reports")
    elif node.ready.status != "True":
        yield Stale(Sign.NODE_NOT_READY, _not_ready(node.ready, now_seconds))
    yield from _silence(node, now_seconds)
    outcome = _JUDGED.get(node.label_network)
    status = node.condition.status if node.condition else ""
    if outcome and status in ("True", "False") and status != _STATUS[outcome]:
        yield Stale(
            Sign.CONTRADICTED,
            f"label {names.LABEL_NETWORK} says {outcome}, the condition says {status}",
        )


def _silence(node: Node, now_seconds: float) -> Iterable[Stale]:
    beat = node.state.beat_seconds if node.state else 0
    last = node.condition.heartbeat_seconds if node.condition else None
    if not beat or last is None:
        return
    if now_seconds - last > BEATS_MISSED * beat + BEAT_SLACK_SECONDS:
        yield Stale(
            Sign.AGENT_SILENT,
            f"the agent's last sign of life is {age(now_seconds - last)} old, "
            f"one is due every {age(beat)}: is its pod running there?",
        )


def _not_ready(ready: Condition, now_seconds: float) -> str:
    if ready.status != "Unknown":
        return f"the Node is not Ready ({ready.reason or 'no reason given'})"
    since = ready.transition_seconds
    how_long = "" if since is None else f" for {age(now_seconds - since)} at least"
    return f"the kubelet has been silent{how_long}; nothing since is known"


def _no_verdict(node: Node) -> str:
    if node.gate_taints or node.mode:
        return "No agent has said anything about this node: is its DaemonSet pod running there?"
    return "This node bears no sign of tunegate."


def _since(node: Node) -> float | None:
    moment = node.condition.transition_seconds if node.condition else None
    if moment is None and node.state:
        moment = node.state.when_seconds
    return moment


def _waiting_since(node: Node) -> float | None:
    """
    Return since when the gate has been closed, as far as the Node tells.

    The taint's own time where it has one (only newer API servers write it for NoSchedule), else
    the last change of the verdict, which is at most too late; without a verdict the Node's birth.
    """
    if not node.gate_taints:
        return None
    for moment in (node.gated_seconds, _since(node)):
        if moment is not None:
            return moment
    return node.created_seconds


def _place(row: Row) -> tuple[object, ...]:
    if not row.is_open:
        never = row.waiting_seconds is None
        return 0, never, row.waiting_seconds or 0.0, _natural(row.node.name)
    calm = len(_URGENCY)
    rank = _URGENCY.index(row.outcome) if row.outcome in _URGENCY else calm
    is_calm = not row.node.is_known or (rank == calm and not row.stale)
    return 1, is_calm, not row.node.is_known, rank, _natural(row.node.name)


def _natural(name: str) -> Sequence[tuple[int, int, str]]:
    """Return a sort key that has gpu-2 before gpu-10."""
    parts = re.findall(r"(\d{1,18})|([^\d]+)", name)
    return tuple((0, int(digits), "") if digits else (1, 0, text) for digits, text in parts)


def age(duration_seconds: float) -> str:
    """Return a duration in one unit of at most three digits: 95s, 12m, 47h, 3d; never below 0s."""
    whole = max(0, int(duration_seconds))
    for size, limit, unit in ((1, 120, "s"), (60, 7200, "m"), (3600, 172800, "h")):
        if whole < limit:
            return f"{whole // size}{unit}"
    return f"{whole // 86400}d"
