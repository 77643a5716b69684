"""The gate works with the real scheduler: a GPU pod waits for the taint to go."""

from collections.abc import Iterator

import pytest

from tests.lab import objects, standalone
from tests.lab.api import JSON_PATCH, Object, object_path
from tests.lab.control_plane import ControlPlane

pytestmark = pytest.mark.api


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    """Give one control plane with kwok."""
    with standalone.control_plane(kwok=True) as made:
        yield made


def test_an_annotated_node_becomes_ready_and_keeps_foreign_conditions(
    control_plane: ControlPlane,
) -> None:
    """Kwok gives it a Ready condition and a Lease, and leaves a condition of ours alone."""
    node = objects.gpu_node("ready-0", "10.60.0.20")
    condition = {"type": "tunegate.io/NetworkTuned", "status": "Unknown", "reason": "Starting"}
    node["status"]["conditions"] = [condition]
    control_plane.admin.create(node)
    ready = control_plane.admin.wait_for(object_path(node), _is_ready)
    assert any(found["type"] == condition["type"] for found in ready["status"]["conditions"])
    assert ready["status"]["addresses"][0]["address"] == "10.60.0.20"
    lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/ready-0"
    control_plane.admin.wait_for(lease, bool)
    control_plane.admin.delete(object_path(node))


def test_a_gpu_pod_is_bound_once_the_gate_taint_is_gone(control_plane: ControlPlane) -> None:
    """The scheduler blames a taint while the pod is pending, then binds it; kwok runs it."""
    node, pod = objects.gpu_node("gpu-0"), objects.vllm_pod("llama")
    control_plane.admin.create(node)
    control_plane.admin.wait_for(object_path(node), _gate_alone)
    control_plane.admin.create(pod)
    pending = control_plane.admin.wait_for(object_path(pod), _is_unschedulable)
    assert "untolerated taint" in pending["status"]["conditions"][0]["message"]
    remove = [
        {"op": "test", "path": "/spec/taints/0/key", "value": objects.GATE["key"]},
        {"op": "remove", "path": "/spec/taints/0"},
    ]
    control_plane.admin.patch(object_path(node), remove, JSON_PATCH)
    running = control_plane.admin.wait_for(
        object_path(pod), lambda found: found["status"]["phase"] == "Running"
    )
    assert running["spec"]["nodeName"] == "gpu-0"


def test_a_node_made_again_under_the_same_name_becomes_ready_again(
    control_plane: ControlPlane,
) -> None:
    """A cloud gives a new node an old name; kwok takes the new one on."""
    node = objects.gpu_node("again-0")
    uids = set()
    for _ in range(2):
        control_plane.admin.create(node)
        ready = control_plane.admin.wait_for(object_path(node), _is_ready)
        uids.add(ready["metadata"]["uid"])
        control_plane.admin.delete(object_path(node))
        control_plane.admin.wait_for(object_path(node), lambda found: not found)
    assert len(uids) == 2


def _is_ready(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _gate_alone(node: Object) -> bool:
    """Tell whether the node is Ready and the not-ready taint of its first moments is gone."""
    return _is_ready(node) and [one["key"] for one in node["spec"]["taints"]] == [
        objects.GATE["key"]
    ]


def _is_unschedulable(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one.get("reason") == "Unschedulable" for one in conditions)
