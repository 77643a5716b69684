"""The doctor on nodes, claims and autoscalers: each rule where it holds, and where it does not."""

import pytest

from cli.doctor.facts import Place, Taint
from cli.doctor.of_nodes import GPU_LABELS, node_of, taint_texts
from cli.doctor.of_workloads import status_of
from common import names
from tests.unit.cli.doctor.objects import (
    DO_KEY,
    KEY,
    Json,
    agent,
    autoscaler,
    findings,
    node,
    problems,
    said,
    taint,
)

AN_HOUR_AGO = "2026-11-21T11:00:00Z"
STATUS = """\
autoscalerStatus: Running
clusterWide:
  health:
    nodeCounts:
      registered:
        notStarted: 1
        ready: 4
        total: 10
        unready:
          resourceUnready: 0
          total: 5
    status: {health}
"""
OLD_STATUS = """\
Cluster-autoscaler status at 2023-11-09 20:14:39.123206413 +0000 UTC:
Cluster-wide:
  Health:      Unhealthy (ready=4 unready=5 (resourceUnready=0) notStarted=1 longNotStarted=0)
"""


def status_map(text: str) -> Json:
    """Return a cluster-autoscaler's status ConfigMap."""
    metadata = {"name": "cluster-autoscaler-status", "namespace": "kube-system"}
    return {"kind": "ConfigMap", "metadata": metadata, "data": {"status": text}}


def claim(reason: str = "StartupTaintsExist", created: str = AN_HOUR_AGO) -> Json:
    """Return a NodeClaim of Karpenter's."""
    conditions = [{"type": "Initialized", "status": "Unknown", "reason": reason}]
    return {
        "kind": "NodeClaim",
        "metadata": {"name": "gpu-x1", "creationTimestamp": created},
        "status": {"nodeName": "gpu-1", "conditions": conditions},
    }


def test_a_gate_that_is_closed_for_long_is_stuck() -> None:
    """Who has not spoken, or what the agent says, stands in the sentence."""
    old = node(taints=[taint()], created=AN_HOUR_AGO)
    assert problems(old) == ["GateStuck"]
    found = said("GateStuck", old, agent())
    assert "gate stuck for 60m on node gpu-1: no agent has said anything" in found.message
    assert "-n tunegate" in found.snippet
    spoken = ("Unknown", "Pending", "The server does not answer.")
    judged = node(taints=[taint()], created=AN_HOUR_AGO, condition=spoken)
    assert "The server does not answer." in said("GateStuck", judged).message


def test_nodes_that_are_stuck_for_one_cause_are_one_finding() -> None:
    """A burst of a hundred can be read, the longest wait first."""
    burst = [
        node(f"gpu-{n}", taints=[taint()], created=f"2026-11-21T11:{n:02}:00Z") for n in range(9)
    ]
    found = said("GateStuck", *burst)
    assert "gate stuck for 60m on nodes gpu-0, gpu-1, gpu-2 and 6 more" in found.message
    assert found.target.count("gpu-") == 9
    other = node("gpu-x", taints=[taint()], created=AN_HOUR_AGO, condition=("False", "R", "M."))
    assert problems(*burst, other) == ["GateStuck", "GateStuck"]


def test_a_young_gate_is_not_stuck() -> None:
    """Two minutes are nothing; how many are too many is the person's to say."""
    young = node(taints=[taint()])
    assert problems(young) == []
    assert problems(young, stuck_seconds=60.0) == ["GateStuck"]
    assert "NodesOpen" in [one.name for one in findings(young)]


def test_a_tuned_node_behind_its_gate_is_somebody_elses_doing() -> None:
    """On AKS it is known whose."""
    tuned = ("True", "Tuned", "Fine.")
    for cloud, name in (("aks", "GatePermanent"), ("gke", "GateStuck")):
        stuck = node(cloud=cloud, taints=[taint()], created=AN_HOUR_AGO, condition=tuned)
        assert problems(stuck) == [name, "CountsAsUnready"]
    stuck = node(cloud="aks", taints=[taint()], created=AN_HOUR_AGO, condition=tuned)
    assert "nodeInitializationTaints" in said("GatePermanent", stuck).snippet


def test_a_gpu_node_without_any_sign_is_told() -> None:
    """Pods start there untuned; a node that is two minutes old may still wait for its agent."""
    assert problems(node(created=AN_HOUR_AGO), agent()) == ["GpuNodeUntouched"]
    assert problems(node(), agent()) == []
    assert problems(node(created=AN_HOUR_AGO, is_gpu=False), agent()) == []
    assert problems(node(created=AN_HOUR_AGO, condition=("True", "Tuned", "")), agent()) == []


def test_a_claim_that_waits_for_its_startup_taints_is_told() -> None:
    """It is paid for, and Karpenter leaves it alone."""
    assert problems(claim()) == ["ClaimUninitialized"]
    assert "tunegate nodes gpu-1" in said("ClaimUninitialized", claim()).snippet
    assert problems(claim(created="2026-11-21T11:58:00Z")) == []
    assert problems(claim(reason="ResourceNotRegistered")) == []
    ephemeral = claim(reason="KnownEphemeralTaintsExist")
    assert problems(ephemeral) == []
    gated = node(taints=[taint("readiness.k8s.io/network-not-tuned")])
    assert problems(ephemeral, gated) == ["ClaimUninitialized"]


def test_an_autoscaler_before_1_29_does_not_know_the_prefix() -> None:
    """Its flag helps it meanwhile."""
    assert problems(autoscaler("v1.28.7")) == ["AutoscalerTooOld"]
    found = said("AutoscalerTooOld", autoscaler("v1.28.7"))
    assert found.snippet == f"--ignore-taint={KEY}"
    assert problems(autoscaler("v1.28.7", f"--ignore-taint={KEY}")) == []
    assert problems(autoscaler("v1.29.0")) == []
    assert problems(autoscaler("latest")) == []


def test_an_autoscaler_that_knows_the_gate_is_told() -> None:
    """With how long it waits."""
    flags = ("--max-node-startup-time", "30m")
    text = said("AutoscalerKnowsGate", autoscaler("v1.36.1", *flags)).message
    assert "waits 30m for a node" in text
    shell = autoscaler("v1.36.1", "sh -c 'exec ca --max-node-startup-time=1h'")
    assert "waits 60m for a node" in said("AutoscalerKnowsGate", shell).message


def test_a_gated_node_counts_as_unready_after_15_minutes() -> None:
    """From its creation, whenever the taint was put on."""
    nodes = [node(f"gpu-{n}", taints=[taint()], created=AN_HOUR_AGO) for n in range(5)]
    found = said("CountsAsUnready", autoscaler(), *nodes)
    assert "waits 15m" in found.message
    assert "has stopped scaling the whole cluster" in found.message
    one = said("CountsAsUnready", autoscaler(), nodes[0], node("cpu", is_gpu=False))
    assert "has stopped" not in one.message
    assert "CountsAsUnready" not in problems(autoscaler("v1", "--max-node-startup-time=2h"), *nodes)
    ordinary = node(taints=[taint(DO_KEY)], created=AN_HOUR_AGO)
    assert "CountsAsUnready" not in problems(autoscaler(), ordinary)


def test_a_clouds_own_autoscaler_waits_as_long_by_default() -> None:
    """Out of sight it still counts."""
    old = node(cloud="gke", taints=[taint()], created=AN_HOUR_AGO)
    assert "of GKE" in said("CountsAsUnready", old).target
    for other in (
        node(cloud="gke", taints=[taint()]),
        node(taints=[taint()], created=AN_HOUR_AGO),
        node(
            cloud="gke",
            taints=[taint()],
            created=AN_HOUR_AGO,
            labels={"karpenter.sh/nodepool": "g"},
        ),
    ):
        assert "CountsAsUnready" not in problems(other)


@pytest.mark.parametrize("text", [STATUS.format(health="Unhealthy"), OLD_STATUS])
def test_an_autoscaler_that_halts_is_told(text: str) -> None:
    """As its status ConfigMap says, which was lines of text before 1.30."""
    assert problems(status_map(text)) == ["AutoscalerHalts"]
    message = said("AutoscalerHalts", status_map(text)).message
    assert "5 unready of 9, 1 starting" in message
    assert problems(status_map(STATUS.format(health="Healthy"))) == []


@pytest.mark.parametrize("text", ["", "{", "clusterWide: 3", "Cluster-wide:\n Health: x", "\x00"])
def test_a_status_that_cannot_be_read_says_nothing(text: str) -> None:
    """Whatever stands in it."""
    found = status_of(status_map(text))
    assert found is None or found.health == ""


def test_an_autoscaler_out_of_sight_is_a_note() -> None:
    """Only where a cloud runs one, and only when all Deployments were read."""
    names_of = [one.name for one in findings(node(cloud="gke"))]
    assert "AutoscalerUnseen" in names_of
    for objects, read in (([node(cloud="gke")], ()), ([node()], {"Deployment"})):
        assert "AutoscalerUnseen" not in [one.name for one in findings(*objects, read=read)]
    seen = findings(node(cloud="gke"), autoscaler())
    assert "AutoscalerUnseen" not in [one.name for one in seen]
    karpenters = node(cloud="eks", labels={"karpenter.sh/nodepool": "g"})
    assert "AutoscalerUnseen" not in [one.name for one in findings(karpenters)]


def test_clouds_and_pools_are_known_by_provider_and_labels() -> None:
    """A node that says nothing is of no cloud."""
    keys = names.GATE_TAINTS
    for cloud, label, place in (
        ("doks", "doks.digitalocean.com/node-pool", Place.DOKS),
        ("eks", "eks.amazonaws.com/nodegroup", Place.EKS),
        ("gke", "cloud.google.com/gke-nodepool", Place.GKE),
        ("aks", "kubernetes.azure.com/agentpool", Place.AKS),
    ):
        seen = node_of(node(cloud=cloud, labels={label: "p"}), keys)
        assert (seen.cloud, seen.pool) == (place, "p")
        assert node_of(node(labels={label: "p"}), keys).cloud is place
    assert node_of(node(), keys).cloud is Place.BARE
    assert node_of({}, keys).view.name == ""


@pytest.mark.parametrize("label", GPU_LABELS)
def test_a_label_of_a_cloud_tells_a_gpu(label: str) -> None:
    """Before a device plugin has said anything."""
    assert node_of(node(is_gpu=False, labels={label: "nvidia"}), ()).is_gpu
    assert not node_of(node(is_gpu=False, labels={label: "false"}), ()).is_gpu


def test_taints_are_read_as_clouds_write_them() -> None:
    """Value or none."""
    assert taint_texts(["a/b=c:NoSchedule", "a/b:NO_EXECUTE", "x"]) == (
        Taint("a/b", "NoSchedule"),
        Taint("a/b", "NoExecute"),
        Taint("x", ""),
    )
