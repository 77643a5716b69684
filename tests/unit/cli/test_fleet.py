"""What may be concluded from a Node, sign by sign, and the order of a fleet."""

import pytest

from cli.fleet import Choice, Outcome, Row, Sign, age, fleet, judge
from cli.node import read_node
from common import names
from tests.lab.api import Object
from tests.lab.fleet import fleet_node, small_fleet

NOON = 1795262400.0
HOUR = 3600


def row(raw: Object, now: float = NOON) -> Row:
    """Return one judged node."""
    return judge(read_node(raw), now)


def signs(raw: Object, now: float = NOON) -> list[Sign]:
    """Return why a node's verdict is stale."""
    return [one.sign for one in row(raw, now).stale]


@pytest.mark.parametrize("outcome", ["tuned", "degraded", "failed"])
def test_the_label_tells_the_outcome(outcome: str) -> None:
    """As long as the condition has been judged."""
    status = "True" if outcome == "tuned" else "False"
    assert row(fleet_node("gpu-1", outcome, status=status)).outcome == outcome


def test_an_unknown_condition_wins_over_a_label_of_before() -> None:
    """A new boot sets the condition first."""
    assert row(fleet_node("gpu-1", status="Unknown", reason="Booted")).outcome is Outcome.PENDING


@pytest.mark.parametrize(
    ("reason", "wanted"), [("Observing", Outcome.OBSERVING), ("StandingBy", Outcome.OFF)]
)
def test_the_modes_have_names_of_their_own(reason: str, wanted: Outcome) -> None:
    """An agent that was told not to act is not an agent that cannot tell."""
    assert row(fleet_node("gpu-1", None, status="Unknown", reason=reason)).outcome is wanted


def test_without_a_label_the_annotation_tells() -> None:
    """Somebody took the label away."""
    raw = fleet_node("gpu-1", "degraded", status="False")
    del raw["metadata"]["labels"][names.LABEL_NETWORK]
    assert row(raw).outcome is Outcome.DEGRADED


def test_a_label_of_ones_own_invention_tells_nothing() -> None:
    """Nor does a condition that is merely False; one that is True does."""
    raw = fleet_node("gpu-1", "superb", status="False")
    assert row(raw).outcome is Outcome.UNKNOWN
    assert row(fleet_node("gpu-1", None)).outcome is Outcome.TUNED


def test_a_gated_node_without_a_verdict_says_where_to_look() -> None:
    """It has waited since it was born."""
    judged = row(fleet_node("gpu-1", None, status="", is_gated=True))
    assert (judged.outcome, judged.reason) == (Outcome.UNKNOWN, "NoVerdict")
    assert "DaemonSet" in judged.message
    assert judged.waiting_seconds == judged.node.created_seconds
    assert judged.stale == ()


def test_a_node_whose_status_may_not_be_written_is_judged_by_its_label() -> None:
    """Since when stands in the annotation."""
    judged = row(fleet_node("gpu-1", status=""))
    assert (judged.outcome, judged.reason) == (Outcome.TUNED, "NoCondition")
    assert judged.since_seconds == NOON - 2 * HOUR


def test_a_fresh_node_is_not_stale() -> None:
    """However long ago it was judged: nothing is written while nothing changes."""
    assert signs(fleet_node("gpu-1"), NOON + 1000 * HOUR) == []
    assert row(fleet_node("gpu-1")).is_fine


def test_a_verdict_of_another_boot_is_stale() -> None:
    """Nothing that was tuned survives a reboot."""
    judged = row(fleet_node("gpu-1", boot="next"))
    assert [one.sign for one in judged.stale] == [Sign.OTHER_BOOT]
    assert "boot next" in judged.stale[0].message
    assert not judged.is_fine


@pytest.mark.parametrize("boots", [("", "next"), ("this", "")])
def test_a_boot_that_is_not_told_proves_nothing(boots: tuple[str, str]) -> None:
    """Two boot IDs have to be there to differ."""
    recorded, running = boots
    assert signs(fleet_node("gpu-1", boot=running, state={"boot": recorded})) == []


@pytest.mark.parametrize("ready", ["Unknown", "False", ""])
def test_a_node_that_is_not_ready_is_stale(ready: str) -> None:
    """Nothing after that is known."""
    assert signs(fleet_node("gpu-1", ready=ready)) == [Sign.NODE_NOT_READY]


def test_a_silent_kubelet_and_a_missing_one_are_told_apart() -> None:
    """The person goes looking in different places."""
    raw = fleet_node("gpu-1", ready="Unknown")
    raw["status"]["conditions"][0]["lastTransitionTime"] = "2026-11-21T11:50:00Z"
    silent = row(raw).stale[0].message
    raw = fleet_node("gpu-1")
    raw["status"]["conditions"] = raw["status"]["conditions"][1:]
    missing = row(raw).stale[0].message
    assert "silent for 10m" in silent
    assert "no kubelet" in missing


@pytest.mark.parametrize(
    ("late", "wanted"), [(0, []), (1, [Sign.AGENT_SILENT])], ids=["just in time", "a second late"]
)
def test_an_agent_that_missed_two_beats_and_five_minutes_is_silent(
    late: int, wanted: list[Sign]
) -> None:
    """One beat may be lost, and clocks differ."""
    heartbeat = "2026-11-21T09:00:00Z"
    now = NOON - 3 * HOUR + 2 * HOUR + 300 + late
    assert signs(fleet_node("gpu-1", heartbeat=heartbeat, state={"beat": HOUR}), now) == wanted


def test_an_agent_that_promises_no_beat_is_never_silent() -> None:
    """Agents that write only what changes are older than the beat."""
    assert signs(fleet_node("gpu-1", heartbeat="2020-01-01T00:00:00Z")) == []
    raw = fleet_node("gpu-1", heartbeat="garbage", state={"beat": 60})
    assert signs(raw) == []


def test_a_label_that_denies_the_condition_is_told() -> None:
    """Anybody may write a label; the agent would have written both."""
    assert signs(fleet_node("gpu-1", "tuned", status="False")) == [Sign.CONTRADICTED]
    assert signs(fleet_node("gpu-1", "failed", status="True")) == [Sign.CONTRADICTED]
    assert signs(fleet_node("gpu-1", "tuned", status="Unknown")) == []


def test_all_signs_are_told() -> None:
    """The first one hides none."""
    raw = fleet_node("gpu-1", status="False", boot="next", ready="Unknown", state={"beat": 1})
    assert signs(raw) == [
        Sign.OTHER_BOOT,
        Sign.NODE_NOT_READY,
        Sign.AGENT_SILENT,
        Sign.CONTRADICTED,
    ]


def test_the_taints_own_time_tells_the_wait_best() -> None:
    """Else the last change of the verdict does."""
    raw = fleet_node("gpu-1", is_gated=True)
    assert row(raw).waiting_seconds == NOON - 2 * HOUR
    raw["spec"]["taints"][0]["timeAdded"] = "2026-11-21T11:59:00Z"
    assert row(raw).waiting_seconds == NOON - 60
    assert row(fleet_node("gpu-1")).waiting_seconds is None


def names_of(raws: list[Object], choice: Choice) -> list[str]:
    """Return a fleet's names in its order."""
    shown = fleet([read_node(raw) for raw in raws], choice, NOON)
    return [one.node.name for one in shown.rows]


def test_closed_gates_come_first_the_longest_wait_on_top() -> None:
    """Then what is not fine, then the rest, numbers counted as numbers."""
    assert names_of(small_fleet(), Choice(is_all=True)) == [
        "gpu-10",
        "gpu-5",
        "gpu-6",
        "gpu-4",
        "gpu-2",
        "gpu-3",
        "gpu-1",
        "gpu-7",
        "gpu-8",
        "cpu-1",
    ]
    many = [fleet_node(f"gpu-{number}") for number in (10, 9, 100, 1)]
    assert names_of(many, Choice()) == ["gpu-1", "gpu-9", "gpu-10", "gpu-100"]


def test_names_of_any_shape_can_be_ordered() -> None:
    """Digits first, none at all, or more than a machine word."""
    odd = ["10-a", "a", "", "9" * 60, "a1b2", "a1b10", "\N{SUPERSCRIPT TWO}"]
    assert len(names_of([fleet_node(name) for name in odd], Choice())) == len(odd)


def test_nodes_without_any_sign_are_left_out_and_counted() -> None:
    """Unless they are asked for."""
    nodes = [read_node(raw) for raw in small_fleet()]
    default = fleet(nodes, Choice(), NOON)
    assert (len(default.rows), default.left_out) == (9, 1)
    assert fleet(nodes, Choice(is_all=True), NOON).left_out == 0
    named = fleet(nodes, Choice(("cpu-1",)), NOON)
    assert ([one.node.name for one in named.rows], named.left_out) == (["cpu-1"], 0)


@pytest.mark.parametrize(
    ("duration", "wanted"),
    [
        (-5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (7199, "119m"),
        (7200, "2h"),
        (172799, "47h"),
        (172800, "2d"),
        (86400 * 400, "400d"),
    ],
)
def test_ages_are_short(duration: float, wanted: str) -> None:
    """A clock that is behind is no reason for a minus sign."""
    assert age(duration) == wanted
