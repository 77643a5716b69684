"""`tunegate uninstall` against a real API server, and the chart's own objects."""

import json
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from common import names
from tests.api.laptop import Laptop, eventually
from tests.lab import binaries, standalone
from tests.lab.api import JSON_PATCH, ApiError, Object
from tests.lab.control_plane import ControlPlane
from tests.lab.fleet import create_nodes, fleet_node
from tests.lab.listing import everything, node_marks, our_events

pytestmark = [pytest.mark.api, pytest.mark.timeout(600)]

CHART = Path("charts/tunegate")
NAMESPACE = "tunegate"
FOREIGN: Object = {"key": "team", "value": "ml", "effect": "NoSchedule"}
PLACES = {
    "Secret": "/api/v1/namespaces/tunegate/secrets/tunegate-webhook-serving",
    "ConfigMap": "/api/v1/namespaces/tunegate/configmaps/tunegate-storage-endpoints",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/tunegate/leases/tunegate-webhook",
}


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    """Give a control plane that knows nothing of tunegate."""
    with standalone.control_plane(alone=True) as made:
        yield made


@pytest.fixture(scope="module")
def admin(control_plane: ControlPlane) -> Laptop:
    """Give an administrator's laptop."""
    control_plane.admin.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": NAMESPACE},
        },
    )
    return Laptop(control_plane, control_plane.kubeconfig)


@pytest.fixture
def nodes(admin: Laptop) -> Iterator[list[str]]:
    """Give nodes without any mark of tunegate, but for a person's mode; they go after the test."""
    api = admin.control_plane.admin
    for name in ("gpu-1", "gpu-2", "gpu-3", "cpu-1"):
        node = fleet_node(name, None, status="")
        node["spec"]["taints"] = [dict(FOREIGN)]
        if name == "gpu-3":
            node["metadata"]["labels"][names.LABEL_MODE] = "observe"
        api.create(node)
    yield ["gpu-1", "gpu-2", "gpu-3"]
    api.delete("/api/v1/nodes")


def rendered(*arguments: str, notes: Sequence[str] = ("--no-hooks",)) -> str:
    """Return the chart's objects as YAML."""
    helm = str(binaries.find("helm3"))
    argv = [helm, "template", "tunegate", str(CHART), "-n", NAMESPACE, "--kube-version", "1.36.3"]
    return subprocess.run(
        [*argv, *notes, *arguments], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def install(admin: Laptop, marked: Sequence[str], folder: Path) -> None:
    """Create the chart's objects, and what agents and webhook make."""
    manifest = folder / "chart.yaml"
    manifest.write_text(rendered())
    done = admin.run("kubectl", "create", "-f", str(manifest))
    assert done.returncode == 0, done.stderr
    api = admin.control_plane.admin
    inside = {"namespace": NAMESPACE}
    serving = {names.SECRET_LABEL: names.SECRET_SERVING}
    listing = {"app.kubernetes.io/managed-by": names.WEBHOOK_COMMAND}
    api.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "tunegate-storage-endpoints", "labels": listing, **inside},
        },
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "tunegate-webhook", **inside},
        },
        event("agent.1", "default", names.AGENT_COMMAND),
        event("webhook.1", "kube-public", names.WEBHOOK_COMMAND),
    )
    secret: Object = {"metadata": {"name": "tunegate-webhook-serving", "labels": serving}}
    api.post("/api/v1/namespaces/tunegate/secrets", secret)
    for name in marked:
        mark(admin, name)


def mark(admin: Laptop, name: str) -> None:
    """Have a node bear all that an agent writes."""
    api, node = admin.control_plane.admin, fleet_node(name)
    gates = [{"key": key, "effect": "NoSchedule"} for key in names.GATE_TAINTS]
    other = {"key": names.STARTUP_TAINT, "effect": "NoExecute", "value": "somebody"}
    operations = [
        {"op": "add", "path": "/metadata/labels/tunegate.io~1network", "value": "tuned"},
        {"op": "add", "path": "/metadata/labels/tunegate.io~1mtu", "value": "9000"},
        {"op": "add", "path": "/metadata/annotations", "value": {names.ANNOTATION_STATE: "{}"}},
        *({"op": "add", "path": "/spec/taints/0", "value": gate} for gate in gates),
        {"op": "add", "path": "/spec/taints/-", "value": other},
    ]
    api.patch(f"/api/v1/nodes/{name}", operations, JSON_PATCH)
    api.patch(f"/api/v1/nodes/{name}/status", {"status": node["status"]})


def event(name: str, namespace: str, reporter: str) -> Object:
    """Return an Event as agent and webhook write them."""
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {"kind": "Node", "name": "gpu-1", "namespace": namespace},
        "reason": "Tuned",
        "reportingComponent": reporter,
        "source": {"component": reporter},
    }


def strip_foreign(admin: Laptop, marked: Sequence[str]) -> None:
    """Take the taint away that only looks like ours; fails where it is gone."""
    for name in marked:
        done = admin.run("kubectl", "taint", "node", name, f"{names.STARTUP_TAINT}:NoExecute-")
        assert done.returncode == 0, done.stderr


def remove_chart(admin: Laptop, folder: Path) -> None:
    """Delete what helm deletes after its hook."""
    admin.run("kubectl", "delete", "--ignore-not-found", "-f", str(folder / "chart.yaml"))


def test_nothing_of_an_installation_is_left(
    admin: Laptop, nodes: list[str], tmp_path: Path
) -> None:
    """All resources, and each node's labels, taints, conditions, annotations, are as before."""
    api = admin.control_plane.admin
    before, marks = everything(api), node_marks(api)
    install(admin, nodes, tmp_path)
    assert everything(api) - before
    dry = admin.run("tunegate", "uninstall", "--dry-run", "-o", "json")
    assert dry.returncode == 0, dry.stderr
    planned = json.loads(dry.stdout)
    assert (planned["nodesCleared"], planned["events"], planned["isDone"]) == (nodes, 2, False)
    assert set(PLACES) <= {one.partition("/")[0] for one in planned["deleted"]}
    assert all(api.get(path) for path in PLACES.values())
    done = admin.run("tunegate", "uninstall", "-o", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert (said["isDone"], said["left"], said["nodesCleared"]) == (True, [], nodes)
    assert sorted(said["deleted"]) == sorted(planned["deleted"])
    remove_chart(admin, tmp_path)
    strip_foreign(admin, nodes)
    assert (everything(api), node_marks(api)) == (before, marks)
    assert our_events(api) == []
    again = admin.run("tunegate", "uninstall")
    assert (again.returncode, "0 cleared" in again.stdout) == (0, True)


def test_what_others_own_stays(admin: Laptop, nodes: list[str]) -> None:
    """A Secret without the label, a ConfigMap of Helm's, another release's objects."""
    api = admin.control_plane.admin
    inside = {"namespace": NAMESPACE}
    labels = {
        "app.kubernetes.io/part-of": "tunegate",
        "app.kubernetes.io/instance": "tunegate",
        "app.kubernetes.io/component": "webhook",
    }
    service = {"namespace": "elsewhere", "name": "w", "path": "/mutate"}
    hook = {
        "name": "a.b.c",
        "clientConfig": {"service": service},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    api.post(
        "/api/v1/namespaces/tunegate/secrets", {"metadata": {"name": "tunegate-webhook-serving"}}
    )
    owned = {"app.kubernetes.io/managed-by": "Helm"}
    name = {"name": "tunegate-storage-endpoints", "labels": owned}
    api.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**name, **inside}},
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "other", "labels": labels},
            "webhooks": [hook],
        },
    )
    before = everything(api)
    done = admin.run("tunegate", "uninstall")
    assert done.returncode == 0, done.stdout
    assert everything(api) == before
    other = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/other"
    for path in (PLACES["Secret"], PLACES["ConfigMap"], other):
        api.delete(path)


def test_what_is_left_is_said_with_commands_that_clear_it(
    admin: Laptop, nodes: list[str], tmp_path: Path
) -> None:
    """Who may read, and write the status alone, is told all of it; each command works."""
    api = admin.control_plane.admin
    before, marks = everything(api), node_marks(api)
    install(admin, nodes, tmp_path)
    weak = Laptop(admin.control_plane, admin.control_plane.client_kubeconfig("weak"))
    rules = [
        {"apiGroups": [""], "resources": ["nodes", "configmaps", "pods"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["daemonsets"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]},
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "weak"}
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "weak"}
    kind = "rbac.authorization.k8s.io/v1"
    binding = {"apiVersion": kind, "kind": "ClusterRoleBinding", "metadata": {"name": "weak"}}
    account = {"apiVersion": kind, "kind": "ClusterRole", "metadata": {"name": "weak"}}
    api.create(account | {"rules": rules}, binding | {"roleRef": role, "subjects": [user]})
    try:
        # rights reach the API server's own memory a moment after they are stored
        reads = ("kubectl", "get", "daemonsets", "-n", NAMESPACE)
        eventually(lambda: weak.run(*reads).returncode == 0)
        done = weak.run("tunegate", "uninstall", "-o", "json")
        assert done.returncode == 1, done.stderr
        said = json.loads(done.stdout)
        left = {one["what"]: one for one in said["left"]}
        assert {"node gpu-1", "node gpu-2", "node gpu-3", "DaemonSet tunegate-agent"} <= set(left)
        assert all("403" in one["why"] for one in left.values())
        text = weak.run("tunegate", "uninstall").stdout
        assert f"LEFT ({len(left)})" in text
        # the one write that was allowed was done
        conditions = {kind for one in node_marks(api).values() for kind, _ in one["conditions"]}
        assert names.CONDITION not in conditions
        for command in (command for one in said["left"] for command in one["commands"]):
            cleared = admin.run("sh", "-c", command)
            assert cleared.returncode == 0, (command, cleared.stderr)
    finally:
        for plural in ("clusterroles", "clusterrolebindings"):
            api.delete(f"/apis/{kind}/{plural}/weak")
    remove_chart(admin, tmp_path)
    strip_foreign(admin, nodes)
    assert (everything(api), node_marks(api)) == (before, marks)
    assert our_events(api) == []


def test_a_mode_that_was_set_for_it_goes_and_a_persons_stays(
    admin: Laptop, nodes: list[str]
) -> None:
    """An uninstall that ended half-way is finished by the next."""
    api = admin.control_plane.admin
    marks = node_marks(api)
    for name, before in (("gpu-1", ""), ("gpu-3", "observe")):
        changed = {
            "labels": {names.LABEL_MODE: "off"},
            "annotations": {names.ANNOTATION_MODE_BEFORE: before},
        }
        api.patch(f"/api/v1/nodes/{name}", {"metadata": changed})
    done = admin.run("tunegate", "uninstall", "--revert-hosts")
    assert done.returncode == 0, done.stdout
    assert node_marks(api) == marks


def test_a_host_whose_agent_does_not_answer_is_named(admin: Laptop, nodes: list[str]) -> None:
    """And everything else is done all the same."""
    api = admin.control_plane.admin
    marks = node_marks(api)
    api.create(agent_pod("gpu-2"))
    mark(admin, "gpu-1")
    mark(admin, "gpu-2")
    done = admin.run("tunegate", "uninstall", "--revert-hosts", "--timeout", "15s", "-o", "json")
    said = json.loads(done.stdout)
    assert done.returncode == 1
    whys = {one["what"]: one["why"] for one in said["left"]}
    assert "no agent runs there" in whys["host of gpu-1"]
    assert "did not answer in time" in whys["host of gpu-2"]
    strip_foreign(admin, ["gpu-1", "gpu-2"])
    assert node_marks(api) == marks
    api.delete(f"/api/v1/namespaces/{NAMESPACE}/pods/agent-gpu-2")


def agent_pod(node: str) -> Object:
    """Return an agent's pod bound to a node that has no kubelet."""
    labels = {
        "app.kubernetes.io/part-of": "tunegate",
        "app.kubernetes.io/instance": "tunegate",
        "app.kubernetes.io/component": "agent",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"agent-{node}", "namespace": NAMESPACE, "labels": labels},
        "spec": {"nodeName": node, "containers": [{"name": "agent", "image": "agent"}]},
    }


def test_thousands_of_nodes_are_read_in_pages_while_some_vanish(admin: Laptop) -> None:
    """Two thirds of them bear nothing and are not written; one that is gone is no trouble."""
    api = admin.control_plane.admin
    fleet = [
        fleet_node(f"many-{number}", "tuned" if number % 3 == 0 else None, status="")
        for number in range(900)
    ]
    create_nodes(api, fleet)

    def vanish() -> None:
        with api.session() as session:
            for number in reversed(range(600, 900, 3)):
                session.send("DELETE", f"/api/v1/nodes/many-{number}")

    vanishing = threading.Thread(target=vanish)
    try:
        vanishing.start()
        done = admin.run("tunegate", "uninstall", "-o", "json")
        vanishing.join()
        assert done.returncode == 0, done.stdout + done.stderr
        assert 200 <= len(json.loads(done.stdout)["nodesCleared"]) <= 300
        marks = node_marks(api)
        assert len(marks) == 800
        assert not [one for one in marks.values() if names.LABEL_NETWORK in one["labels"]]
    finally:
        vanishing.join()
        api.delete("/api/v1/nodes")


def test_the_hooks_own_rights_are_enough(admin: Laptop, nodes: list[str], tmp_path: Path) -> None:
    """The chart's roles bound to the Job's account: the command needs nothing beyond them."""
    api = admin.control_plane.admin
    before, marks = everything(api), node_marks(api)
    install(admin, nodes, tmp_path)
    hooks = tmp_path / "hooks.yaml"
    only = ("--show-only", "templates/uninstall-rbac.yaml")
    hooks.write_text(rendered(*only, notes=()))
    assert admin.run("kubectl", "create", "-f", str(hooks)).returncode == 0
    token = admin.control_plane.service_account_token(NAMESPACE, "tunegate-uninstall")
    config = json.loads(admin.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    own = tmp_path / "kubeconfig"
    own.write_text(json.dumps(config))
    arguments = ["--namespace=tunegate", "--release=tunegate", "-o", "json"]
    arguments += ["--secret=tunegate-webhook-serving", "--config-map=tunegate-storage-endpoints"]
    job = Laptop(admin.control_plane, own)
    eventually(lambda: job.run("tunegate", "uninstall", *arguments, "--dry-run").returncode == 0)
    done = job.run("tunegate", "uninstall", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert admin.run("kubectl", "delete", "-f", str(hooks)).returncode == 0
    remove_chart(admin, tmp_path)
    strip_foreign(admin, nodes)
    assert (everything(api), node_marks(api)) == (before, marks)
    with pytest.raises(ApiError):
        api.get(PLACES["Secret"])
