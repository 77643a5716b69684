"""The hooks for PersistentVolumes and Nodes, called by a real API server."""

from collections.abc import Iterator

import pytest

from common.names import ANNOTATION_NFS_OPTIONS, STARTUP_TAINT
from tests.lab.api import Object, object_path
from tests.lab.webhook_lab import GATED
from tests.lab.webhook_objects import NODE_HOOK, node_configuration, patient
from tests.webhook_lab.stage import Stage, await_

pytestmark = [pytest.mark.lab, pytest.mark.api]


@pytest.fixture
def gating(stage: Stage) -> Iterator[Stage]:
    """Give the cluster with the Node hook, which is off by default."""
    one = patient(node_configuration(GATED, stage.lab.ca_bundle))
    stage.lab.configure(one)
    await_(lambda: _is_gated(stage, node("probe", GATED)), "the Node hook is called")
    yield stage
    stage.admin.delete(object_path(one))


def test_an_nfs_volume_of_a_class_that_opted_in_gets_its_options(stage: Stage) -> None:
    """As soon as the webhook has heard of the class."""
    metadata = {"name": "weights", "annotations": {ANNOTATION_NFS_OPTIONS: "enabled"}}
    kind = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": metadata}
    stage.admin.create(kind | {"provisioner": "example.com/nfs"})
    one = volume("by-class")
    one["spec"]["storageClassName"] = "weights"
    await_(
        lambda: "nconnect=8" in stage.create(one, dry_run=True).body["spec"]["mountOptions"],
        "the class is known",
    )


def test_any_other_nfs_volume_is_only_warned_about(stage: Stage) -> None:
    """It is created as it came, and whoever creates it is told what to add."""
    answer = stage.create(volume("plain"))
    assert (answer.status, answer.body["spec"]["mountOptions"]) == (201, ["hard"])
    assert any("nconnect=8" in warning for warning in answer.warnings)


def test_a_node_that_is_selected_registers_with_the_gate_taint(gating: Stage) -> None:
    """As a kubelet that registers itself; another Node is not even sent."""
    created = gating.create(node("gated-0", GATED))
    assert created.status == 201
    assert _taints(created.body) == {(STARTUP_TAINT, "NoSchedule")}
    before = gating.calls(NODE_HOOK)
    assert _taints(gating.create(node("open-0")).body) == set()
    assert gating.calls(NODE_HOOK) == before


def volume(name: str) -> Object:
    """Return an NFS PersistentVolume."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "500Gi"},
            "accessModes": ["ReadWriteMany"],
            "mountOptions": ["hard"],
            "nfs": {"server": "10.71.0.2", "path": "/weights"},
        },
    }


def node(name: str, labels: dict[str, str] | None = None) -> Object:
    """Return a Node as a kubelet registers it."""
    metadata = {"name": name, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}}


def _is_gated(stage: Stage, one: Object) -> bool:
    return bool(_taints(stage.create(one, dry_run=True).body))


def _taints(one: Object) -> set[tuple[str, str]]:
    every = {(taint["key"], taint["effect"]) for taint in one["spec"].get("taints", [])}
    return {(key, effect) for key, effect in every if not key.startswith("node.kubernetes.io/")}
