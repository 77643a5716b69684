"""How soon what is unknown is looked at again."""

import time

import pytest

from agent.config import AgentConfig, decode
from agent.policy import MAX_RETRY_SECONDS
from agent.schedule import AWAITED_SECONDS, Schedule
from agent.state import Finding, Outcome, Plan, Reason, Report, Severity


@pytest.fixture
def config() -> AgentConfig:
    """Give the settings as shipped."""
    return decode("", "", {})


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [
        (Reason.ENDPOINT_SILENT, MAX_RETRY_SECONDS),
        (Reason.ENDPOINTS_FILE_MISSING, AWAITED_SECONDS),
    ],
)
def test_waits_grow_up_to_a_limit(config: AgentConfig, reason: Reason, seconds: float) -> None:
    """A list of servers that is on its way is worth a look more often than a silent server."""
    finding = Finding("endpoints", Severity.PENDING, reason, "", "unknown")
    report = Report(Outcome.PENDING, (finding,), Plan((), (), (), {}, {}), (), {})
    schedule = Schedule(config, time.monotonic())
    waits = [schedule.next_proof_seconds(report) - time.monotonic() for _ in range(8)]
    assert max(waits) == pytest.approx(seconds, abs=0.5)
    assert waits[0] < waits[1] < waits[2]
