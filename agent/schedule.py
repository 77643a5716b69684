"""When to prove again, and how long what is unknown may stay unknown."""

import time

from agent.config import AgentConfig
from agent.policy import MAX_RETRY_SECONDS, GatePolicy, retry_seconds, settled
from agent.state import Outcome, Reason, Report, Severity

UNPROVEN_SECONDS = 60.0
"""How long a server that never answered is left before it is asked again, with the gate open."""

AWAITED_SECONDS = 5.0
"""How long the list of servers is left before it is looked for again: it is on its way."""


class Schedule:
    """Counts retries and waiting under one configuration; seconds are monotonic."""

    def __init__(self, config: AgentConfig, started_seconds: float) -> None:
        """Wait for nothing yet; the gate's deadline counts from ``started_seconds``."""
        self._policy = GatePolicy.of(config)
        self._probe_seconds = config.watch_probe_seconds
        self._deadline_seconds = started_seconds + self._policy.deadline_seconds
        self._pending_since: float | None = None
        self._retries = 0

    def settle(self, report: Report) -> Report:
        """Return the report with what stayed unknown for the whole retry time as degraded."""
        now = time.monotonic()
        if report.outcome is not Outcome.PENDING:
            self._pending_since = None
            return report
        if self._pending_since is None:
            self._pending_since = now
        return settled(report, now - self._pending_since, self._policy)

    def next_proof_seconds(self, report: Report) -> float:
        """Return when to prove again: soon what is unknown or failed, else after a while."""
        now = time.monotonic()
        if report.outcome in (Outcome.PENDING, Outcome.FAILED):
            is_awaited = report.reason is Reason.ENDPOINTS_FILE_MISSING
            longest = AWAITED_SECONDS if is_awaited else MAX_RETRY_SECONDS
            due = now + min(retry_seconds(self._retries), longest)
            self._retries += 1
        else:
            self._retries = 0
            wait = self._probe_seconds
            due = now + (min(wait, UNPROVEN_SECONDS) if _is_unproven(report) else wait)
        return self._deadline_seconds if now < self._deadline_seconds < due else due


def _is_unproven(report: Report) -> bool:
    return any(
        item.reason is Reason.PATH_UNPROVEN and item.severity is not Severity.NOTE
        for item in report.findings
    )
