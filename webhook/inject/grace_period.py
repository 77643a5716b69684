"""
A grace period in which the hook, vLLM's own drain and its teardown fit: max(user's, needed).

The kubelet kills when it ends, hook or not. 30 counts as unset, as the API server fills it in,
unless the policy says that it is meant. Never lowered; raised for our own hook, or where it is
unset and a hook of the user's needs more. A budget of the user's that does not add up gets a
warning. What was changed after an earlier pass is somebody's will, and is not fought over.
"""

import re
from collections.abc import Iterator
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

_SLEEP: Final = re.compile(r"\bsleep\s+([0-9]+(?:\.[0-9]+)?)([smh]?)(?![\w.])")
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
    spec = pods.spec(pod)
    budget = max(_budgets(pod, case), key=lambda each: each.total_seconds, default=None)
    if not budget or not budget.total_seconds:
        why = "no server has a hook, or a --shutdown-timeout, of a length that is visible"
        return Decision(Outcome.NOT_APPLICABLE, why)
    needed = budget.total_seconds + case.policy.teardown_seconds
    given = pods.number(spec.get(FIELD))
    there = DEFAULT_GRACE_SECONDS if given is None else given
    reason = _reason(budget, needed, case)
    if there >= needed:
        return _enough(there, needed, reason, case)
    if not _may_raise(there, budget, case):
        return _too_short(there, budget, case)
    spec[FIELD] = needed
    return Decision(Outcome.INJECTED, reason)


def _reason(budget: Budget, needed: int, case: Case) -> str:
    parts = ((budget.hook_seconds, "hook"), (budget.shutdown_seconds, "--shutdown-timeout"))
    shown = [f"{seconds} s {what}" for seconds, what in parts if seconds]
    return f"{needed} s: {', '.join(shown)}, {case.policy.teardown_seconds} s teardown"


def _enough(there: int, needed: int, reason: str, case: Case) -> Decision:
    if there == needed and case.had(Feature.GRACE_PERIOD) is Outcome.INJECTED:
        return Decision(Outcome.INJECTED, reason)
    text = f"{there} s are enough: {needed} s are needed"
    if there == DEFAULT_GRACE_SECONDS:
        return Decision(Outcome.NOT_APPLICABLE, text)
    return owned(case, Feature.GRACE_PERIOD, text)


def _may_raise(there: int, budget: Budget, case: Case) -> bool:
    """Return whether a grace period that is too short is ours to raise."""
    if there == DEFAULT_GRACE_SECONDS:
        return not case.policy.respect_grace_30
    was_enough = case.had(Feature.GRACE_PERIOD) in (Outcome.INJECTED, Outcome.USER_OWNED)
    return budget.is_ours and not was_enough


def _too_short(there: int, budget: Budget, case: Case) -> Decision:
    if budget.total_seconds >= there:
        case.warnings.append(
            f"{FIELD} is {there}, but preStop hook ({budget.hook_seconds} s) and --shutdown-timeout"
            f" ({budget.shutdown_seconds} s) need more: the server is killed before it ends;"
            f" set at least {budget.total_seconds + case.policy.teardown_seconds}"
        )
    return owned(case, Feature.GRACE_PERIOD, f"{there} s stand, as somebody set them")


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
