"""Wrong values are refused by Helm itself, with the name of the field."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from docs.chart_values import ValuesError, read, shipped
from tests.chart.options import OVERRIDING, all_on, merged, put, switches
from tests.lab import chart

SELECTS = "app.kubernetes.io/component"
WRONG: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "a misspelled section": ({"agnet": {}}, "'agnet' not allowed"),
    "a misspelled value": ({"agent": {"maxUnavailible": 1}}, "'maxUnavailible' not allowed"),
    "a misspelled setting": ({"agent": {"config": {"mtuu": 1}}}, "'mtuu' not allowed"),
    "a setting out of range": ({"agent": {"config": {"mtu": 100}}}, "/agent/config/mtu"),
    "a word that is none": (
        {"agent": {"config": {"gate": {"onFailed": "opne"}}}},
        "/agent/config/gate/onFailed",
    ),
    "a setting that the chart writes": (
        {"agent": {"config": {"gate": {"taints": ["a/b"]}}}},
        "'taints' not allowed",
    ),
    "a setting in a profile": (
        {"agent": {"config": {"profiles": [{"name": "a", "match": {}, "settings": {"x": 1}}]}}},
        "'x' not allowed",
    ),
    "a profile without match": (
        {"agent": {"config": {"profiles": [{"name": "a"}]}}},
        "missing property 'match'",
    ),
    "a webhook's setting": ({"webhook": {"config": {"limit": {}}}}, "'limit' not allowed"),
    "a policy's setting": ({"webhook": {"policy": {"startupBudget": 30}}}, "/startupBudget"),
    "a timeout that stops a cluster": ({"webhook": {"timeoutSeconds": 30}}, "/timeoutSeconds"),
    "a word for a switch": ({"uninstall": {"enabled": "yes"}}, "/uninstall/enabled"),
    "a label that selects": ({"agent": {"podLabels": {SELECTS: "x"}}}, "io~1component"),
    "a label of the chart's own": ({"commonLabels": {"helm.sh/chart": "x"}}, "helm.sh~1chart"),
    "no gate at all": ({"gate": {"taints": []}}, "/gate/taints"),
    "a gate as kubectl writes taints": (
        {"gate": {"taints": ["example.com/closed=true:NoSchedule"]}},
        "/gate/taints/0",
    ),
    "an upgrade that replaces nothing": ({"agent": {"maxUnavailable": 0}}, "maxUnavailable"),
    "no share at all": ({"agent": {"maxUnavailable": "0%"}}, "maxUnavailable"),
    "a pull policy": ({"agent": {"image": {"pullPolicy": "Maybe"}}}, "/agent/image/pullPolicy"),
}


@pytest.mark.parametrize("version", chart.VERSIONS)
@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_value_is_refused_by_its_name(what: str, version: int) -> None:
    """Before anything is installed."""
    values, word = WRONG[what]
    ran = chart.rendered(values, version=version)
    assert ran.returncode != 0
    assert word in ran.stderr


def test_the_schema_is_closed_everywhere() -> None:
    """Every section of the chart's own refuses names it does not know."""
    schema = json.loads(Path("charts/tunegate/values.schema.json").read_text())

    def look(place: Mapping[str, Any], path: str) -> None:
        for name, inner in place.get("properties", {}).items():
            # where all are `false`, it is a map of a person's own names but for these
            if any(inner.get("properties", {}).values()):
                assert inner["additionalProperties"] is False, f"{path}.{name}"
                look(inner, f"{path}.{name}")

    assert schema["additionalProperties"] is False
    look(schema, "")


@pytest.mark.parametrize("path", switches(), ids=".".join)
def test_every_switch_switches_something(path: tuple[str, ...]) -> None:
    """A switch that changes no object is a promise that nobody keeps."""
    on = all_on(OVERRIDING)
    put(on, path, value=True)
    off = merged(on, {})
    put(off, path, value=False)
    assert chart.rendered(on).stdout != chart.rendered(off).stdout


def test_every_other_value_is_read_by_a_template() -> None:
    """As far as its own name tells."""
    everything = "\n".join(one.read_text() for one in sorted(chart.CHART.glob("templates/*")))
    unread = [one.dotted for one in shipped() if one.path[-1] not in everything]
    assert unread == []


@pytest.mark.parametrize("version", chart.VERSIONS)
def test_a_section_with_nothing_in_it_is_an_empty_one(version: int) -> None:
    """A file of values in which all of a section's lines are comments sets it to null."""
    nothing = {
        "agent": {"config": None, "resources": None},
        "webhook": {"config": None, "policy": None},
    }
    on = {"mutatingAdmissionPolicy": {"enabled": True}}
    ran = chart.rendered({**nothing, **on}, version=version)
    assert ran.returncode == 0, ran.stderr
    with_resources = chart.render({"agent": {"resources": None}, **on}, version=version)
    assert chart.decode(ran.stdout) == with_resources


def nulls(values: Mapping[str, Any], paths: Iterable[tuple[str, ...]]) -> dict[str, Any]:
    """Return values with a null at each of these paths."""
    made = merged(values, {})
    for path in paths:
        put(made, path, value=None)
    return made


@pytest.mark.parametrize("version", chart.VERSIONS)
def test_a_value_that_is_empty_anyway_may_be_taken_away(version: int) -> None:
    """And nothing is made of it: no volume of a Secret without a name."""
    empty = [one.path for one in shipped() if one.default in ("", [], {})]
    assert chart.render(nulls({}, empty), version=version) == chart.shipped(version)


def test_lists_and_maps_may_be_taken_away_where_all_is_on() -> None:
    """As an empty one would be."""
    empty = {one.path: one.default for one in shipped() if one.default in ([], {})}
    empty.pop(("webhook", "hooks", "nodes", "selector"))
    on = all_on(OVERRIDING)
    nothing = chart.render(nulls(on, empty))
    for path, default in empty.items():
        put(on, path, value=default)
    assert nothing == chart.render(on)


@pytest.mark.parametrize("version", chart.VERSIONS)
def test_a_switch_or_number_that_is_taken_away_is_missed_by_its_name(version: int) -> None:
    """Else it would be off, or 0, and nobody had said so."""
    paths = [one.path for one in shipped() if isinstance(one.default, bool | int)]
    ran = chart.rendered(nulls({}, paths), version=version)
    assert "missing propert" in ran.stderr
    assert [path for path in paths if f"'{path[-1]}'" not in ran.stderr] == []


@pytest.mark.parametrize("version", chart.VERSIONS)
def test_a_section_that_is_taken_away_is_missed_by_its_name(version: int) -> None:
    """Whoever wants no monitoring says so to each part of it."""
    sections = {one.path[:depth] for one in shipped() for depth in range(1, len(one.path))}
    for depth in (1, 2, 3):
        paths = [one for one in sections if len(one) == depth]
        ran = chart.rendered(nulls({}, paths), version=version)
        assert [path for path in paths if f"'{path[-1]}'" not in ran.stderr] == []


def test_a_parent_chart_may_add_its_globals() -> None:
    """Helm hands `global` down to every subchart."""
    assert chart.rendered({"global": {"imageRegistry": "example.com"}}).returncode == 0


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a: 1\n", "a: has no comment"),
        ("# -- Good.\na: 1\nb:\n  c: 2\n", "b.c: has no comment"),
        ("# just words\na: 1\n", "a: has no comment"),
        ("# -- Good.\n# @schema {\na: 1\n", "is no JSON"),
    ],
)
def test_a_value_without_a_comment_is_an_error(text: str, word: str) -> None:
    """`make docs` refuses it, so nobody can forget."""
    with pytest.raises(ValuesError, match=word):
        read(text)
