"""The chart's dashboards: Grafana's schema takes them whole, and each asks for what is there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard as GrafanaDashboard

from docs.dashboards.files import DASHBOARDS
from docs.dashboards.panels import WIDTH, Dashboard
from tests.monitoring.sources import DASHBOARDS as FOLDER
from tests.monitoring.sources import known_metrics, metrics_in
from tests.monitoring.test_alerts import promtool

OF_THE_DATA_SOURCE = ("titleFormat", "textFormat")
"""Fields of an annotation that Prometheus' data source adds to the schema."""
EACH = pytest.mark.parametrize("name", DASHBOARDS)


def loaded(name: str) -> dict[str, Any]:
    """Return a dashboard's JSON."""
    made: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return made


def lost(ours: object, kept: object, path: str = "") -> list[str]:
    """Return where a value has something that its copy lacks or has otherwise."""
    if isinstance(ours, dict) and isinstance(kept, dict):
        return [one for key in ours for one in lost(ours[key], kept.get(key), f"{path}.{key}")]
    if isinstance(ours, list) and isinstance(kept, list) and len(ours) == len(kept):
        pairs = enumerate(zip(ours, kept, strict=True))
        return [one for n, (mine, its) in pairs for one in lost(mine, its, f"{path}[{n}]")]
    return [] if ours == kept or ours in ({}, [], None, "") else [f"{path}: {ours!r} is {kept!r}"]


def filled_in(expression: str) -> str:
    """Return an expression as Grafana sends it."""
    return re.sub(r"\$\w+", "x", expression.replace("$__rate_interval", "5m"))


def test_the_files_are_the_dashboards() -> None:
    """A file that nobody writes any more would stay for ever."""
    assert {path.stem for path in FOLDER.iterdir()} == set(DASHBOARDS)
    assert len({one.uid for one in DASHBOARDS.values()}) == len(DASHBOARDS)


@EACH
def test_grafanas_schema_takes_every_field(name: str) -> None:
    """Read and written by Grafana's own library, nothing is missing and nothing has changed."""
    register_default_plugins()
    ours = loaded(name)
    for annotation in ours["annotations"]["list"]:
        for key in OF_THE_DATA_SOURCE:
            del annotation[key]
    kept = json.loads(json.dumps(GrafanaDashboard.from_json(ours), cls=JSONEncoder))
    assert lost(ours, kept) == []


@EACH
def test_panels_fill_the_grid_and_do_not_overlap(name: str) -> None:
    """A gap or two panels in one place is a slip of somebody's arithmetic."""
    places: set[tuple[int, int]] = set()
    panels = loaded(name)["panels"]
    for panel in panels:
        place = panel["gridPos"]
        mine = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not mine & places
        places |= mine
    assert len(places) == WIDTH * (1 + max(y for _, y in places))
    assert len({panel["id"] for panel in panels}) == len(panels)


@EACH
def test_every_panel_says_what_it_shows(name: str) -> None:
    """In a sentence."""
    assert [one.title for one in DASHBOARDS[name].panels() if not one.text.endswith(".")] == []


@EACH
def test_prometheus_reads_every_expression(name: str, tmp_path: Path) -> None:
    """As rules, which is how promtool can be asked."""
    expressions = [query.expr for panel in DASHBOARDS[name].panels() for query in panel.queries]
    rules = [{"record": "x:y", "expr": filled_in(one)} for one in expressions]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = promtool("check", "rules", "--lint=none", file)
    assert done.returncode == 0, done.stdout + done.stderr


@EACH
def test_every_expression_asks_for_metrics_that_exist(name: str) -> None:
    """Of the agent, the webhook, a recorded scrape of vLLM, or a known exporter."""
    known = known_metrics()
    dashboard: Dashboard = DASHBOARDS[name]
    for panel in dashboard.panels():
        for query in panel.queries:
            asked = metrics_in(query.expr)
            assert asked, query.expr
            assert asked <= known, query.expr
    assert {variable.metric for variable in dashboard.variables} <= known


@EACH
def test_series_are_named_by_labels_that_they_have(name: str) -> None:
    """`{{node}}` of a sum by server would show nothing."""
    for panel in DASHBOARDS[name].panels():
        for query in panel.queries:
            kept = {
                label.strip()
                for labels in re.findall(r"by \(([^)]*)\)", query.expr)
                for label in labels.split(",")
            }
            assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= kept, query


@pytest.mark.parametrize(
    ("expression", "metrics"),
    [
        ('sum by (pod) (rate(vllm:x_total{a="b"}[5m])) / (sum(y) > 0)', {"vllm:x_total", "y"}),
        ("histogram_quantile(0.5, sum by (le) (z_bucket)) or vector(0)", {"z_bucket"}),
        ('a and on (job) (up offset 10m == 1) unless b{c=~"d"}', {"a", "up", "b"}),
        ("max(a_seconds > 0) - time()", {"a_seconds"}),
    ],
)
def test_metrics_are_found_in_expressions(expression: str, metrics: set[str]) -> None:
    """The functions, labels and words around them are not taken for metrics."""
    assert metrics_in(expression) == metrics
