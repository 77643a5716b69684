"""A release is changed, rolled back, broken, shot at and booted: hosts and labels stay whole."""

import contextlib
import time
from collections.abc import Iterator

import pytest

from agent.node import decode_state
from common import names
from tests.cluster.conftest import AGENT, PATIENT
from tests.cluster.hosts import LINKS, TUNED_MTU_BYTES, eventually, host_values
from tests.cluster.vllm_pods import Creating, is_injected, vllm_pod
from tests.cluster.witness import Witness
from tests.lab.api import Object
from tests.lab.cluster import Cluster
from tests.lab.link_events import LinkEvents
from tests.lab.release import NAME, NAMESPACE, Release, is_open

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

JOURNAL = "/run/tunegate/journal.jsonl"


@pytest.fixture(scope="module")
def running(cluster: Cluster, installed: Release) -> Release:
    """Give the installed release, and every node its images under a second tag."""
    for node in cluster.nodes.values():
        for component in ("agent", "webhook"):
            name = f"localhost/tunegate-{component}"
            node.ctr("images", "tag", "--force", f"{name}:test", f"{name}:next")
    return installed


def image(component: str) -> Object:
    """Return the values of a component's image under its second tag."""
    return {"repository": f"localhost/tunegate-{component}", "tag": "next", "pullPolicy": "Never"}


@contextlib.contextmanager
def untouched_hosts(cluster: Cluster) -> Iterator[None]:
    """Claim that nothing is written to a host meanwhile: links, values, the agent's journal."""
    with contextlib.ExitStack() as stack:
        seen = {
            name: stack.enter_context(LinkEvents(node.namespace))
            for name, node in cluster.nodes.items()
        }
        before, journals = host_values(cluster), journal(cluster)
        yield
        assert {name: one.count(LINKS[name]) for name, one in seen.items()} == dict.fromkeys(
            LINKS, 0
        )
    assert (host_values(cluster), journal(cluster)) == (before, journals)


def journal(cluster: Cluster) -> dict[str, str]:
    """Return what each host's agent has written down before it wrote."""
    return {name: node.run(["cat", JOURNAL]).stdout for name, node in cluster.nodes.items()}


def await_rolled(running: Release) -> None:
    """Wait until all pods are of the newest version and ready."""
    running.await_agents()
    running.await_webhook()


@pytest.mark.parametrize("version", [3, 4])
def test_an_upgrade_and_a_rollback_touch_no_host_and_lose_no_pod(
    cluster: Cluster, running: Release, namespace: str, version: int
) -> None:
    """New images and settings, and back: no link flaps, every create works and is injected."""
    agent = {**AGENT, "image": image("agent"), "podAnnotations": {"helm": str(version)}}
    webhook = {**PATIENT, "image": image("webhook"), "config": {"log": {"format": "text"}}}
    with untouched_hosts(cluster), Creating(cluster.api, namespace) as creating:
        creating.await_more(5)
        running.upgrade(version=version, agent=agent, webhook=webhook)
        await_rolled(running)
        images = {one["spec"]["containers"][0]["image"] for one in pods(cluster)}
        assert {one.rpartition(":")[2] for one in images} == {"next"}
        creating.await_more(5)
        place = ("--namespace", NAMESPACE)
        cluster.helm("rollback", NAME, *place, version=version)
        await_rolled(running)
        creating.await_more(5)
        assert (creating.failures, creating.missed) == ([], [])
    for name in cluster.nodes:
        assert is_open(cluster.api.get(f"/api/v1/nodes/{name}"))


def test_changed_settings_reach_running_agents(cluster: Cluster, running: Release) -> None:
    """Without a restart, and a rollback takes them back in the same way."""
    before = {one["metadata"]["name"] for one in pods(cluster, "agent")}
    rows = {"net.ipv4.tcp_mtu_probing": 2}
    config = {**AGENT["config"], "sysctls": rows, "watch": {"pollSeconds": 2}}
    running.upgrade(agent={**AGENT, "config": config}, webhook=PATIENT)
    eventually(lambda: probing(cluster) == {"2"}, 300.0)
    cluster.helm("rollback", NAME, "--namespace", NAMESPACE)
    eventually(lambda: probing(cluster) == {"1"}, 300.0)
    assert {one["metadata"]["name"] for one in pods(cluster, "agent")} == before
    for name in cluster.nodes:
        running.await_tuned(name)


def probing(cluster: Cluster) -> set[str]:
    """Return what is set on the hosts for tcp_mtu_probing."""
    file = "/proc/sys/net/ipv4/tcp_mtu_probing"
    return {node.run(["cat", file]).stdout.strip() for node in cluster.nodes.values()}


def test_agents_that_crash_leave_nodes_as_they_are(cluster: Cluster, running: Release) -> None:
    """The first one that cannot start holds up the others; labels stay true, a rollback cures."""
    variable = {"name": "TUNEGATE_MTU", "value": "many"}
    broken = {**AGENT, "extraEnv": [*AGENT["extraEnv"], variable]}
    with untouched_hosts(cluster):
        running.upgrade(agent=broken, webhook=PATIENT)
        crashed = cluster.api.wait_for(PODS.format("agent"), has_crashed, 300.0)
        assert len([one for one in crashed["items"] if is_ready(one)]) == len(cluster.nodes) - 1
        for name in cluster.nodes:
            node = cluster.api.get(f"/api/v1/nodes/{name}")
            assert is_open(node)
            assert node["metadata"]["labels"]["tunegate.io/mtu"] == str(TUNED_MTU_BYTES)
        cluster.helm("rollback", NAME, "--namespace", NAMESPACE)
        running.await_agents()
    for name in cluster.nodes:
        running.await_tuned(name)


def test_no_create_fails_while_replicas_are_killed(
    cluster: Cluster, running: Release, namespace: str
) -> None:
    """Pods are created whoever dies, and injected again as soon as one replica is back."""
    running.await_webhook()
    with Creating(cluster.api, namespace) as creating:
        creating.await_more(5)
        for pod in pods(cluster, "webhook"):
            container = pod["status"]["containerStatuses"][0]["containerID"]
            node = cluster.node_of(pod)
            node.run(["kill", "-9", str(node.container_pid(container))])
        creating.await_more(20)
        eventually(lambda: all(map(is_ready, pods(cluster, "webhook"))), 300.0)

        def is_back() -> bool:
            name = f"after-{time.monotonic_ns()}"
            path = f"/api/v1/namespaces/{namespace}/pods"
            return is_injected(cluster.api.post(path, vllm_pod(name, namespace)))

        eventually(is_back, 180.0)
        assert creating.failures == []


def test_the_label_never_lies_about_a_node_that_boots(cluster: Cluster, running: Release) -> None:
    """Each version of the Node holds against the kernel of that moment, until it is tuned again."""
    node = cluster.nodes["gpu-0"]
    for name in cluster.nodes:
        running.await_tuned(name)
    boot = node.boot_id
    with Witness(cluster, "gpu-0", LINKS["gpu-0"]) as witness:
        cluster.reboot("gpu-0")
        cluster.give_gpus("gpu-0")

        def is_judged(one: Object) -> bool:
            annotations = one.get("metadata", {}).get("annotations", {})
            said = decode_state(annotations.get(names.ANNOTATION_STATE, ""))
            return is_open(one) and said.get("boot") == node.boot_id

        cluster.api.wait_for("/api/v1/nodes/gpu-0", is_judged, 300.0)
        assert node.namespace.mtu(LINKS["gpu-0"]) == TUNED_MTU_BYTES
    assert node.boot_id != boot
    assert [one for one in witness.versions if one.is_lie] == []
    first, *_, last = witness.versions
    assert first.claims
    assert first.judged_boot == boot
    assert last.claims
    assert last.judged_boot == node.boot_id
    # said before anything else is done to the new kernel
    assert [one for one in witness.versions if (one.network, one.condition) == ("", "Unknown")]


PODS = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app.kubernetes.io%2Fcomponent%3D{{}}"


def pods(cluster: Cluster, component: str = "") -> list[Object]:
    """Return the release's pods that are not on their way out."""
    path = PODS.format(component) if component else PODS.partition("?")[0]
    found: list[Object] = cluster.api.get(path)["items"]
    return [one for one in found if "deletionTimestamp" not in one["metadata"]]


def is_ready(pod: Object) -> bool:
    """Return whether a pod is Ready."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)


def has_crashed(listed: Object) -> bool:
    """Return whether a pod's container has ended twice."""
    return any(
        status["restartCount"] >= 2
        for pod in listed.get("items", [])
        for status in pod.get("status", {}).get("containerStatuses", [])
    )
