"""
A grace period in which the hook, vLLM's own drain and its teardown fit: max(user's, needed).

The kubelet kills when it ends, hook or not. 30 counts as unset, as the API server fills it in,
unless the policy says that it is meant. Never lowered; raised for our own hook, or where it is
unset and a hook of the user's needs more. A budget of the user's that does not add up gets a
warning. What was changed after an earlier pass is somebody's will, and is not fought over.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from webhook import pods
from webhook.decisions import Decision, Feature, Json, Outcome
from webhook.inject.case import Case, owned, server_containers
from webhook.inject.pre_stop import (
    DEFAULT_GRACE_SECONDS,
    drain_seconds,
    handler,
    handler_there,
    is_reachable,
    is_same,
)
from webhook.recognition import Server

FIELD: Final = "terminationGracePeriodSeconds"
SHUTDOWN_FLAG: Final = "shutdown-timeout"
"""vLLM 0.18 and later: how long it drains by itself after SIGTERM; 0, the default, aborts."""

_SLEEP: Final = re.compile(r"\bsleep\s+([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh]?)(?![\w.])")
_LOOP: Final = re.compile(r"\b(?:while|until|for)\b")
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}
_MAX_SECONDS: Final = 10**6


@dataclass(frozen=True, slots=True)
class Budget:
    """
    What one server needs from the deletion of its pod to its end.

    Attributes:
        hook_seconds: how long its preStop hook takes; 0 without one, or where it is not visible.
        shutdown_seconds: vLLM's own --shutdown-timeout.
        is_ours: the hook is the one that is injected.
    """

    hook_seconds: int
    shutdown_seconds: int
    is_ours: bool

    @property
    def total_seconds(self) -> int:
        """Return what hook and drain take together, teardown not counted."""
        return self.hook_seconds + self.shutdown_seconds


def inject(pod: Json, case: Case) -> Decision:
    """Raise the pod's grace period to what its servers need."""
    budgets = tuple(_budgets(pod, case))
    most = _longest(budgets)
    if not most:
        why = "no server has a hook, or a --shutdown-timeout, of a length that is visible"
        return Decision(Outcome.NOT_APPLICABLE, why)
    spec = pods.spec(pod)
    given = pods.number(spec.get(FIELD))
    there = DEFAULT_GRACE_SECONDS if given is None else given
    ours = _longest(budget for budget in budgets if budget.is_ours)
    goal = _goal(there, most, ours, case)
    if goal:
        spec[FIELD] = there = _needed(goal, case)
    _warn_if_too_short(there, most, case)
    if goal:
        return Decision(Outcome.INJECTED, _reason(goal, case))
    return _as_it_stands(there, most, ours, case)


def _longest(budgets: Iterable[Budget]) -> Budget | None:
    """Return the largest budget; of equal ones ours, so that every pass gives the same reason."""
    found = max(budgets, key=lambda each: (each.total_seconds, each.is_ours), default=None)
    return found if found and found.total_seconds else None


def _needed(budget: Budget, case: Case) -> int:
    return budget.total_seconds + case.policy.teardown_seconds


def _goal(there: int, most: Budget, ours: Budget | None, case: Case) -> Budget | None:
    """Return the budget that the grace period is raised for; None where it stays."""
    had = case.had(Feature.GRACE_PERIOD)
    is_from_us = had is Outcome.INJECTED and ours and there == _needed(ours, case)
    if there == DEFAULT_GRACE_SECONDS and not is_from_us:
        goal = None if case.policy.respect_grace_30 else most
    else:
        # what was enough once and no longer is was lowered by somebody
        goal = None if had in (Outcome.INJECTED, Outcome.USER_OWNED) else ours
    return goal if goal and there < _needed(goal, case) else None


def _as_it_stands(there: int, most: Budget, ours: Budget | None, case: Case) -> Decision:
    """Return whose a grace period is that is not raised in this pass."""
    if case.had(Feature.GRACE_PERIOD) is Outcome.INJECTED:
        for budget in (most, ours):
            if budget and there == _needed(budget, case):
                return Decision(Outcome.INJECTED, _reason(budget, case))
    needed = _needed(most, case)
    if there < needed:
        return owned(case, Feature.GRACE_PERIOD, f"{there} s stand, as somebody set them")
    text = f"{there} s are enough: {needed} s are needed"
    if there == DEFAULT_GRACE_SECONDS:
        return Decision(Outcome.NOT_APPLICABLE, text)
    return owned(case, Feature.GRACE_PERIOD, text)


def _reason(budget: Budget, case: Case) -> str:
    parts = ((budget.hook_seconds, "hook"), (budget.shutdown_seconds, "--shutdown-timeout"))
    shown = [f"{seconds} s {what}" for seconds, what in parts if seconds]
    teardown = f"{case.policy.teardown_seconds} s teardown"
    return f"{_needed(budget, case)} s: {', '.join(shown)}, {teardown}"


def _warn_if_too_short(there: int, most: Budget, case: Case) -> None:
    """Warn where a server is killed before its hook and its own drain can end."""
    if most.total_seconds >= there:
        case.warnings.append(
            f"{FIELD} is {there}, but preStop hook ({most.hook_seconds} s) and --shutdown-timeout"
            f" ({most.shutdown_seconds} s) need more: the server is killed before it ends;"
            f" set at least {_needed(most, case)}"
        )


def _budgets(pod: Json, case: Case) -> Iterator[Budget]:
    seconds = drain_seconds(pod, case)
    for server, container in server_containers(pod, case):
        shutdown = _shutdown_seconds(server)
        there = handler_there(container)
        if _is_ours(there, server, seconds, case):
            yield Budget(seconds, shutdown, is_ours=True)
        else:
            yield Budget(_visible_seconds(there), shutdown, is_ours=False)


def _is_ours(there: object, server: Server, seconds: int, case: Case) -> bool:
    if there is None or seconds < 1 or not is_reachable(server):
        return False
    return is_same(there, handler(server, seconds, case))


def _shutdown_seconds(server: Server) -> int:
    written = server.arguments.flags.get(SHUTDOWN_FLAG, "")
    return min(int(written), _MAX_SECONDS) if re.fullmatch("[0-9]{1,9}", written) else 0


def _visible_seconds(there: object) -> int:
    """Return how long a user's hook sleeps, as far as it shows; 0 where it does not."""
    action = pods.mapping(there)
    sleep = pods.number(pods.mapping(action.get("sleep")).get("seconds"))
    if sleep is not None:
        return min(max(sleep, 0), _MAX_SECONDS)
    script = " ".join(pods.texts(pods.mapping(action.get("exec")).get("command")))
    if _LOOP.search(script):
        return 0
    found = _SLEEP.findall(script)
    return min(round(sum(float(amount) * _UNITS[unit] for amount, unit in found)), _MAX_SECONDS)
