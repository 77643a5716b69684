"""`tunegate doctor --cluster` on an installed chart: nothing to find, then what is broken."""

import json
import shlex

import pytest

from tests.api.laptop import Laptop, eventually
from tests.lab.api import Object
from tests.lab.cluster import Cluster
from tests.lab.release import NAMESPACE, Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

WAIT_SECONDS = 240.0
AGENTS = "app.kubernetes.io/component=agent"


def findings(cluster: Cluster) -> dict[str, Object]:
    """Return what the doctor finds, by name."""
    laptop = Laptop(cluster.control_plane, cluster.control_plane.kubeconfig)
    done = laptop.run("tunegate", "doctor", "--cluster", "-o", "json")
    assert done.stdout, done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)["findings"]}


def problems(cluster: Cluster) -> set[str]:
    """Return the names of the problems."""
    found = findings(cluster)
    return {name for name, one in found.items() if one["severity"] == "problem"}


def test_nothing_is_wrong_with_what_the_chart_installs(
    cluster: Cluster, installed: Release
) -> None:
    """Real kubelets run it: ready, called by its Service, tied to its own Node."""
    installed.await_agents()
    eventually(lambda: not problems(cluster), WAIT_SECONDS)
    found = findings(cluster)
    assert {"TunegateReady", "NodesOpen"} <= set(found)
    assert "OwnNodePolicyMissing" not in found


def test_why_an_agent_does_not_start_is_told_in_the_kubelets_words(
    cluster: Cluster, installed: Release
) -> None:
    """With the pod to look at; put right, it is gone."""
    agent = ("-n", NAMESPACE, "daemonset/tunegate-agent")
    cluster.kubectl("set", "image", *agent, "agent=localhost/there-is-none:1")
    try:
        pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
        cluster.api.wait_for(pods, lambda state: "ErrImageNeverPull" in str(state), WAIT_SECONDS)
        # what its DaemonSet counts comes a moment later
        eventually(lambda: "AgentNotReady" in problems(cluster), WAIT_SECONDS)
        found = findings(cluster)["AgentNotReady"]
        assert "ErrImageNeverPull" in found["message"]
        assert "kubectl describe pod -n tunegate" in found["snippet"]
    finally:
        cluster.kubectl("rollout", "undo", *agent)
        installed.await_agents()
    assert "AgentNotReady" not in problems(cluster)


def test_a_namespace_that_lets_no_agent_in_is_told_with_the_cure(
    cluster: Cluster, installed: Release
) -> None:
    """Pod Security takes the namespaces and folders that the agent needs for an attack."""
    level = "pod-security.kubernetes.io/enforce"
    cluster.kubectl("label", "namespace", NAMESPACE, f"{level}=baseline")
    try:
        cluster.kubectl("delete", "pods", "-n", NAMESPACE, f"--selector={AGENTS}", "--wait=true")
        eventually(
            lambda: "PodSecurity" in findings(cluster).get("AgentNotReady", {}).get("message", ""),
            WAIT_SECONDS,
        )
        command = findings(cluster)["AgentNotReady"]["snippet"].replace("\\\n", "")
        cluster.kubectl(*shlex.split(command)[1:])
        # its controller tries again by itself, later and later
        installed.await_agents()
        assert "AgentNotReady" not in problems(cluster)
    finally:
        cluster.kubectl("label", "namespace", NAMESPACE, f"{level}-")


def test_a_webhook_that_nobody_answers_for_is_told(cluster: Cluster, installed: Release) -> None:
    """By the endpoints of its Service."""
    webhook = ("-n", NAMESPACE, "deployment/tunegate-webhook")
    cluster.kubectl("scale", *webhook, "--replicas=0")
    try:
        wanted = {"WebhookNotReady", "NoEndpoints"}
        eventually(lambda: problems(cluster) >= wanted, WAIT_SECONDS)
    finally:
        cluster.kubectl("scale", *webhook, "--replicas=2")
        installed.await_webhook()
    eventually(lambda: not problems(cluster), WAIT_SECONDS)
