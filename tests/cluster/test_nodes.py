"""The lab's nodes are real ones: what a kubelet does for a pod is done, also after a reboot."""

import pytest

from common import names
from tests.cluster.hosts import eventually
from tests.lab.api import Object
from tests.lab.cluster import Cluster
from tests.lab.objects import GPU
from tests.lab.release import Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

_READY_SECONDS = 240.0


def server_pod(name: str, namespace: str, image: str, node: str) -> Object:
    """Return a pod that answers HTTP with its node's name and says so in its log."""
    serve = "exec busybox httpd -f -p 80 -h /www"
    script = f"busybox mkdir /www; echo {node} > /www/index.html; echo serving; {serve}"
    container = {
        "name": "server",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
        "readinessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "server"}},
        "spec": {
            "containers": [container],
            "nodeSelector": {"kubernetes.io/hostname": node},
            "tolerations": [{"operator": "Exists"}],
            "terminationGracePeriodSeconds": 1,
        },
    }


def await_ready(cluster: Cluster, pod: Object) -> Object:
    """Wait until a pod is Ready and return it."""
    path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"

    def ready(state: Object) -> bool:
        conditions = state.get("status", {}).get("conditions", [])
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    return cluster.api.wait_for(path, ready, _READY_SECONDS)


def await_log(cluster: Cluster, *where: str) -> str:
    """Return what a pod has said, once it is something: the runtime writes it a moment later."""
    eventually(lambda: bool(cluster.kubectl("logs", *where).stdout), _READY_SECONDS)
    return cluster.kubectl("logs", *where).stdout


def serve_everywhere(cluster: Cluster, namespace: str, image: str) -> dict[str, Object]:
    """Start a server pod on every node and return them, Ready, by node."""
    pods = {name: server_pod(f"on-{name}", namespace, image, name) for name in cluster.nodes}
    cluster.api.create(*pods.values())
    return {name: await_ready(cluster, pod) for name, pod in pods.items()}


def test_a_gpu_node_registers_behind_the_gate(cluster: Cluster, absent: Release) -> None:
    """The kubelet itself puts the gate taint on the Node it makes; the other one has none."""
    cluster.replace("gpu-0")
    nodes = {name: cluster.api.get(f"/api/v1/nodes/{name}") for name in cluster.nodes}

    keys = [taint["key"] for taint in nodes["gpu-0"]["spec"]["taints"]]
    # that of a node that is not ready may stand a moment longer
    assert names.STARTUP_TAINT in keys
    others = [taint["key"] for taint in nodes["solo-0"]["spec"].get("taints", [])]
    assert not set(others) & set(names.GATE_TAINTS)
    assert {one["status"]["allocatable"][GPU] for one in nodes.values()} == {"8"}


def test_a_pod_of_an_imported_image_runs_logs_and_executes(
    cluster: Cluster, namespace: str, busybox: str
) -> None:
    """Its readiness probe passed, its log is read and a command runs in it on every node."""
    pods = serve_everywhere(cluster, namespace, busybox)

    for name, pod in pods.items():
        where = ("-n", namespace, pod["metadata"]["name"])
        assert await_log(cluster, *where) == "serving\n"
        done = cluster.nodes[name].exec(pod, ["busybox", "hostname"])
        assert done.stdout.strip() == pod["metadata"]["name"], done.stderr


def test_a_service_answers_on_every_node_and_where_the_api_server_is(
    cluster: Cluster, namespace: str, busybox: str
) -> None:
    """By its ClusterIP, with pods of both nodes behind it, from pods, nodes and control plane."""
    pods = serve_everywhere(cluster, namespace, busybox)
    port = {"port": 80, "targetPort": 80}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server", "namespace": namespace},
        "spec": {"selector": {"app": "server"}, "ports": [port]},
    }
    made = cluster.api.post(f"/api/v1/namespaces/{namespace}/services", service)
    url = f"http://{made['spec']['clusterIP']}/"
    asked = ["busybox", "timeout", "10", "busybox", "wget", "-q", "-O-", url]

    def answers() -> set[tuple[str, str]]:
        seen = {("cp", cluster.world.cp.run(asked, check=False).stdout.strip())}
        for name, pod in pods.items():
            seen.add((f"pod on {name}", cluster.nodes[name].exec(pod, asked).stdout.strip()))
            seen.add((name, cluster.nodes[name].run(asked, check=False).stdout.strip()))
        return seen

    expected = {
        (place, node)
        for place in ("cp", *cluster.nodes, *(f"pod on {name}" for name in cluster.nodes))
        for node in cluster.nodes
    }
    seen: set[tuple[str, str]] = set()

    def all_have_answered() -> bool:
        seen.update(answers())
        return expected <= seen

    eventually(all_have_answered, _READY_SECONDS)


def test_a_nodes_host_paths_are_its_own(cluster: Cluster) -> None:
    """/run, /var and the boot ID differ from node to node; /proc/1 is the node's own."""
    marks = {}
    for name, node in cluster.nodes.items():
        node.run(["sh", "-c", f"echo {name} | tee /run/mark /var/mark"])
        marks[name] = node.run(["cat", "/run/mark", "/var/mark"]).stdout.split()
        boot_id = node.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout.strip()
        assert boot_id == node.boot_id
        assert "/var" in node.run(["cat", "/proc/1/mountinfo"]).stdout

    assert marks == {name: [name, name] for name in cluster.nodes}


def test_a_reboot_keeps_what_is_on_disk_and_nothing_else(
    cluster: Cluster, namespace: str, busybox: str
) -> None:
    """A new boot ID, links at their first MTU, an empty /run; the pods come back by themselves."""
    node = cluster.nodes["solo-0"]
    pod = server_pod("server", namespace, busybox, "solo-0")
    cluster.api.create(pod)
    before = await_ready(cluster, pod)
    boot_id = node.boot_id
    node.namespace.set_mtu("eth0", 9000)
    node.run(["sh", "-c", "touch /run/volatile /var/kept"])

    cluster.reboot("solo-0")

    assert node.boot_id != boot_id
    assert node.namespace.mtu("eth0") == 1500
    assert node.run(["ls", "/run/volatile"], check=False).returncode != 0
    node.run(["ls", "/var/kept"])
    path = f"/api/v1/namespaces/{namespace}/pods/server"

    def came_back(state: Object) -> bool:
        statuses = state.get("status", {}).get("containerStatuses", [])
        return any(one["restartCount"] > 0 and one["ready"] for one in statuses)

    after = cluster.api.wait_for(path, came_back, 300.0)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
