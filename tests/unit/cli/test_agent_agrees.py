"""What the agent writes on its Node is what the fleet view reads there."""

from typing import Any

import pytest

from agent import node_patch, state
from agent.node import Wanted, node_view
from cli.fleet import Outcome, Row, Sign, judge
from cli.node import read_node
from common import names
from common.record import replace
from tests.lab.fleet import BOOT, fleet_node
from tests.unit.agent import json_patch

NOON = 1795262400.0
DAY = 86400
WANTED = Wanted(
    outcome=state.Outcome.TUNED,
    reason=state.Reason.TUNED.value,
    message="eth1 carries 9000-byte packets.",
    boot_id=BOOT,
    profile_hash="abc",
    link_mtus={state.LinkName("eth1"): 9000, state.LinkName("eth2"): 8896},
    open_gate=True,
    beat_seconds=3600,
)


def written(wanted: Wanted) -> dict[str, Any]:
    """Return a new gated Node after the agent has written both of its patches at noon."""
    raw = fleet_node("gpu-1", None, status="", is_gated=True)
    raw["metadata"]["uid"] = "u"
    view = node_view(raw)
    after = json_patch.apply(raw, node_patch.node_patch(view, wanted, NOON))
    patch = node_patch.condition_patch(view, wanted, NOON)
    assert patch is not None
    status: Any = patch["status"]
    after["status"]["conditions"] += status["conditions"]
    return after


def read(raw: dict[str, Any], now: float = NOON) -> Row:
    """Return what the fleet view makes of it."""
    return judge(read_node(raw), now)


def test_a_tuned_node_is_fine_with_everything_the_agent_said() -> None:
    """Outcome, reason, message, links, profile, times, gate."""
    row = read(written(WANTED))
    assert row.is_fine
    assert (row.reason, row.message) == ("Tuned", WANTED.message)
    assert (row.node.mtu_bytes, row.since_seconds) == (8896, NOON)
    assert row.node.state is not None
    assert dict(row.node.state.link_mtus) == {"eth1": 9000, "eth2": 8896}
    assert (row.node.state.profile, row.node.state.beat_seconds) == ("abc", 3600)
    assert row.node.state.profile_name == ""
    named = read(written(replace(WANTED, profile="h100"))).node.state
    assert named
    assert (named.profile, named.profile_name) == ("abc", "h100")


@pytest.mark.parametrize("outcome", list(state.Outcome))
def test_each_outcome_is_read_as_what_it_is(outcome: state.Outcome) -> None:
    """Neither side knows one that the other does not."""
    row = read(written(replace(WANTED, outcome=outcome, open_gate=False)))
    assert row.outcome.value == outcome.value
    assert row.stale == ()
    assert not row.is_open


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (state.Reason.OBSERVING, Outcome.OBSERVING),
        (state.Reason.STANDING_BY, Outcome.OFF),
        (state.Reason.NOT_JUDGED_YET, Outcome.PENDING),
    ],
)
def test_a_node_that_is_not_judged_is_read_by_its_reason(
    reason: state.Reason, outcome: Outcome
) -> None:
    """The words are the agent's."""
    assert read(written(replace(WANTED, outcome=None, reason=reason.value))).outcome is outcome


def test_an_agent_that_stops_becomes_stale_by_its_own_beat() -> None:
    """It promised one an hour."""
    raw = written(WANTED)
    assert read(raw, NOON + 2 * 3600).stale == ()
    assert [one.sign for one in read(raw, NOON + DAY).stale] == [Sign.AGENT_SILENT]


def test_every_gate_taint_counts_on_both_sides() -> None:
    """A key that only one of them knew would be a gate that nobody sees."""
    raw = fleet_node("gpu-1")
    raw["spec"]["taints"] = [{"key": key, "effect": "NoSchedule"} for key in names.GATE_TAINTS]
    assert read_node(raw).gate_taints == node_view(raw).gate_taints()
