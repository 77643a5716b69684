"""The chart's DaemonSet on nodes that Karpenter makes: there before the gate opens, or never."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from common.names import LABEL_NETWORK
from tests.autoscale.harness import (
    WAIT_SECONDS,
    Scaler,
    gate_keys,
    is_gated,
    is_initialized,
    node_of,
)
from tests.e2e.harness import await_, label
from tests.lab import chart
from tests.lab.api import Object
from tests.lab.karpenter import GPU_LABEL, node_class, node_pool
from tests.lab.objects import AGENT_NAME, AGENT_NAMESPACE

pytestmark = [pytest.mark.api, pytest.mark.timeout(1200)]
PRESET = chart.CHART / "presets" / "karpenter.yaml"
PAGE = Path("docs/clouds/karpenter.md").resolve()
PODS = f"/api/v1/namespaces/{AGENT_NAMESPACE}/pods"
DAEMON_SET = f"/apis/apps/v1/namespaces/{AGENT_NAMESPACE}/daemonsets/{AGENT_NAME}"


@pytest.fixture
def installed(scaler: Scaler) -> Iterator[Object]:
    """Install the agent's side of the chart with Karpenter's preset; give its DaemonSet."""
    values = {"webhook": {"enabled": False}}
    objects = chart.render(values, "--no-hooks", "--values", str(PRESET))
    file = scaler.lab.lab_dir.path / "chart.json"
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    file.write_text(json.dumps(listed), encoding="utf-8")
    kubectl = scaler.lab.control_plane.kubectl
    applied = kubectl("apply", "--server-side", "--force-conflicts", "-f", str(file))
    assert applied.returncode == 0, applied.stderr
    yield chart.one(objects, "DaemonSet", AGENT_NAME)
    kubectl("delete", "-n", AGENT_NAMESPACE, "daemonset", AGENT_NAME)


def documented_pool() -> Object:
    """Return the NodePool of docs/clouds/karpenter.md, its nodes made by the lab's provider."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (pool,) = (one for one in map(yaml.safe_load, blocks) if one["kind"] == "NodePool")
    of_lab: Object = node_pool("lab")["spec"]["template"]["spec"]["nodeClassRef"]
    pool["spec"]["template"]["spec"]["nodeClassRef"] = of_lab
    return dict(pool)


def agent_pod_on(scaler: Scaler, node: str) -> str | None:
    """Return the name of the agent's running pod on a Node."""
    for pod in scaler.admin.get(PODS)["items"]:
        if pod["spec"].get("nodeName") == node and pod["status"]["phase"] == "Running":
            return str(pod["metadata"]["name"])
    return None


def test_the_agents_pod_is_on_a_new_gpu_node_while_the_gate_stands(
    scaler: Scaler, installed: Object
) -> None:
    """The pool is the documentation's; Karpenter reckons with the pod, whose token opens it."""
    scaler.offer(node_class(), documented_pool())
    pod = scaler.ask("vllm")
    claim = scaler.await_claim(is_gated, "a claim that waits for the startup taint")
    node = node_of(claim)
    name = await_(lambda: agent_pod_on(scaler, node), "the agent's pod there", WAIT_SECONDS)
    seen = scaler.node(node)
    assert gate_keys(seen)
    assert label(seen, GPU_LABEL) == "1"
    wanted = chart.container(installed)["resources"]["requests"]
    asked = claim["spec"]["resources"]["requests"]
    assert asked.items() >= {**wanted, "pods": "2"}.items()
    scaler.join(node, pod_name=name)
    scaler.await_bound(pod, node)
    scaler.await_claim(is_initialized, "the claim initialised")
    seen = scaler.await_node(node, lambda one: label(one, LABEL_NETWORK) == "tuned")
    assert not gate_keys(seen)


def test_no_agent_is_on_a_node_without_gpus(scaler: Scaler, installed: Object) -> None:
    """One pool for all: the web server's node is left alone, the model server's is not."""
    scaler.offer(node_class(), node_pool("mixed"))
    web: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"containers": [{"name": "web", "image": "nginx"}]},
    }
    scaler.admin.create(web)
    first = node_of(scaler.await_claim(is_initialized, "the web server's claim"))
    scaler.ask("vllm")
    second = node_of(
        scaler.await_claim(
            lambda one: is_initialized(one) and node_of(one) != first, "the model server's claim"
        )
    )
    await_(lambda: agent_pod_on(scaler, second), "the agent's pod there", WAIT_SECONDS)
    assert agent_pod_on(scaler, first) is None
    scaler.admin.wait_for(DAEMON_SET, lambda one: counted(one) == 1)


def counted(daemon_set: Object) -> int | None:
    """Return on how many nodes its controller wants a pod; it says so after it has made them."""
    number: int | None = daemon_set.get("status", {}).get("desiredNumberScheduled")
    return number
