"""What the containers may do is what the chart says: read from /proc of the real processes."""

import pytest

from tests.cluster.conftest import AGENT
from tests.lab.api import Object
from tests.lab.cluster import Cluster
from tests.lab.node import NodeProcess
from tests.lab.release import NAMESPACE, Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

NET_ADMIN = 1 << 12  # linux/capability.h
SECCOMP_FILTER = "2"  # proc_pid_status(5)
HOST_PATHS = {
    "/host/proc/sys/net": "rw",
    "/host/mountinfo": "ro",
    "/host/mountstats": "ro",
    "/host/bdi": "rw",
    "/run/tunegate": "rw",
}
OWN_FILES = {"/etc/tunegate/config": "ro", "/etc/tunegate/storage": "ro"}
BY_THESE_TESTS = {one["mountPath"]: "ro" for one in AGENT["extraVolumeMounts"]}
TOKEN = "/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
BY_RUNTIME = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/termination-log"}


def pods(cluster: Cluster, component: str) -> list[Object]:
    """Return the release's living pods of one component."""
    selector = f"labelSelector=app.kubernetes.io%2Fcomponent%3D{component}"
    found = cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/pods?{selector}")["items"]
    living = [one for one in found if "deletionTimestamp" not in one["metadata"]]
    assert living
    return living


def process(cluster: Cluster, pod: Object) -> NodeProcess:
    """Return a pod's only container as its node's /proc shows it."""
    (status,) = pod["status"]["containerStatuses"]
    return cluster.node_of(pod).process(status["containerID"])


def capabilities(status: dict[str, str]) -> dict[str, int]:
    """Return every set of capabilities that a process has."""
    return {key: int(value, 16) for key, value in status.items() if key.startswith("Cap")}


def from_the_node(one: NodeProcess) -> dict[str, str]:
    """Return the mounts that neither the kernel's own file systems nor the runtime explain."""
    inner = ("/proc", "/sys", "/dev")
    return {
        place: mode
        for place, mode in one.mounts().items()
        if not place.startswith(inner) and place not in BY_RUNTIME
    }


def test_the_agent_has_one_capability_and_no_way_to_more(
    cluster: Cluster, installed: Release
) -> None:
    """Uid 0 with CAP_NET_ADMIN alone, also in the bounding set; seccomp on, no new privileges."""
    for pod in pods(cluster, "agent"):
        status = process(cluster, pod).status()

        assert set(status["Uid"].split()) == {"0"}
        sets = capabilities(status)
        assert sets["CapEff"] == sets["CapPrm"] == sets["CapBnd"] == NET_ADMIN
        assert sets["CapInh"] == sets["CapAmb"] == 0
        assert status["Seccomp"] == SECCOMP_FILTER
        assert status["NoNewPrivs"] == "1"


def test_the_agent_sees_of_its_node_the_network_and_five_paths(
    cluster: Cluster, installed: Release
) -> None:
    """It is in the node's network, and in process and mount namespaces of its own."""
    for pod in pods(cluster, "agent"):
        node, agent = cluster.node_of(pod), process(cluster, pod)
        first = NodeProcess(node, 1)

        assert agent.namespace("net") == first.namespace("net")
        assert agent.namespace("pid") != first.namespace("pid")
        expected = {"/": "ro", TOKEN: "ro"} | HOST_PATHS | OWN_FILES | BY_THESE_TESTS
        assert from_the_node(agent) == expected


def test_the_agent_can_write_nothing_but_its_state_and_what_it_tunes(
    cluster: Cluster, installed: Release
) -> None:
    """The kernel refuses its image, its settings, and the sysctls that are not the network's."""
    for pod in pods(cluster, "agent"):
        node = cluster.node_of(pod)
        for place in ("/written", "/etc/tunegate/config/written", "/usr/local/bin/written"):
            done = node.exec(pod, ["touch", place])
            assert "Read-only file system" in done.stderr
        done = node.exec(pod, ["sh", "-c", "echo 1 > /proc/sys/vm/swappiness"])
        assert "Read-only file system" in done.stderr
        assert node.exec(pod, ["touch", "/run/tunegate/written"]).returncode == 0
        node.exec(pod, ["rm", "/run/tunegate/written"])


def test_the_webhook_is_nobody_and_can_do_nothing_to_its_node(
    cluster: Cluster, installed: Release
) -> None:
    """Not root, no capability at all, a read-only root, nothing of the node's file systems."""
    for pod in pods(cluster, "webhook"):
        webhook = process(cluster, pod)
        status = webhook.status()

        assert "0" not in status["Uid"].split() + status["Gid"].split() + status["Groups"].split()
        assert set(capabilities(status).values()) == {0}
        assert status["Seccomp"] == SECCOMP_FILTER
        assert status["NoNewPrivs"] == "1"
        assert webhook.mounts()["/"] == "ro"
        assert webhook.namespace("net") != NodeProcess(webhook.node, 1).namespace("net")
        volumes = {each for one in pod["spec"]["volumes"] for each in one} - {"name"}
        assert "hostPath" not in volumes
