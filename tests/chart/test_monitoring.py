"""How the chart is watched: by the operator's kinds where they are, by annotations elsewhere."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import chart
from tests.lab.api import Object

ALERTS = yaml.safe_load((chart.CHART / "files" / "alerts.yaml").read_text())["groups"]
KINDS = ("PodMonitor", "ServiceMonitor", "PrometheusRule")
SERVED = tuple(f"--api-versions=monitoring.coreos.com/v1/{kind}" for kind in KINDS)
FORCED: Mapping[str, Any] = {
    "podMonitor": {"enabled": True},
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "dashboards": {"enabled": True},
}
AGENT, WEBHOOK = ("DaemonSet", "tunegate-agent"), ("Deployment", "tunegate-webhook")


def annotated(objects: list[Object]) -> set[str]:
    """Return the names of the workloads whose pods are annotated to be scraped."""
    found = [chart.one(objects, *workload) for workload in (AGENT, WEBHOOK)]
    return {
        one["metadata"]["name"]
        for one in found
        if one["spec"]["template"]["metadata"]["annotations"].get("prometheus.io/scrape") == "true"
    }


def kinds(objects: list[Object]) -> set[str]:
    """Return which of the operator's kinds are there."""
    return {one["kind"] for one in objects} & set(KINDS)


def dashboards(objects: list[Object]) -> list[Object]:
    """Return the ConfigMaps of dashboards."""
    every = chart.select(objects, "ConfigMap")
    return [one for one in every if "grafana_dashboard" in one["metadata"].get("labels", {})]


def alerts(objects: list[Object]) -> dict[str, Object]:
    """Return the alerts of the PrometheusRule by name."""
    groups = chart.one(objects, "PrometheusRule", "tunegate")["spec"]["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def monitoring(**values: object) -> list[Object]:
    """Render with all of it forced, and these values of `prometheusRule` and others."""
    return chart.render({"monitoring": FORCED, **values})


@pytest.mark.parametrize("version", chart.VERSIONS)
def test_without_the_operator_pods_are_annotated(version: int) -> None:
    """Nothing of a kind that the cluster does not have, which would fail the install."""
    objects = chart.shipped(version)
    assert annotated(objects) == {"tunegate-agent", "tunegate-webhook"}
    assert kinds(objects) == set()
    assert dashboards(objects) == []


@pytest.mark.parametrize("version", chart.VERSIONS)
def test_with_the_operator_its_kinds_take_their_place(version: int) -> None:
    """By themselves; nothing is scraped twice."""
    objects = chart.render({}, *SERVED, version=version)
    assert annotated(objects) == set()
    assert kinds(objects) == set(KINDS)
    assert len(dashboards(objects)) == len(list((chart.CHART / "files/dashboards").iterdir()))


def test_each_half_is_decided_by_its_own_kind() -> None:
    """A cluster with PodMonitor alone still has the webhook annotated."""
    objects = chart.render({}, SERVED[0])
    assert annotated(objects) == {"tunegate-webhook"}
    assert kinds(objects) == {"PodMonitor"}


@pytest.mark.parametrize("is_wanted", [True, False])
def test_switches_win_over_what_the_cluster_has(is_wanted: bool) -> None:  # noqa: FBT001
    """`true` for `helm template`, `false` for whoever does it otherwise."""
    switches = {key: {"enabled": is_wanted} for key in FORCED}
    served = () if is_wanted else SERVED
    objects = chart.render({"monitoring": switches | {"annotations": False}}, *served)
    assert annotated(objects) == set()
    assert kinds(objects) == (set(KINDS) if is_wanted else set())
    assert bool(dashboards(objects)) == is_wanted


def test_monitors_select_the_pods_and_a_port_that_they_have() -> None:
    """A monitor whose selector or port matches nothing is silent for ever."""
    objects = monitoring()
    pods = chart.one(objects, "PodMonitor", "tunegate-agent")["spec"]
    agent = chart.one(objects, *AGENT)
    assert pods["selector"] == agent["spec"]["selector"]
    (end,) = pods["podMetricsEndpoints"]
    assert end["port"] in {one["name"] for one in chart.container(agent)["ports"]}
    services = chart.one(objects, "ServiceMonitor", "tunegate-webhook")["spec"]
    service = chart.one(objects, "Service", "tunegate-webhook")
    wanted = services["selector"]["matchLabels"].items()
    assert wanted <= service["metadata"]["labels"].items()
    (end,) = services["endpoints"]
    assert end["port"] in {one["name"] for one in service["spec"]["ports"]}


def test_an_agent_without_a_port_is_not_scraped() -> None:
    """`server.port: 0` switches it off."""
    objects = monitoring(agent={"config": {"server": {"port": 0}}})
    assert chart.select(objects, "PodMonitor") == []
    assert annotated(objects) == set()


def test_the_rule_holds_the_file_and_prometheus_takes_it(tmp_path: Path) -> None:
    """Not a word is lost on the way through Helm."""
    groups = chart.one(monitoring(), "PrometheusRule", "tunegate")["spec"]["groups"]
    assert groups == ALERTS
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": groups}))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def test_alerts_follow_what_is_installed_and_asked_for() -> None:
    """The gate's keys, the alerts of absent parts, those that are not wanted, links, labels."""
    rule = {
        "enabled": True,
        "disabled": ["GpuTooHot"],
        "ruleLabels": {"team": "gpu"},
        "runbookUrl": "https://wiki.example.com/",
    }
    found = alerts(
        chart.render(
            {
                "monitoring": {"prometheusRule": rule},
                "webhook": {"enabled": False},
                "gate": {"taints": ["example.com/a.b", "other"]},
            }
        )
    )
    assert "GpuTooHot" not in found
    assert "TunegateWebhookDown" not in found
    assert 'key=~"example[.]com/a[.]b|other"' in found["TunegateNodeWithoutAgent"]["expr"]
    closed = found["TunegateNodeGateClosed"]
    assert closed["labels"] == {"severity": "critical", "team": "gpu"}
    link = closed["annotations"]["runbook_url"]
    assert link == "https://wiki.example.com/TunegateNodeGateClosed.md"


def test_dashboards_arrive_as_they_are() -> None:
    """For a side-car, in the namespace where it looks."""
    values = {"enabled": True, "namespace": "grafana", "annotations": {"grafana_folder": "GPU"}}
    found = dashboards(chart.render({"monitoring": {"dashboards": values}}))
    for one in found:
        assert one["metadata"]["namespace"] == "grafana"
        assert one["metadata"]["annotations"] == {"grafana_folder": "GPU"}
        ((name, text),) = one["data"].items()
        file = chart.CHART / "files" / "dashboards" / name.removeprefix("tunegate-")
        assert text == file.read_text()


def test_labels_for_the_prometheus_that_chooses_by_them() -> None:
    """On every object of the operator's."""
    labels = {"labels": {"release": "stack"}}
    values = {key: {"enabled": True} | labels for key in FORCED if key != "dashboards"}
    objects = chart.render({"monitoring": values})
    for kind in KINDS:
        (one,) = chart.select(objects, kind)
        assert one["metadata"]["labels"]["release"] == "stack"
