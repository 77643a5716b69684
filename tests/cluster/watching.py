"""What the tests of Prometheus have in common: pods that are watched, and what is asked of them."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from docs.dashboards.files import DASHBOARDS
from docs.dashboards.panels import Panel
from tests.cluster import serving
from tests.lab import images
from tests.lab.api import Object
from tests.lab.cluster import Cluster
from tests.lab.prometheus import SCRAPE_SECONDS, Prometheus
from tests.lab.recorded_mount import VALUES as RECORDED
from tests.lab.release import NAMESPACE
from tests.lab.world import NFS_ADDRESS

MODELS: Final = "models"
AGENT: Final = RECORDED | {"config": {"storage": {"endpoints": [NFS_ADDRESS]}}}
"""Values of the chart's agent: the lab's storage, and an NFS mount that was recorded."""
SCRAPED: Final = {"prometheus.io/scrape": "true"}
TARGET_LABELS: Final = frozenset({"instance", "job", "namespace", "pod", "node"})
"""What alerts and dashboards call an agent by, whatever the way it is scraped."""
NEVER_YET: Final = frozenset({"tunegate_webhook_part_failures_total"})
"""Series that begin with something that the tests here do not cause."""
DCGM_PORT: Final = 9400
_RATE_SECONDS = 4 * SCRAPE_SECONDS
_PANEL_SECONDS = 180.0
_EXPORTER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        for gpu in range(2):
            labels = f'gpu="{gpu}",UUID="GPU-{gpu}",device="nvidia{gpu}",modelName="NVIDIA H100"'
            value = 61 + 3 * gpu
            line = f'DCGM_FI_DEV_GPU_TEMP{{{labels},Hostname="NODE"}} {value}'
            self.wfile.write(f"{line}\\n".encode())
http.server.ThreadingHTTPServer(("", PORT), Handler).serve_forever()
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """A cluster with the chart, a Prometheus that scrapes it, and the pods that it should find."""

    cluster: Cluster
    prometheus: Prometheus
    pods: frozenset[str]

    def settle(self) -> None:
        """Wait until every pod was scraped often enough for a rate."""
        self.prometheus.await_targets(set(self.pods))
        for name in ("agent", "webhook"):
            metric = f"tunegate_{name}_build_info"
            self.prometheus.await_query(f"count_over_time({metric}[{_RATE_SECONDS}s]) >= 3")
        self.prometheus.await_true(self._has_judged, "a pod that was judged")

    def review(self) -> None:
        """Have the webhook asked about a pod that is never made."""
        path = "/api/v1/namespaces/default/pods?dryRun=All"
        self.cluster.api.post(path, reviewed_pod("default"))

    def _has_judged(self) -> bool:
        self.review()  # again and again: the first ones may come before the webhook is asked
        return bool(self.prometheus.query("tunegate_webhook_pods_total"))

    def labels(self, component: str) -> set[str]:
        """Return the labels that its targets have."""
        found = [one["labels"] for one in self.prometheus.targets()]
        mine = [one for one in found if one["pod"].startswith(f"tunegate-{component}-")]
        return set.union(*(set(one) for one in mine))


def living_pods(cluster: Cluster, *namespaces: str) -> list[Object]:
    """Return the pods that stay."""
    return [
        one
        for namespace in namespaces
        for one in cluster.api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
        if "deletionTimestamp" not in one["metadata"]
    ]


def pod_names(cluster: Cluster, *namespaces: str) -> frozenset[str]:
    """Return the names of the pods that stay."""
    return frozenset(one["metadata"]["name"] for one in living_pods(cluster, *namespaces))


def tunegates_pods(cluster: Cluster) -> frozenset[str]:
    """Return the names of agents and replicas."""
    return pod_names(cluster, NAMESPACE)


def model_server(node: str) -> Object:
    """Return a Deployment of vLLM's stand-in that is annotated for Prometheus."""
    made = serving.deployment(MODELS, node, {"STAND_IN_SCRAPE": "busy-data-parallel-2-0.32.0.txt"})
    annotations = SCRAPED | {"prometheus.io/port": str(serving.PORT)}
    made["spec"]["template"]["metadata"]["annotations"] = annotations
    return made


def reviewed_pod(namespace: str) -> Object:
    """Return a pod that the webhook has to look at."""
    template = serving.deployment(namespace, "gpu-0")["spec"]["template"]
    metadata = template["metadata"] | {"name": "reviewed", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def remove_models(cluster: Cluster) -> None:
    """Delete the namespace of the model servers; their pods first, and without grace."""
    where = ("-n", MODELS, "--all", "--ignore-not-found", "--grace-period=1")
    cluster.kubectl("delete", "deployments,pods", *where, check=False)
    cluster.kubectl("delete", "namespace", MODELS, "--wait=false", "--ignore-not-found")


def exporter(node: str) -> Object:
    """Return a pod that says of two GPUs what dcgm-exporter says."""
    script = _EXPORTER.replace("NODE", node).replace("PORT", str(DCGM_PORT))
    container = {
        "name": "exporter",
        "image": images.tag("vllm"),
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", script],
        "readinessProbe": {"tcpSocket": {"port": DCGM_PORT}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "dcgm-exporter",
            "namespace": MODELS,
            "labels": {"tunegate.io/inject": "disabled"},
            "annotations": SCRAPED | {"prometheus.io/port": str(DCGM_PORT)},
        },
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "containers": [container],
            "terminationGracePeriodSeconds": 1,
        },
    }


def filled_in(
    expression: str, choices: Mapping[str, str], rate_seconds: int = _RATE_SECONDS
) -> str:
    """Return an expression as Grafana sends it, with these choices."""
    text = expression.replace("$__rate_interval", f"{rate_seconds}s")
    return re.sub(r"\$(\w+)", lambda found: choices[found[1]], text)


def empty_panels(
    prometheus: Prometheus, name: str, choices: Mapping[str, str]
) -> list[tuple[str, list[str]]]:
    """Return the panels of a dashboard none of whose expressions gives anything."""

    def asked(panel: Panel) -> Sequence[str]:
        return [filled_in(query.expr, choices) for query in panel.queries]

    return [
        (panel.title, list(asked(panel)))
        for panel in DASHBOARDS[name].panels()
        if not any(prometheus.query(expression) for expression in asked(panel))
    ]


def await_panels(
    prometheus: Prometheus, name: str, choices: Mapping[str, str], work: Callable[[], object]
) -> list[tuple[str, list[str]]]:
    """
    Wait until no panel of a dashboard is empty, and return those that are in the end.

    `work` is done all the while: a rate needs what happened within the last scrapes, and a scrape
    that takes longer than its second is one that lacks.
    """
    deadline = time.monotonic() + _PANEL_SECONDS
    while True:
        work()
        empty = empty_panels(prometheus, name, choices)
        if not empty or time.monotonic() > deadline:
            return empty
        time.sleep(SCRAPE_SECONDS / 2)


def unhealthy_rules(prometheus: Prometheus) -> list[dict[str, Any]]:
    """Return the rules that were not evaluated, or failed."""
    groups = prometheus.get("rules")["groups"]
    return [rule for group in groups for rule in group["rules"] if rule["health"] != "ok"]


def loaded_alerts(prometheus: Prometheus) -> set[str]:
    """Return the names of the alerts that are loaded."""
    groups = prometheus.get("rules")["groups"]
    return {rule["name"] for group in groups for rule in group["rules"]}
