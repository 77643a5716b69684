"""What there is to watch: the chart's alerts and dashboards, and every metric that may be asked."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from agent.metrics import StatusCollector
from agent.nfs_metrics import NfsCollector
from agent.nfs_totals import Name, Present
from docs.agent_tables import full_status, nfs_counts
from webhook.metrics import Metrics

ROOT: Final = Path(__file__).parents[2]
ALERTS_FILE: Final = ROOT / "charts" / "tunegate" / "files" / "alerts.yaml"
ALERT_TESTS: Final = Path(__file__).parent / "alerts"
DASHBOARDS: Final = ROOT / "charts" / "tunegate" / "files" / "dashboards"
RUNBOOKS: Final = ROOT / "docs" / "runbooks"
SCRAPES: Final = ROOT / "tests" / "data" / "vllm"
FOREIGN: Final = frozenset(
    {
        "up",
        # https://github.com/kubernetes/kube-state-metrics/tree/main/docs/metrics/cluster
        "kube_node_created",
        "kube_node_spec_taint",
        # k8s.io/apiserver, pkg/admission/metrics
        "apiserver_admission_webhook_fail_open_count",
        # https://docs.nvidia.com/datacenter/dcgm/latest/gpu-telemetry/dcgm-exporter.html
        "DCGM_FI_DEV_GPU_TEMP",
        # vLLM before its first engine was replaced; newer scrapes have kv_cache_usage_perc
        "vllm:gpu_cache_usage_perc",
    }
)
"""Metrics of other programs that no recorded scrape here holds."""
_METRIC = re.compile(r"(?<![\w:\"$.])[a-zA-Z_:][\w:]*")
_MATCHERS = re.compile(
    r"\{[^}]*\}|\"[^\"]*\"|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)"
)
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan", "s", "m", "h", "d"})


def rules() -> list[dict[str, Any]]:
    """Return every alert of the chart."""
    groups = yaml.safe_load(ALERTS_FILE.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def metrics_in(expression: str) -> set[str]:
    """Return the names of the metrics that a PromQL expression asks for."""
    bare = _MATCHERS.sub(" ", re.sub(r"\[[^\]]*\]|\$\w+", " ", expression))
    found = set()
    for match in _METRIC.finditer(bare):
        is_call = bare[match.end() :].lstrip().startswith("(")
        if not is_call and match[0].lower() not in _WORDS and not match[0][0].isdigit():
            found.add(match[0])
    return found


def own_metrics() -> set[str]:
    """Return the names of all series of agent and webhook."""
    present = {"10.0.0.9": Present(8, 8, 0.001)}
    counts: dict[str, dict[Name, float]] = {"10.0.0.9": nfs_counts()}
    webhook = Metrics()
    webhook.fill()
    collectors: tuple[Collector, ...] = (
        StatusCollector(full_status()),
        NfsCollector(lambda: (counts, present)),
        webhook.registry,
    )
    return {name for one in collectors for name in _series(one)}


def vllm_metrics() -> set[str]:
    """Return the names of all series in recorded scrapes of vLLM."""
    families = (
        family
        for path in sorted(SCRAPES.glob("*-0.32.0.txt"))
        for family in text_string_to_metric_families(path.read_text())
    )
    return {sample.name for family in families for sample in family.samples}


def known_metrics() -> set[str]:
    """Return the names of all series that an alert or a panel may ask for."""
    return own_metrics() | vllm_metrics() | FOREIGN


def _series(collector: Collector) -> Iterator[str]:
    for family in collector.collect():
        for sample in family.samples:
            yield sample.name
