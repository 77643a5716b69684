"""
A real Prometheus finds agent and webhook, by annotations and by what the real operator generates.

One cluster with the chart; first without the operator's kinds, then with them.
"""

from collections.abc import Iterator

import pytest

from docs.dashboards.files import DASHBOARDS
from tests.cluster import serving, watching
from tests.cluster.watching import AGENT, MODELS, NEVER_YET, TARGET_LABELS, Watched
from tests.lab import prometheus, prometheus_operator
from tests.lab.cluster import Cluster, missing_programs
from tests.lab.prometheus import Prometheus, annotated_pods
from tests.lab.prometheus_operator import Generated, Operator
from tests.lab.recorded_mount import RecordedMount
from tests.lab.release import Release
from tests.monitoring.sources import ALERTS_FILE, own_metrics, rules

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

NODE = "gpu-0"
PERIOD = f"{prometheus.SCRAPE_SECONDS}s"
MONITORING = {"podMonitor": {"interval": PERIOD}, "serviceMonitor": {"interval": PERIOD}}
CHOICES = {"node": NODE, "namespace": ".*", "model": ".*"}
ALERTS = {rule["alert"] for rule in rules()}


@pytest.fixture(scope="module")
def mounted(cluster: Cluster, absent: Release) -> Iterator[dict[str, RecordedMount]]:
    """Install the chart, its agents on nodes with a mount, and a model server; all goes after."""
    lacking = missing_programs(prometheus_operator.PROGRAMS)
    if lacking:
        pytest.skip(f"Prometheus needs {', '.join(lacking)}: run `make setup` as root")
    made = {name: RecordedMount(node) for name, node in cluster.nodes.items()}
    absent.install(agent=AGENT, monitoring=MONITORING)
    place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MODELS}}
    try:
        absent.await_webhook()
        for name in cluster.nodes:
            absent.await_tuned(name)
        cluster.api.create(place)
        cluster.api.wait_for(f"/api/v1/namespaces/{MODELS}/serviceaccounts/default", bool)
        cluster.api.create(watching.model_server(NODE), watching.exporter(NODE))
        serving.only_pod(cluster, MODELS, ("Ready", "True"))
        connections = [mount.connect() for mount in made.values()]
        yield made
        for connection in connections:
            connection.close()
    finally:
        watching.remove_models(cluster)
        absent.uninstall()


@pytest.fixture(scope="module")
def annotated(cluster: Cluster, mounted: object) -> Iterator[Watched]:
    """Give a Prometheus that knows nothing but the annotations of pods."""
    server = Prometheus(cluster.lab_dir, cluster.world.cp, "prometheus-annotated")
    server.start(annotated_pods(cluster.control_plane.kubeconfig, ALERTS_FILE))
    pods = watching.tunegates_pods(cluster) | watching.pod_names(cluster, MODELS)
    watched = Watched(cluster, server, pods)
    watched.settle()
    yield watched
    server.stop()


@pytest.fixture(scope="module")
def generated(
    cluster: Cluster, release: Release, annotated: Watched
) -> Iterator[tuple[Watched, Generated]]:
    """Install the operator, upgrade the chart, and give a Prometheus with what it generates."""
    annotated.prometheus.stop()
    operator = Operator(cluster.lab_dir, cluster.control_plane, cluster.world.cp)
    operator.install()
    try:
        release.upgrade(agent=AGENT, monitoring=MONITORING)
        release.await_webhook()
        release.await_agents()
        made = operator.generated(jobs=2)
        server = Prometheus(cluster.lab_dir, cluster.world.cp, "prometheus-generated")
        server.start(made.configuration, seen={"/etc/prometheus": made.folder})
        watched = Watched(cluster, server, watching.tunegates_pods(cluster))
        watched.settle()
        yield watched, made
        server.stop()
        release.uninstall()  # before its kinds go
    finally:
        operator.remove()


def assert_everything_is_there(watched: Watched) -> None:
    """Every metric of the tables, with its own labels and the target's, none of them renamed."""
    wanted = own_metrics() - NEVER_YET

    def all_are_there() -> bool:
        return wanted <= set(watched.prometheus.get("label/__name__/values"))

    watched.prometheus.await_true(all_are_there, f"all of {sorted(wanted)}")
    labels = set(watched.prometheus.get("labels"))
    assert {one for one in labels if one.startswith("exported_")} == set()
    assert watched.labels("agent") >= TARGET_LABELS
    assert watched.labels("webhook") >= TARGET_LABELS
    tuned = f'tunegate_agent_outcome{{node="{NODE}", outcome="tuned"}} == 1'
    assert len(watched.prometheus.await_query(tuned)) == 1


def assert_evaluated(watched: Watched) -> None:
    """Claim that the alerts are the chart's, and that each one is evaluated without an error."""
    assert watching.loaded_alerts(watched.prometheus) == ALERTS
    watched.prometheus.await_true(
        lambda: not watching.unhealthy_rules(watched.prometheus), "every rule evaluated"
    )


def test_annotations_are_enough(annotated: Watched) -> None:
    """Without the operator's kinds the chart annotates its pods; the usual job finds them all."""
    assert_everything_is_there(annotated)


def test_the_file_of_alerts_is_loaded_and_evaluated(annotated: Watched) -> None:
    """As it stands in the chart, by `rule_files`; nothing is wrong, so nothing fires."""
    assert_evaluated(annotated)
    assert annotated.prometheus.query('ALERTS{alertstate="firing"}') == []


@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_panel_is_empty(
    annotated: Watched, mounted: dict[str, RecordedMount], name: str
) -> None:
    """With agents, webhook, a vLLM server, a mount that is read and a GPU exporter."""

    def work() -> None:
        for mount in mounted.values():
            mount.load(8 << 30, 0.004, 0.001)
        annotated.review()

    assert watching.await_panels(annotated.prometheus, name, CHOICES, work) == []


def test_the_operator_generates_what_finds_every_pod(generated: tuple[Watched, Generated]) -> None:
    """The chart has seen the kinds by itself; each monitor is one job, and no pod is annotated."""
    watched, made = generated
    assert sorted(made.jobs()) == [
        "podMonitor/tunegate/tunegate-agent/0",
        "serviceMonitor/tunegate/tunegate-webhook/0",
    ]
    pods = watching.living_pods(watched.cluster, "tunegate")
    annotations = [key for one in pods for key in one["metadata"].get("annotations", {})]
    assert [key for key in annotations if key.startswith("prometheus.io/")] == []
    assert_everything_is_there(watched)


def test_the_rules_come_through_the_operator(generated: tuple[Watched, Generated]) -> None:
    """Its own validation has taken each, and Prometheus evaluates it."""
    watched, made = generated
    assert len(made.rules()) == 1
    assert_evaluated(watched)


def test_a_webhook_that_goes_is_an_alert_on_its_way(generated: tuple[Watched, Generated]) -> None:
    """Scaled to nothing, the alert is pending within a few evaluations."""
    watched, _ = generated
    cluster = watched.cluster
    scale = ("-n", "tunegate", "scale", "deployment/tunegate-webhook")
    cluster.kubectl(*scale, "--replicas=0")
    watched.prometheus.await_query('ALERTS{alertname="TunegateWebhookDown"}')
    cluster.kubectl(*scale, "--replicas=2")
