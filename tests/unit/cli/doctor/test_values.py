"""What Helm values say about the gate and about those that have to pass it."""

import pytest

from cli.doctor.of_values import daemon_sets, gate_keys
from tests.unit.cli.doctor.objects import GPU_TOLERATION, KEY, Json, problems

GATE = {"key": KEY, "operator": "Exists", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    "values",
    [
        {"daemonsets": {"tolerations": [GPU_TOLERATION]}},
        {"driver": {"enabled": False}, "toolkit": {"enabled": False}},
        {"node-feature-discovery": {"worker": {"tolerations": []}}},
        {"worker": {"tolerations": [GPU_TOLERATION]}},
    ],
)
def test_values_without_the_gate_are_found(values: Json) -> None:
    """Also where a list is the chart's own."""
    assert problems(*daemon_sets(values, "file:1"), read=()) == ["BehindGate"]


@pytest.mark.parametrize(
    "values",
    [
        {
            "daemonsets": {"tolerations": [GPU_TOLERATION, GATE]},
            "node-feature-discovery": {"worker": {"tolerations": [GATE]}},
        },
        {"tolerations": [GATE]},
        {"replicas": 3},
        {"driver": {"enabled": True}},
    ],
)
def test_values_with_the_gate_or_of_something_else_are_fine(values: Json) -> None:
    """One name alone may be any chart's."""
    assert problems(*daemon_sets(values, "nvidia.yaml:1"), read=()) == []


def test_garbage_says_nothing() -> None:
    """Whatever it is."""
    trees: list[object] = [None, [], 3, {}, {"kind": "Pod", "tolerations": []}, {"gate": 3}]
    assert [daemon_sets(tree, "x") for tree in trees] == [[]] * len(trees)
    assert [gate_keys(tree) for tree in trees] == [[]] * len(trees)
