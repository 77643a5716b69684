"""What the agent does while a person, or a Node never read, keeps it from tuning its host."""

import time
from collections.abc import Callable
from math import inf

from agent.facts import NodeFacts
from agent.journal import JournalError
from agent.mode import Mode, mode_of, observing_message, standing_by_message, unknown_word
from agent.state import Plan, Severity
from agent.status import Status
from agent.tune import Tuner
from common.telemetry import Log

WAITING_FOR_NODE = "the Node, to read whether this host may be tuned: nothing is written before"
LOOK_SECONDS = 30.0
"""How often an observed host is looked at with probes, though its plan is the same."""

SPACING_SECONDS = 1.0
"""The least time between two such looks: mounts may come by the hundred, and each look probes."""

Tell = Callable[[Mode, str], None]
"""Told of the mode and the sentence that the Node shall show."""


def _say_nothing(_mode: Mode, _message: str) -> None:
    pass


class Standby:
    """Observes or puts back, once each time the switch says so, and tells what came of it."""

    def __init__(self, status: Status, log: Log, tell: Tell, announce: Tell = _say_nothing) -> None:
        """Hold nothing yet; ``tell`` is for every new sentence, ``announce`` for a new mode."""
        self._status = status
        self._log = log
        self._tell = tell
        self._announce = announce
        self._announced: Mode | None = None
        self._told: tuple[Mode | None, str] | None = None
        self._seen: Plan | None = None
        self._due_seconds = 0.0
        self._looked_seconds = -inf
        self._is_put_back = False
        self._is_holding = False

    def hold(self, tuner: Tuner, facts: NodeFacts | None) -> float:
        """
        Do what the mode allows short of tuning; a call without news costs one look.

        Returns in how many seconds it wants to be called again, infinite for at the next poll.
        """
        mode = mode_of(facts) if facts else None
        self._is_holding = True
        self._status.mode = str(mode or "unknown")
        if facts is None or mode is None:
            self._status.waiting_for = WAITING_FOR_NODE
            self._say(None, WAITING_FOR_NODE)
        elif mode is Mode.OBSERVE:
            return self._observe(tuner, facts)
        elif not self._is_put_back:
            self._put_back(tuner)
        return inf

    def again(self) -> None:
        """Look and tell once more at the next hold: the settings are others."""
        self._told, self._seen, self._is_put_back = None, None, False

    def leave(self) -> bool:
        """Forget what was held; return whether anything was."""
        was_held, self._is_holding = self._is_holding, False
        self.again()
        self._announced = None
        self._status.mode = Mode.APPLY.value
        return was_held

    def _observe(self, tuner: Tuner, facts: NodeFacts) -> float:
        self._is_put_back = False
        early = self._looked_seconds + SPACING_SECONDS - time.monotonic()
        if self._seen is not None and early > 0:
            return early
        plan, now = tuner.plan()[1], time.monotonic()
        if plan == self._seen and now < self._due_seconds:
            return inf
        self._seen, self._looked_seconds, self._due_seconds = plan, now, now + LOOK_SECONDS
        report = tuner.observe()
        self._status.passed(report, time.monotonic() - now)
        self._say(Mode.OBSERVE, observing_message(report, unknown_word(facts)))
        return inf

    def _put_back(self, tuner: Tuner) -> None:
        try:
            plan, failures = tuner.revert()
        except JournalError as error:
            self._say(Mode.OFF, str(error))
            return
        self._is_put_back = all(item.severity is Severity.NOTE for item in failures)
        for change in plan.changes:
            self._status.changed(change, "applied")
            self._log.info(
                "Put first value back",
                target=change.target,
                before=change.before,
                after=change.after,
            )
        self._say(Mode.OFF, standing_by_message(plan.changes, plan.left_alone, failures))

    def _say(self, mode: Mode | None, message: str) -> None:
        if self._told == (mode, message):
            return
        self._told = (mode, message)
        self._log.info("Held back", mode=str(mode or "unknown"), detail=message)
        if mode:
            self._tell(mode, message)
        if mode and mode is not self._announced:
            self._announced = mode
            self._announce(mode, message)
