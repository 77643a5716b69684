"""The chart's schema never refuses a setting that the program itself would take."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from agent.schema import SETTINGS as AGENT
from common.settings import Setting
from docs.chart_schema import schema_of_values
from docs.chart_values import read
from docs.reader_schemas import FROM_THE_CHART, schema_of_file, schema_of_reader
from webhook.schema import SETTINGS as WEBHOOK
from webhook.settings import SETTINGS as POLICY

TABLES: Mapping[str, Sequence[Setting]] = {"agent": AGENT, "webhook": WEBHOOK, "policy": POLICY}
SAMPLES: tuple[Any, ...] = (
    *(True, False, 0, 1, 5, 64, 300, 512, 1280, 8896, 9000, 9443, 15360, 65535, 10**6, 10**9),
    *(0.1, 0.5, 1.5, 300.0, -1, -0.5),
    *(
        "",
        "auto",
        "heal",
        "report",
        "open",
        "hold",
        "json",
        "text",
        "1.2",
        "1.3",
        "a=b",
        "a in (b)",
    ),
    *("1", "30m", "120s", "0s", "2h", "16Gi", "nfs.example.com", "10.0.0.5:2050", "eth*", "a/b"),
    *([], ["a"], ["a/b", "c/d"], ["10.0.0.0/8"], ["10.0.0.5", "[fd00::1]:2049"]),
    *([{"key": "a/b"}], [{"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"}]),
    *([{"match": "10.0.0.5", "want": {"ro": None}}], [{"match": "a:/b*", "want": {}}]),
    *({}, {"nconnect": 8}, {"vers": ["3", "4.1"], "sec": "sys"}, {"soft": {"forbid": True}}),
    *({"net.core.rmem_max": 1048576}, {"net.ipv4.tcp_rmem": "4096 87380 16777216"}),
    {"net.core.rmem_max": {"value": 5, "compare": "exact", "required": False}},
    {"net.core.rmem_max": None},
    None,
)


def _is_number(one: object) -> bool:
    return isinstance(one, int | float) and not isinstance(one, bool)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "boolean": lambda one: isinstance(one, bool),
    "integer": lambda one: _is_number(one) and one == int(one),
    "number": _is_number,
    "string": lambda one: isinstance(one, str),
    "array": lambda one: isinstance(one, list),
    "object": lambda one: isinstance(one, dict),
    "null": lambda one: one is None,
}


def takes(schema: Mapping[str, Any], value: Any) -> bool:  # noqa: ANN401 - any JSON
    """Return whether a value fits a schema, as far as JSON Schema is used here."""
    wanted = schema.get("type", [])
    types = [wanted] if isinstance(wanted, str) else wanted
    checks = [
        not types or any(_TYPES[one](value) for one in types),
        "enum" not in schema or value in schema["enum"],
        "const" not in schema or value == schema["const"],
        "anyOf" not in schema or any(takes(one, value) for one in schema["anyOf"]),
    ]
    if _is_number(value):
        checks.append(schema.get("minimum", value) <= value <= schema.get("maximum", value))
        checks.append(value % schema.get("multipleOf", value or 1) == 0)
    if isinstance(value, str):
        checks.append(len(value) >= schema.get("minLength", 0))
    if isinstance(value, list) and "items" in schema:
        checks += [takes(schema["items"], one) for one in value]
    if isinstance(value, dict):
        checks += _of_object(schema, value)
    return all(checks)


def _of_object(schema: Mapping[str, Any], value: Mapping[str, Any]) -> list[bool]:
    known, other = schema.get("properties", {}), schema.get("additionalProperties", {})
    pattern = schema.get("propertyNames", {}).get("pattern", "")
    checks = [name in value for name in schema.get("required", ())]
    for name, inner in value.items():
        checks.append(bool(re.search(pattern, name)))
        rule = known.get(name, other)
        checks.append(takes(rule, inner) if isinstance(rule, dict) else rule)
    return checks


def is_taken(row: Setting, value: object) -> bool:
    """Return whether the program takes this value."""
    try:
        row.read(value)
    except ValueError:
        return False
    return True


ROWS = [
    pytest.param(row, id=f"{name}:{row.path}")
    for name, rows in TABLES.items()
    for row in rows
    if row.path != "profiles"  # is read apart
]


@pytest.mark.parametrize("row", ROWS)
def test_what_the_program_takes_the_chart_takes(row: Setting) -> None:
    """And some of what the program refuses is refused by Helm already."""
    schema = schema_of_reader(row.read)
    taken = [one for one in SAMPLES if is_taken(row, one)]
    assert [one for one in taken if not takes(schema, one)] == []
    assert [one for one in SAMPLES if not takes(schema, one)] != []
    assert taken != []


@pytest.mark.parametrize("name", TABLES)
def test_every_setting_is_in_the_schema_but_what_the_chart_writes(name: str) -> None:
    """A setting that is added to a program can be set by the chart at once."""
    schema = schema_of_file(name)
    found = set()
    for section, inner in schema["properties"].items():
        leaves = inner.get("properties") if "." in _paths_below(name, section) else None
        found |= {f"{section}.{leaf}" for leaf in leaves} if leaves else {section}
    assert found == {row.path for row in TABLES[name]} - set(FROM_THE_CHART[name])


def _paths_below(name: str, section: str) -> str:
    paths = [row.path for row in TABLES[name]]
    return next(one for one in paths if one == section or one.startswith(f"{section}."))


def test_sections_are_closed_and_values_are_typed_by_their_defaults() -> None:
    """What a comment of values.yaml adds comes over that."""
    text = '# -- A.\na: 1\nb:\n  # -- C.\n  # @schema {"minimum": 2}\n  c: 3\n'
    schema = schema_of_values(read(text))
    assert takes(schema, {"a": 5, "b": {"c": 2}, "global": {"x": 1}})
    for wrong in ({"a": "5"}, {"b": {"c": 1}}, {"b": {"c": 2, "d": 1}}, {"c": 1}):
        assert not takes(schema, {"a": 1, "b": {"c": 2}, **wrong})


@pytest.mark.parametrize(
    ("written", "is_missed"),
    [
        ("a: 1", True),
        ("a: false", True),
        ("a: x", False),
        ('# @schema {"pattern": "^x"}\na: x', True),
        ("a: [x]", False),
        ('# @schema {"minItems": 1}\na: [x]', True),
        ("a: {}", False),
    ],
)
def test_a_value_is_missed_where_an_empty_one_would_be_no_answer(
    written: str,
    is_missed: bool,  # noqa: FBT001
) -> None:
    """Helm takes a value away where a person writes `null`."""
    schema = schema_of_values(read(f"# -- A.\n{written}\n"))
    assert takes(schema, {}) is not is_missed
