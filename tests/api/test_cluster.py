"""The agent's API calls against a real API server, beside real and restless other writers."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.cluster.client import ClusterClient
from agent.cluster.errors import (
    ClusterError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
)
from agent.cluster.gate import Published, Publisher, publish
from agent.cluster.watch import NodeWatch
from agent.node import NodeView, Wanted
from agent.node_patch import condition_patch, event_body, node_patch
from agent.state import LinkName, Outcome
from common import names
from tests.lab.api import JSON_PATCH, ApiError, Object, object_path
from tests.lab.control_plane import ControlPlane
from tests.lab.objects import AGENT_USER, GATE, Rule, cluster_role, event_role

pytestmark = pytest.mark.api

TUNED = Wanted(
    outcome=Outcome.TUNED,
    reason="Tuned",
    message="eth1 carries 9000-byte packets to 10.0.0.9.",
    boot_id="boot-1",
    profile_hash="abc",
    link_mtus={LinkName("eth1"): 9000},
    open_gate=True,
)


@pytest.fixture
def node(control_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give a Node of its own to each test: tainted, with neither labels nor annotations."""
    name = f"node-{abs(hash(request.node.name)):x}"
    create(control_plane, name)
    yield name
    with contextlib.suppress(ApiError):
        control_plane.admin.delete(f"/api/v1/nodes/{name}")


def create(control_plane: ControlPlane, name: str) -> None:
    """Create a bare Node with the gate taint, a foreign taint and a kubelet's condition."""
    taints = [{"key": "theirs/first", "effect": "NoSchedule"}, dict(GATE)]
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    bare: Object = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"taints": taints},
        "status": {"conditions": [ready]},
    }
    control_plane.admin.create(bare)


def raw(control_plane: ControlPlane, name: str) -> Object:
    """Return the Node as it is."""
    return control_plane.admin.get(f"/api/v1/nodes/{name}")


def run(client: ClusterClient, name: str) -> tuple[Published, list[ClusterError]]:
    """Publish the verdict to its end."""
    problems: list[ClusterError] = []
    done = publish(Publisher(client, name), lambda: TUNED, threading.Event().wait, problems.append)
    assert done is not None
    return done, problems


def eventually(condition: Callable[[], bool], timeout_seconds: float = 120.0) -> None:
    """Wait until the condition holds; raises TimeoutError."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            message = "the awaited state did not come"
            raise TimeoutError(message)
        time.sleep(0.01)


def test_a_join_is_four_requests_and_says_everything(
    control_plane: ControlPlane, client: ClusterClient, node: str
) -> None:
    """Every shape of patch is accepted; the kubelet's condition and foreign taints stand."""
    # the control plane's own TTL controller annotates every new Node
    eventually(lambda: "annotations" in raw(control_plane, node)["metadata"])
    before = len(control_plane.requests(AGENT_USER))
    done, problems = run(client, node)
    assert done.wrote == ("node", "status", "event")
    assert problems == []
    after = raw(control_plane, node)
    keys = [taint["key"] for taint in after["spec"]["taints"]]
    assert "theirs/first" in keys
    assert names.STARTUP_TAINT not in keys
    assert after["metadata"]["labels"][names.LABEL_MTU] == "9000"
    assert after["metadata"]["annotations"][names.ANNOTATION_STATE].startswith('{"boot":"boot-1"')
    assert len(after["metadata"]["annotations"]) > 1
    conditions = {one["type"]: one for one in after["status"]["conditions"]}
    assert conditions.keys() >= {"Ready", names.CONDITION}
    assert conditions[names.CONDITION]["status"] == "True"
    eventually(lambda: len(control_plane.requests(AGENT_USER)) >= before + 4)
    asked = control_plane.requests(AGENT_USER)[before:]
    assert [(one.verb, one.target, one.code) for one in asked] == [
        ("get", "nodes", 200),
        ("patch", "nodes", 200),
        ("patch", "nodes/status", 200),
        ("create", "events", 201),
    ]


def test_kubectl_describe_shows_condition_and_event(
    control_plane: ControlPlane, client: ClusterClient, node: str
) -> None:
    """A person who looks at the node sees the verdict and why."""
    run(client, node)
    shown = control_plane.kubectl("describe", "node", node).stdout
    condition = next(line for line in shown.splitlines() if names.CONDITION in line)
    assert "True" in condition
    assert TUNED.message in condition
    event = next(line for line in shown.splitlines() if names.AGENT_COMMAND in line)
    assert event.split()[:2] == ["Normal", "Tuned"]
    assert TUNED.message in event


def test_a_label_made_meanwhile_on_a_bare_node_is_kept(
    control_plane: ControlPlane, client: ClusterClient, node: str
) -> None:
    """The test for a missing map is real: 422, not a lost label."""
    view = client.get_node(node)
    assert "labels" in view.missing_maps
    path = f"/api/v1/nodes/{node}"
    control_plane.admin.patch(path, {"metadata": {"labels": {"theirs": "x"}}})
    with pytest.raises(InvalidError):
        client.patch_node(node, node_patch(view, TUNED, 0))
    run(client, node)
    assert raw(control_plane, node)["metadata"]["labels"]["theirs"] == "x"


def test_an_index_that_is_gone_is_told_as_invalid(
    control_plane: ControlPlane, client: ClusterClient, node: str
) -> None:
    """Fewer taints than we thought: read again."""
    view = client.get_node(node)
    path = f"/api/v1/nodes/{node}"
    control_plane.admin.patch(path, {"spec": {"taints": None}})
    with pytest.raises(InvalidError):
        client.patch_node(node, node_patch(view, TUNED, 0))


def test_a_node_made_anew_is_not_written_by_the_old_ones_patches(
    control_plane: ControlPlane, client: ClusterClient, node: str
) -> None:
    """The uid guards both patches; then the new Node gets its own verdict."""
    publisher = Publisher(client, node)
    view = client.get_node(node)
    publisher.see(view)
    control_plane.admin.delete(f"/api/v1/nodes/{node}")
    with pytest.raises(NotFoundError):
        client.patch_node(node, node_patch(view, TUNED, 0))
    create(control_plane, node)
    with pytest.raises(InvalidError):
        client.patch_node(node, node_patch(view, TUNED, 0))
    patch = condition_patch(view, TUNED, 0)
    assert patch is not None
    with pytest.raises(InvalidError, match=r"uid.*immutable"):
        client.patch_status(node, patch)
    assert names.CONDITION not in str(raw(control_plane, node))
    done = publish(publisher, lambda: TUNED, threading.Event().wait, lambda _problem: None)
    assert done is not None
    assert done.view.uid != view.uid
    assert done.view.gate_taints() == ()


def test_labels_and_annotation_can_be_taken_away(
    control_plane: ControlPlane, client: ClusterClient, node: str
) -> None:
    """A node that is not judged says nothing of tuned."""
    run(client, node)
    unjudged = Wanted(None, "Observing", "Report only.", "boot-1", "abc", {}, open_gate=False)
    Publisher(client, node).step(unjudged)
    view = client.get_node(node)
    assert not {names.LABEL_NETWORK, names.LABEL_MTU} & view.labels.keys()
    assert names.ANNOTATION_STATE not in view.annotations
    assert view.condition is not None
    assert view.condition.status == "Unknown"


def test_a_second_writer_never_loses_a_taint(
    control_plane: ControlPlane, client: ClusterClient, node: str
) -> None:
    """200 foreign changes, the gate put back with every tenth, and both sides get their way."""
    ledger: set[str] = set()
    running = threading.Event()
    running.set()

    def write() -> None:
        try:
            for number in range(200):
                change_taints(control_plane, node, ledger, number)
        finally:
            running.clear()

    writer = threading.Thread(target=write)
    writer.start()
    publisher = Publisher(client, node)
    opened, problems = 0, 0
    while running.is_set() or client.get_node(node).gate_taints():
        try:
            publisher.see(None)
            opened += len(publisher.step(TUNED).opened)
        except ClusterError:
            problems += 1
    writer.join()
    after = {taint["key"] for taint in raw(control_plane, node)["spec"]["taints"]}
    assert {key for key in after if key.startswith("theirs/")} == ledger | {"theirs/first"}
    assert names.STARTUP_TAINT not in after
    assert opened > 1


def change_taints(control_plane: ControlPlane, node: str, ledger: set[str], number: int) -> None:
    """Add a foreign taint in front, or take one away, as other agents do: read, test, write."""
    key = f"theirs/{number % 7}"
    while True:
        taints: list[dict[str, Any]] = raw(control_plane, node)["spec"].get("taints", [])
        changed = [taint for taint in taints if taint["key"] != key]
        if key not in ledger:
            changed.insert(number % (len(changed) + 1), {"key": key, "effect": "NoSchedule"})
        if number % 10 == 0 and all(t["key"] != names.STARTUP_TAINT for t in changed):
            changed.insert(0, dict(GATE))
        operations = [
            {"op": "test", "path": "/spec/taints", "value": taints or None},
            {"op": "add", "path": "/spec/taints", "value": changed},
        ]
        with contextlib.suppress(ApiError):
            control_plane.admin.patch(f"/api/v1/nodes/{node}", operations, JSON_PATCH)
            break
    ledger.symmetric_difference_update({key})


Action = Callable[[ClusterClient, str], object]


def watch_once(client: ClusterClient, node: str) -> None:
    """Take the first event of a watch."""
    stream = client.node_stream(node)
    try:
        next(stream.events("", timeout_seconds=60))
    finally:
        stream.close()


ACTIONS: dict[Rule, Action] = {
    ("nodes", "get"): lambda client, node: client.get_node(node),
    ("nodes", "patch"): lambda client, node: client.patch_node(node, []),
    ("nodes", "watch"): watch_once,
    ("nodes/status", "patch"): lambda client, node: client.patch_status(node, {}),
    ("events", "create"): lambda client, node: client.create_event(
        event_body(node, "Tuned", "x", time.time(), is_warning=False)
    ),
}


@pytest.mark.parametrize("rule", ACTIONS, ids="-".join)
def test_each_missing_permission_is_named(
    control_plane: ControlPlane, client: ClusterClient, node: str, rule: Rule
) -> None:
    """The message says which verb on which resource; once it is granted, all goes on."""
    set_rules(control_plane, without=[rule])

    def refused() -> str:
        try:
            ACTIONS[rule](client, node)
        except ForbiddenError as error:
            return str(error)
        return ""

    try:
        eventually(lambda: bool(refused()))
        resource, verb = rule
        assert f'may not {verb} {resource}: add verb "{verb}" on resource "{resource}"' in refused()
    finally:
        set_rules(control_plane, without=[])
    eventually(lambda: not refused())
    assert run(client, node)[0].view.gate_taints() == ()


def test_an_admission_policy_that_says_no_is_quoted(
    control_plane: ControlPlane, client: ClusterClient, node: str
) -> None:
    """Its 422 is no race: the message is the policy's, and the tries grow far apart."""
    group = "/apis/admissionregistration.k8s.io/v1"
    kinds = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
    for plural, body in zip(kinds, policy_of(node), strict=True):
        control_plane.admin.post(f"{group}/{plural}", body)

    def refusal() -> ClusterError | None:
        try:
            client.patch_node(node, [{"op": "test", "path": "/metadata/name", "value": node}])
        except ForbiddenError as error:
            return error
        return None

    try:
        eventually(lambda: refusal() is not None)
        error = refusal()
        assert error is not None
        assert error.status == 422
        assert "not your node" in str(error)
    finally:
        for plural in kinds:
            control_plane.admin.delete(f"{group}/{plural}/deny-{node}")


def policy_of(node: str) -> tuple[Object, Object]:
    """Return a policy that refuses the agent every change of one Node, and its binding."""
    api = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": f"deny-{node}"}}
    nodes = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["UPDATE"],
        "resources": ["nodes"],
        "resourceNames": [node],
    }
    refuses = {
        "expression": f"request.userInfo.username != '{AGENT_USER}'",
        "message": "not your node",
    }
    spec = {"matchConstraints": {"resourceRules": [nodes]}, "validations": [refuses]}
    binding = {"policyName": f"deny-{node}", "validationActions": ["Deny"]}
    return (
        {**api, "kind": "ValidatingAdmissionPolicy", "spec": spec},
        {**api, "kind": "ValidatingAdmissionPolicyBinding", "spec": binding},
    )


def set_rules(control_plane: ControlPlane, without: list[Rule]) -> None:
    """Give the agent all its permissions but these."""
    for role in (cluster_role(without), event_role(without)):
        control_plane.admin.put(object_path(role), role)


def test_a_taint_that_comes_back_is_seen_and_removed(
    control_plane: ControlPlane, client: ClusterClient, node: str
) -> None:
    """By the watch alone: no polling, and no request while nothing changes."""
    publisher = Publisher(client, node)
    done = publish(publisher, lambda: TUNED, threading.Event().wait, lambda _problem: None)
    assert done is not None
    closed = threading.Event()

    def on_node(view: NodeView | None) -> None:
        publisher.see(view)
        if view and view.gate_taints():
            closed.set()

    watch = NodeWatch(client, node, on_node, lambda _error: None)
    watch.start(done.view.resource_version)
    try:
        path = f"/api/v1/nodes/{node}"
        gate = [{"op": "add", "path": "/spec/taints/0", "value": dict(GATE)}]
        control_plane.admin.patch(path, gate, JSON_PATCH)
        assert closed.wait(120)
        assert publisher.step(TUNED).opened == (names.STARTUP_TAINT,)
    finally:
        watch.stop()
    assert not watch.is_alive


def test_the_watch_survives_a_killed_api_server_and_a_history_that_is_gone(
    control_plane: ControlPlane, client: ClusterClient, node: str
) -> None:
    """A change after the outage arrives; a version from before the restart is too old: 410."""
    old = client.get_node(node).resource_version
    views: list[NodeView | None] = []
    problems: list[ClusterError] = []
    watch = NodeWatch(client, node, views.append, problems.append)
    watch.start(old)
    try:
        for _ in range(3):
            run(client, node)
        control_plane.kill_apiserver()
        eventually(lambda: bool(problems))
        control_plane.start_apiserver()
        label = {"metadata": {"labels": {"after": "outage"}}}
        control_plane.admin.patch(f"/api/v1/nodes/{node}", label)
        eventually(lambda: bool(views and views[-1] and "after" in views[-1].labels))
    finally:
        watch.stop()
    stream = client.node_stream(node)
    with contextlib.closing(stream), pytest.raises(GoneError):
        next(stream.events("1", timeout_seconds=60))
    assert client.get_node(node).labels["after"] == "outage"
