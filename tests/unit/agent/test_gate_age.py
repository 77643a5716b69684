"""How long a node has stood behind its gate, as /metrics tells it."""

from agent.metrics import StatusCollector
from agent.status import Status


def shown(status: Status) -> dict[str, float]:
    """Return the gate's metrics."""
    samples = [one for family in StatusCollector(status).collect() for one in family.samples]
    return {one.name: one.value for one in samples if one.name.startswith("tunegate_agent_gate")}


def test_a_gate_counts_as_closed_until_it_is_seen_open() -> None:
    """A node whose agent cannot reach the API server waits, and its age must show."""
    status = Status()
    assert shown(status)["tunegate_agent_gate_closed_seconds"] > 0
    assert shown(status)["tunegate_agent_gate_open"] == 0


def test_an_open_gate_has_no_age() -> None:
    """Zero, exactly, from the moment that no taint stands."""
    status = Status(is_gate_open=True)
    status.gate_seen(is_closed=False)
    assert shown(status) == {
        "tunegate_agent_gate_open": 1,
        "tunegate_agent_gate_closed_seconds": 0,
    }


def test_a_taint_that_comes_back_begins_a_new_age() -> None:
    """The age is that of this closing, and seeing it again does not make it younger."""
    status = Status(is_gate_open=True)
    status.gate_seen(is_closed=False)
    status.gate_seen(is_closed=True)
    since = status.closed_since_seconds
    status.gate_seen(is_closed=True)
    assert since is not None
    assert status.closed_since_seconds == since
    assert shown(status)["tunegate_agent_gate_open"] == 0
    assert 0 < shown(status)["tunegate_agent_gate_closed_seconds"] < 3600
