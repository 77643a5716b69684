"""Read Nodes as the API server sends them, and as it never should."""

import json

import pytest

from cli.node import Node, read_node
from common import names
from common.moments import seconds
from tests.lab.fleet import BOOT, fleet_node

NOON = 1795262400.0


def test_a_tuned_node_is_read_whole() -> None:
    """Each field comes from its own place."""
    node = read_node(fleet_node("gpu-1", state={"beat": 3600}, is_gated=True))
    assert (node.name, node.boot_id, node.label_network) == ("gpu-1", BOOT, "tuned")
    assert (node.mtu_bytes, node.gate_taints) == (9000, (names.STARTUP_TAINT,))
    assert node.condition is not None
    assert (node.condition.status, node.condition.reason) == ("True", "Tuned")
    assert node.condition.transition_seconds == NOON - 7200
    assert node.ready is not None
    assert node.state is not None
    assert (node.state.boot_id, node.state.outcome, node.state.profile) == (BOOT, "tuned", "abc")
    assert (dict(node.state.link_mtus), node.state.beat_seconds) == ({"eth1": 9000}, 3600)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-21T12:00:00Z", NOON),
        ("2026-11-21T12:00:00.500000Z", NOON + 0.5),
        ("2026-11-21T14:00:00+02:00", NOON),
        ("2026-11-21T12:00:00", NOON),
        ("yesterday", None),
        ("", None),
        (None, None),
        (12, None),
    ],
)
def test_times_are_read_or_unknown(text: object, wanted: float | None) -> None:
    """What is not RFC 3339 is unknown, never an error."""
    assert seconds(text) == wanted


GARBAGE: list[object] = [
    None,
    7,
    "node",
    [],
    {},
    {"metadata": None, "spec": None, "status": None},
    {"metadata": {"labels": [], "annotations": 3}, "spec": {"taints": {}}, "status": []},
    {"spec": {"taints": [None, 1, {"key": 5}]}, "status": {"conditions": [None, {"type": []}]}},
]


@pytest.mark.parametrize("raw", GARBAGE)
def test_garbage_reads_as_a_node_that_says_nothing(raw: object) -> None:
    """One odd Node must not hide the others."""
    node = read_node(raw)
    assert not node.is_known
    assert node.mtu_bytes is None


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "3", "[" * 5000, '{"boot":7,"links":[],"beat":"x","when":{}}'],
)
def test_a_garbled_annotation_is_a_sign_but_tells_nothing(text: str) -> None:
    """The node is known to tunegate all the same."""
    raw = {"metadata": {"annotations": {names.ANNOTATION_STATE: text}}}
    node = read_node(raw)
    assert node.is_known
    assert node.state is not None
    assert (node.state.boot_id, node.state.beat_seconds, dict(node.state.link_mtus)) == ("", 0, {})


@pytest.mark.parametrize("beat", [True, -1, 0, 1.5, "60", None])
def test_a_beat_is_a_positive_whole_number(beat: object) -> None:
    """Anything else means that the agent does not say."""
    node = read_node(fleet_node("gpu-1", state={"beat": beat}))
    assert node.state is not None
    assert node.state.beat_seconds == 0


def with_labels(**labels: str) -> Node:
    """Return a node with these labels, dots and slashes spelt as the real ones."""
    real = {"mtu": names.LABEL_MTU, "mode": names.LABEL_MODE}
    return read_node({"metadata": {"labels": {real[key]: value for key, value in labels.items()}}})


@pytest.mark.parametrize("text", ["", "x", "-1", "9000x", "9e3", "99999999", "\N{SUPERSCRIPT TWO}"])
def test_an_mtu_label_that_is_no_size_is_unknown(text: str) -> None:
    """A label can hold anything."""
    assert with_labels(mtu=text).mtu_bytes is None


def test_the_annotation_tells_the_mtu_where_the_label_is_gone() -> None:
    """The smallest link counts."""
    text = json.dumps({"links": {"eth1": 9000, "eth2": 8896, "eth3": True, "eth4": "1500"}})
    node = read_node({"metadata": {"annotations": {names.ANNOTATION_STATE: text}}})
    assert node.mtu_bytes == 8896


def test_a_mode_label_alone_makes_a_node_known() -> None:
    """Somebody has asked something of its agent."""
    assert with_labels(mode="observe").is_known
    assert not with_labels(mode="observe").has_verdict


def taints(*listed: dict[str, str]) -> Node:
    """Return a node with these taints."""
    return read_node({"spec": {"taints": list(listed)}}, (*names.GATE_TAINTS, "example.com/mine"))


def test_only_gate_taints_of_the_gates_effect_close_the_gate() -> None:
    """A taint of the same key with another effect is somebody else's."""
    assert taints({"key": names.STARTUP_TAINT, "effect": "NoExecute"}).gate_taints == ()
    assert taints({"key": "other", "effect": "NoSchedule"}).gate_taints == ()
    mine = taints({"key": "example.com/mine", "effect": "NoSchedule"})
    assert mine.gate_taints == ("example.com/mine",)


def test_the_oldest_gate_taint_tells_since_when() -> None:
    """Where the API server keeps the time."""
    old = {"effect": "NoSchedule", "timeAdded": "2026-11-21T11:00:00Z"}
    new = {"effect": "NoSchedule", "timeAdded": "2026-11-21T11:30:00Z"}
    first, second = names.GATE_TAINTS[:2]
    assert taints({"key": first, **new}, {"key": second, **old}).gated_seconds == NOON - 3600
