"""What `helm install` prints at its end."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.chart.conftest import Server, helm
from tests.lab import chart
from tests.lab.process import LabDir

pytestmark = [pytest.mark.lab, pytest.mark.api, pytest.mark.timeout(900)]

DANGEROUS: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
    "an agent that may do too much": (
        {
            "gate": {"taints": ["example.com/closed"]},
            "agent": {
                "config": {"gate": {"onFailed": "open", "onDegraded": "hold"}},
                "ownNodePolicy": {"enabled": False},
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                "gpuLabels": dict.fromkeys(chart.gpu_labels()),
                "resources": {"limits": {"cpu": "100m"}},
            },
            "webhook": {
                "replicas": 1,
                "hooks": {"pods": False},
                "hostNetwork": True,
                "podDisruptionBudget": {"maxUnavailable": "0%"},
                "config": {"storage": {"enabled": False}},
                "certificates": {"existingSecret": "mine"},
            },
            "uninstall": {"enabled": False},
            "networkPolicy": {"enabled": True},
        },
        (
            "gate.taints",
            "agent.config.gate.onFailed",
            "agent.config.gate.onDegraded",
            "agent.ownNodePolicy.enabled",
            "agent.tolerations",
            "agent.gpuLabels",
            "agent.resources.limits.cpu",
            "webhook.replicas",
            "networkPolicy.enabled",
            "webhook.podDisruptionBudget.maxUnavailable",
            "webhook.hooks.pods",
            "webhook.certificates.caBundle",
            "no NFS server",
            "uninstall.enabled",
        ),
    ),
    "agents everywhere": (
        {"agent": {"affinity": {"podAntiAffinity": {}, "nodeAffinity": {}}}},
        ("agent.affinity",),
    ),
    "an affinity without nodes": (
        {"agent": {"affinity": {"podAntiAffinity": {}, "nodeAffinity": None}}},
        ("agent.affinity",),
    ),
    "an affinity and a selector": (
        {"agent": {"affinity": {"podAntiAffinity": {}}, "nodeSelector": {"pool": "gpu"}}},
        (),
    ),
    "policies of the API server": (
        {"mutatingAdmissionPolicy": {"enabled": True}},
        ("mutatingAdmissionPolicy.enabled",),
    ),
    "nothing of it": (
        {"agent": {"enabled": False}, "webhook": {"enabled": False}},
        ("agent.enabled", "webhook.enabled"),
    ),
}


def notes(
    server: Server, lab_dir: LabDir, values: Mapping[str, Any], version: int, namespace: str = ""
) -> str:
    """Return what an installation with these values would print."""
    file = lab_dir.path / "values.json"
    file.write_text(json.dumps(values), encoding="utf-8")
    args = ("install", "notes", str(chart.CHART), "--dry-run=server", "--values", str(file))
    ran = helm(server, *args, version=version, namespace=namespace)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.partition("NOTES:")[2]


@pytest.mark.parametrize("version", chart.VERSIONS)
def test_the_shipped_values_cause_no_warning(
    newest_server: Server, lab_dir: LabDir, version: int
) -> None:
    """And the next commands are named, ready to be typed."""
    said = notes(newest_server, lab_dir, {}, version)
    assert "WARNING" not in said
    for word in (
        "startup-taint.cluster-autoscaler.kubernetes.io/network-not-tuned:NoSchedule",
        "kubectl get nodes -L tunegate.io/network,tunegate.io/mtu",
        f"helm test notes --namespace helm{version}",
        "https://github.com/tunegate/tunegate#from-your-laptop",
    ):
        assert word in said


@pytest.mark.parametrize("what", DANGEROUS)
def test_each_dangerous_value_is_warned_of(
    newest_server: Server, lab_dir: LabDir, what: str
) -> None:
    """One warning for each, which begins with what is the matter."""
    values, words = DANGEROUS[what]
    said = notes(newest_server, lab_dir, values, 4)
    warned = [line for line in said.splitlines() if line.startswith("WARNING: ")]
    assert len(warned) == len(words)
    for word in words:
        assert [line for line in warned if line.startswith(f"WARNING: {word}")], word


def test_a_release_among_peoples_own_pods_is_warned_of(
    newest_server: Server, lab_dir: LabDir
) -> None:
    """Its own namespace is never looked at, and `default` is where Helm installs unless told."""
    said = notes(newest_server, lab_dir, {}, 4, namespace="default")
    (warned,) = [line for line in said.splitlines() if line.startswith("WARNING: ")]
    assert "the release is in namespace default" in warned
    without = notes(newest_server, lab_dir, {"webhook": {"enabled": False}}, 4, namespace="default")
    assert "release is in" not in without
