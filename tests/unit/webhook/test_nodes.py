"""The optional gate on nodes that register."""

import contextlib

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import names
from tests.unit.webhook.test_nfs_sources import ANYTHING
from webhook.amendment import Amendment
from webhook.decisions import Json
from webhook.nodes import NodeGate, gate
from webhook.selector import Selector, parse

GATE = {"key": names.STARTUP_TAINT, "effect": "NoSchedule"}
SETTINGS = NodeGate(parse("pool=gpu"))
OTHER = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}


def node(labels: object, **spec: object) -> Json:
    """Return a Node as a kubelet registers it."""
    return {"metadata": {"name": "n", "labels": labels}, "spec": spec}


@pytest.mark.parametrize(
    ("made", "taints"),
    [
        (node({"pool": "gpu"}), [GATE]),
        (node({"pool": "gpu"}, taints=[OTHER]), [OTHER, GATE]),
        (node({"pool": "gpu"}, taints=[]), [GATE]),
        ({"metadata": {"labels": {"pool": "gpu"}}}, [GATE]),
    ],
)
def test_a_node_that_is_selected_is_gated(made: Json, taints: list[Json]) -> None:
    """Beside the taints that it has."""
    patched = jsonpatch.apply_patch(made, list(gate(made, SETTINGS).patch))
    assert patched["spec"]["taints"] == taints
    assert gate(patched, SETTINGS) == Amendment("gated-already")


@pytest.mark.parametrize(
    ("made", "rule"),
    [
        (node({"pool": "cpu"}), "not-selected"),
        (node(None), "not-selected"),
        (node({"pool": "gpu"}, taints=[{**GATE, "key": names.GATE_TAINTS[1]}]), "gated-already"),
        (node({"pool": "gpu", names.LABEL_MODE: "off"}), "standing-by"),
        (node({"pool": "gpu"}, taints={"odd": 1}), "failed-safe"),
    ],
)
def test_others_join_as_they_are(made: Json, rule: str) -> None:
    """Not selected, gated by any known key, or out of tunegate's hands."""
    assert gate(made, SETTINGS) == Amendment(rule)


def test_without_a_selector_no_node_is_gated() -> None:
    """It is off by default."""
    assert gate(node({"pool": "gpu"}), NodeGate()) == Amendment("not-selected")


def test_a_taint_of_another_effect_is_no_gate() -> None:
    """It is somebody else's."""
    made = node({"pool": "gpu"}, taints=[{**GATE, "effect": "PreferNoSchedule"}])
    assert gate(made, SETTINGS).rule == "gated"


@given(ANYTHING, ANYTHING)
def test_odd_nodes_are_answered(labels: object, taints: object) -> None:
    """Never an exception, and what is sent can be applied."""
    for made in (node(labels, taints=taints), node({"pool": "gpu"}, taints=taints)):
        jsonpatch.apply_patch(made, list(gate(made, SETTINGS).patch))


LABELS = {"pool": "gpu", "a.b/c": "", "zone": "z1"}


@pytest.mark.parametrize(
    ("text", "is_selected"),
    [
        ("pool=gpu", True),
        ("pool==gpu", True),
        ("pool != gpu", False),
        ("none!=x", True),
        ("pool in (cpu, gpu),zone", True),
        ("pool notin (cpu,gpu)", False),
        ("none notin (a)", True),
        ("a.b/c,!none", True),
        ("!pool", False),
        ("a.b/c=", True),
        ("pool=gpu, zone=z2", False),
        ("", False),
        ("  ", False),
    ],
)
def test_a_selector_selects_as_kubectls_does(text: str, *, is_selected: bool) -> None:
    """But an empty one selects nothing."""
    assert parse(text).selects(LABELS) is is_selected


@pytest.mark.parametrize("text", ["a=b,,c", "=b", "a in b", "a in (b", "a=b c", "-a", "a" * 5000])
def test_what_is_no_selector_is_refused(text: str) -> None:
    """With the part that is wrong."""
    with pytest.raises(ValueError, match="label"):
        parse(text)


@given(st.text("ab=!(), in", max_size=30))
def test_reading_a_selector_ends_in_a_selector_or_a_refusal(text: str) -> None:
    """Nothing else is raised."""
    with contextlib.suppress(ValueError):
        assert isinstance(parse(text), Selector)
