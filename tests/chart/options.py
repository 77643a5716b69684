"""Values for tests: every option of the chart on at once."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from docs.chart_values import shipped

PRESETS = sorted(Path("charts/tunegate/presets").glob("*.yaml"))

OVERRIDING: Mapping[str, Any] = {
    "mutatingAdmissionPolicy": {"enabled": False},
    "webhook": {"hostNetwork": False, "certificates": {"certManager": {"enabled": False}}},
}
"""Switches off that, while they are on, leave out what another one makes."""


def all_on(without: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Return values with every switch on, and every other option that has a test's value."""
    text = Path("tests/chart/all_options.yaml").read_text()
    values: dict[str, Any] = yaml.safe_load(text)
    for path in switches():
        put(values, path, value=True)
    return merged(values, without or {})


def switches() -> list[tuple[str, ...]]:
    """Return the paths of all values that may be `true`."""
    return [
        one.path
        for one in shipped()
        if isinstance(one.default, bool) or True in one.fragment.get("enum", ())
    ]


def put(values: dict[str, Any], path: tuple[str, ...], *, value: object) -> None:
    """Set one value by its path."""
    for name in path[:-1]:
        values = values.setdefault(name, {})
    values[path[-1]] = value


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return one mapping over another, section by section."""
    made = copy.deepcopy(dict(under))
    for key, value in over.items():
        is_section = isinstance(value, dict) and isinstance(made.get(key), dict)
        made[key] = merged(made[key], value) if is_section else value
    return made
