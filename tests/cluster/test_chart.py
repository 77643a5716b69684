"""What of the chart only a real kubelet shows: its own test, and an agent's token."""

import subprocess

import pytest

from common import names
from tests.lab.api import ApiError, Object
from tests.lab.cluster import Cluster
from tests.lab.release import NAME, NAMESPACE, Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


def helm_test(cluster: Cluster, version: int) -> subprocess.CompletedProcess[str]:
    """Run `helm test` and return what it said."""
    words = ("test", NAME, "--namespace", NAMESPACE, "--timeout=5m")
    return cluster.helm(*words, version=version, check=False)


@pytest.mark.parametrize("version", [3, 4])
def test_helm_test_passes_and_says_what_it_saw(
    cluster: Cluster, installed: Release, version: int
) -> None:
    """The webhook answers under its own certificate, and both nodes are as their agents say."""
    ran = helm_test(cluster, version)
    said = ran.stdout + ran.stderr  # the log of the test goes where each Helm's own log goes
    assert ran.returncode == 0, said
    for word in ("a vLLM pod gets tolerations", "2 of 2 agents are ready", "gpu-0 is tuned"):
        assert word in said
    path = f"{PODS}?labelSelector=app.kubernetes.io/component%3Dselftest"
    cluster.api.wait_for(path, lambda listed: listed.get("items") == [], 180.0)


def agent_on(cluster: Cluster, node: str) -> Object:
    """Return the agent's pod on a node."""
    listed = cluster.api.get(f"{PODS}?labelSelector=app.kubernetes.io/component%3Dagent")["items"]
    return next(one for one in listed if one["spec"]["nodeName"] == node)


def test_the_token_that_an_agent_has_is_for_its_own_node_alone(
    cluster: Cluster, installed: Release
) -> None:
    """Taken out of its container it cannot cordon its node, nor say anything of another."""
    pod = agent_on(cluster, "gpu-0")
    token = cluster.nodes["gpu-0"].exec(pod, ["cat", TOKEN]).stdout.strip()
    thief = cluster.control_plane.token_client(token)
    attempts: list[tuple[str, Object]] = [
        ("gpu-0", {"spec": {"unschedulable": True}}),
        ("gpu-0", {"metadata": {"labels": {"pool": "mine"}}}),
        ("solo-0", {"metadata": {"labels": {names.LABEL_NETWORK: "failed"}}}),
    ]
    for node, body in attempts:
        with pytest.raises(ApiError, match="a tunegate agent may change") as refused:
            thief.patch(f"/api/v1/nodes/{node}", body)
        assert refused.value.status == 403


def test_the_api_server_finds_no_fault_with_the_policys_expressions(
    cluster: Cluster, installed: Release
) -> None:
    """Its type checker reads them against the schema of Nodes."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    policy = cluster.api.wait_for(
        f"{path}/tunegate-agent-own-node",
        lambda one: (
            (one.get("status") or {}).get("observedGeneration")
            == one.get("metadata", {}).get("generation")
        ),
        180.0,
    )
    assert policy["status"].get("typeChecking", {}) == {}
