"""
Panels and dashboards as values, and the JSON that Grafana loads of them.

The shapes are those of Grafana's dashboard schema, version 36 (Grafana 10), which newer ones take:
https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

WIDTH: Final = 24
"""Columns of Grafana's grid."""
SCHEMA_VERSION: Final = 36
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
Json = dict[str, Any]


def rate(metric: str, by: str) -> str:
    """Return the expression of a counter's rate, summed by labels; `metric` may have matchers."""
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


def increase(metric: str, by: str) -> str:
    """Return the expression of a counter's increase over the time of one point."""
    return f"sum by ({by}) (increase({metric}[$__rate_interval]))"


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression, and how its series are called: `{{node}}`, or a table's column."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Variable:
    """One choice at the top: the values of a label, `$name` in expressions."""

    name: str
    metric: str
    label: str
    has_all: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """
    One panel.

    Attributes:
        kind: `timeseries`, `stat` or `table`.
        text: what it means, and what to do about it; shown at the panel's corner.
        unit: of Grafana's own names: `s`, `bytes`, `Bps`, `percentunit`, `short`, ...
        steps: (from this value on, colour), the first one from None.
        names: texts that are shown in the place of values.
        fixed: name of a series -> its colour.
        hidden: labels that a table does not show.
    """

    title: str
    queries: tuple[Query, ...]
    text: str
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 7
    decimals: int | None = None
    stacked: bool = False
    minimum: float | None = None
    maximum: float | None = None
    steps: tuple[tuple[float | None, str], ...] = ((None, GREEN),)
    names: tuple[tuple[float, str, str], ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    units: tuple[tuple[str, str], ...] = ()
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A heading over panels."""

    title: str


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard; panels stand from left to right, in rows that fill the width."""

    uid: str
    title: str
    text: str
    parts: tuple[Panel | Row, ...]
    variables: tuple[Variable, ...] = ()

    def panels(self) -> Sequence[Panel]:
        """Return the panels without the headings."""
        return [part for part in self.parts if isinstance(part, Panel)]


def dashboard_json(dashboard: Dashboard) -> str:
    """Return a dashboard as Grafana loads it."""
    made: Json = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.text,
        "tags": ["tunegate"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "links": [_siblings()],
        "annotations": {"list": [_alerts()]},
        "templating": {"list": [_source(), *map(_variable, dashboard.variables)]},
        "panels": _placed(dashboard.parts),
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _placed(parts: Sequence[Panel | Row]) -> list[Json]:
    made: list[Json] = []
    x = y = tallest = 0
    for number, part in enumerate(parts, 1):
        width, height = (WIDTH, 1) if isinstance(part, Row) else (part.width, part.height)
        if x + width > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        place = {"x": x, "y": y, "w": width, "h": height}
        head = {"id": number, "title": part.title, "gridPos": place}
        made.append(head | (_row() if isinstance(part, Row) else _panel(part)))
        x, tallest = x + width, max(tallest, height)
    return made


def _row() -> Json:
    return {"type": "row", "collapsed": False, "panels": []}


def _panel(panel: Panel) -> Json:
    defaults: Json = {
        "unit": panel.unit,
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": value, "color": color} for value, color in panel.steps],
        },
        "mappings": [_mapping(panel.names)] if panel.names else [],
    }
    for key, value in (
        ("decimals", panel.decimals),
        ("min", panel.minimum),
        ("max", panel.maximum),
    ):
        if value is not None:
            defaults[key] = value
    extra = {"timeseries": _timeseries, "stat": _stat, "table": _table}[panel.kind](panel)
    defaults |= extra.pop("defaults")
    targets = [_target(panel, query, number) for number, query in enumerate(panel.queries)]
    return {
        "type": panel.kind,
        "description": panel.text,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": _overrides(panel)},
        **extra,
    }


def _target(panel: Panel, query: Query, number: int) -> Json:
    is_table = panel.kind == "table"
    is_now = panel.kind in ("stat", "table")
    return {
        "refId": chr(ord("A") + number),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "instant": is_now,
        "range": not is_now,
        "format": "table" if is_table else "time_series",
    }


def _timeseries(panel: Panel) -> Json:
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if panel.stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if len(panel.steps) > 1 else "off"},
    }
    return {
        "defaults": {"custom": custom, "color": {"mode": "palette-classic"}},
        "options": {
            "legend": {
                "showLegend": True,
                "displayMode": "list",
                "placement": "bottom",
                "calcs": [],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def _stat(panel: Panel) -> Json:
    return {
        "defaults": {"color": {"mode": "thresholds"}},
        "options": {
            "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""},
            "colorMode": "background",
            "graphMode": "none",
            "justifyMode": "center",
            "textMode": "value_and_name" if len(panel.queries) > 1 else "auto",
            "orientation": "auto",
        },
    }


def _table(panel: Panel) -> Json:
    """Return a table: the queries joined by their labels, one column each."""
    refs = [chr(ord("A") + number) for number in range(len(panel.queries))]
    several = len(refs) > 1
    columns = {f"Value #{ref}" if several else "Value": ref for ref in refs}
    shown = {column: panel.queries[refs.index(ref)].legend for column, ref in columns.items()}
    hidden = ["Time", *panel.hidden, *(column for column, name in shown.items() if not name)]
    organized = {
        "id": "organize",
        "options": {
            "excludeByName": dict.fromkeys(hidden, True),
            "renameByName": {column: name for column, name in shown.items() if name},
            "indexByName": {},
        },
    }
    merged = {"id": "merge", "options": {}}
    return {
        "defaults": {"custom": {"align": "auto", "filterable": True}},
        "options": {"showHeader": True, "cellHeight": "sm"},
        "transformations": [merged, organized],
    }


def _mapping(names: Sequence[tuple[float, str, str]]) -> Json:
    options = {
        f"{value:g}": {"text": text, "color": color, "index": number}
        for number, (value, text, color) in enumerate(names)
    }
    return {"type": "value", "options": options}


def _overrides(panel: Panel) -> list[Json]:
    fixed = [
        _override(name, "color", {"mode": "fixed", "fixedColor": color})
        for name, color in panel.fixed
    ]
    return fixed + [_override(name, "unit", unit) for name, unit in panel.units]


def _override(name: str, key: str, value: object) -> Json:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key, "value": value}],
    }


def _siblings() -> Json:
    return {
        "title": "tunegate",
        "type": "dashboards",
        "tags": ["tunegate"],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }


def _alerts() -> Json:
    """Return the marks of alerts that began to fire."""
    return {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": RED,
        "expr": 'ALERTS{alertname=~"Tunegate.+|Vllm.+|GpuTooHot", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{node}} {{pod}}",
    }


def _source() -> Json:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "hide": 0,
        "multi": False,
        "includeAll": False,
    }


def _variable(variable: Variable) -> Json:
    query = f"label_values({variable.metric}, {variable.label})"
    everything: Mapping[str, object] = {"allValue": ".*"} if variable.has_all else {}
    return {
        "name": variable.name,
        "label": variable.name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": "StandardVariableQuery"},
        "refresh": 2,
        "sort": 1,
        "hide": 0,
        "multi": False,
        "includeAll": variable.has_all,
        **everything,
    }
