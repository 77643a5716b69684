"""What the chart lets an agent do: its own Node alone, and there only what is its own."""

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from agent.node import Wanted, node_view
from agent.node_patch import (
    clear_condition_patch,
    clear_patch,
    condition_patch,
    event_body,
    node_patch,
)
from agent.state import LinkName, Outcome
from common.names import CONDITION, GATE_TAINTS, LABEL_MODE, LABEL_NETWORK
from tests.chart.conftest import Server
from tests.lab import chart
from tests.lab.api import (
    APPLY_PATCH,
    JSON,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    ApiClient,
    ApiError,
    Object,
)
from tests.lab.objects import agent_pod, gpu_node

pytestmark = [pytest.mark.lab, pytest.mark.api, pytest.mark.timeout(900)]

AGENT = "tunegate-agent"
OWN, OTHER = "gpu-0", "gpu-1"
FOREIGN_TAINT = {"key": "example.com/maintenance", "effect": "NoSchedule"}
FORBIDDEN = 403


@dataclass(slots=True)
class Fleet:
    """Two Nodes, and the agent on the first with the token that its kubelet would mount."""

    admin: ApiClient
    agent: ApiClient
    token_of: Callable[[str | None], ApiClient]

    def node(self, name: str = OWN) -> Object:
        """Return a Node."""
        return self.admin.get(f"/api/v1/nodes/{name}")

    def refusal(
        self,
        body: object,
        *,
        name: str = OWN,
        part: str = "",
        content_type: str = MERGE_PATCH,
        client: ApiClient | None = None,
    ) -> str:
        """Patch a Node as the agent and return why that is refused; it must not have changed."""
        before = self.node(name)
        path = f"/api/v1/nodes/{name}{part}"
        with pytest.raises(ApiError) as refused:
            (client or self.agent).call("PATCH", path, body, content_type)
        assert refused.value.status == FORBIDDEN
        assert self.node(name) == before
        return str(refused.value)


@pytest.fixture(scope="module")
def fleet(bare_server: Server) -> Fleet:
    """Install what the chart renders for the agent, as far as an API server alone takes it."""
    admin = bare_server.admin
    kinds = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
    policies = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    objects = [
        one
        for kind in (*kinds, *policies)
        for one in chart.select(chart.shipped(), kind)
        if one["metadata"]["name"].startswith(AGENT)
    ]
    admin.create(*objects)
    for name in (OWN, OTHER):
        admin.create(_node(name), agent_pod(name))
        # creating a Node adds a taint of Kubernetes' own, which no controller takes away here
        taints = [{"op": "add", "path": "/spec/taints", "value": [FOREIGN_TAINT, *_gates()]}]
        admin.patch(f"/api/v1/nodes/{name}", taints, JSON_PATCH)

    def token_of(node: str | None) -> ApiClient:
        pod = f"{AGENT}-{node}" if node else None
        plane = bare_server.control_plane
        return plane.token_client(
            plane.service_account_token(chart.NAMESPACE, AGENT, bound_pod=pod)
        )

    made = Fleet(admin, token_of(OWN), token_of)
    _await_policy(made)
    return made


def _node(name: str) -> Object:
    made = gpu_node(name, "10.0.0.1", [FOREIGN_TAINT, *_gates()])
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}
    made["status"]["conditions"] = [ready]
    made["status"]["images"] = [{"names": ["example.com/a:1"], "sizeBytes": 5}]
    return made


def _gates() -> list[Object]:
    return [{"key": key, "effect": "NoSchedule"} for key in GATE_TAINTS]


def _await_policy(fleet: Fleet) -> None:
    """Wait until the API server knows the policy and what it stands on: a moment after creation."""
    deadline = time.monotonic() + 180
    probe = {"metadata": {"annotations": {"example.com/probe": "1"}}}
    while True:
        path = f"/api/v1/nodes/{OTHER}?dryRun=All"
        status, answer = fleet.agent.request("PATCH", path, probe, content_type=MERGE_PATCH)
        if status == FORBIDDEN and "tunegate agent" in str(answer):
            return
        assert time.monotonic() < deadline, (status, answer)
        time.sleep(0.1)


def wanted(outcome: Outcome, message: str = "all well") -> Wanted:
    """Return what an agent wants its Node to say."""
    return Wanted(
        outcome=outcome,
        reason="Tuned",
        message=message,
        open_gate=True,
        taint_keys=GATE_TAINTS,
        link_mtus={LinkName("eth1"): 9000},
        boot_id="boot-1",
        profile_hash="abc",
    )


def test_what_the_agent_writes_is_let_through(fleet: Fleet) -> None:
    """Labels, annotation, open gate, condition, a second condition, an event, and all gone."""
    path = f"/api/v1/nodes/{OWN}"
    now = time.time()
    for outcome in (Outcome.TUNED, Outcome.DEGRADED):
        view = node_view(fleet.node())
        first = node_patch(view, wanted(outcome), now)
        fleet.agent.patch(path, first, JSON_PATCH)
        said = condition_patch(view, wanted(outcome), now)
        fleet.agent.patch(f"{path}/status", said, STRATEGIC_PATCH)
    node = fleet.node()
    assert node["spec"]["taints"] == [FOREIGN_TAINT]
    assert node["metadata"]["labels"][LABEL_NETWORK] == "degraded"
    assert {one["type"] for one in node["status"]["conditions"]} == {"Ready", CONDITION}
    event = event_body(OWN, "Tuned", "all well", now, is_warning=False)
    fleet.agent.post("/api/v1/namespaces/default/events", event)

    view = node_view(fleet.node())
    fleet.agent.patch(path, clear_patch(view, GATE_TAINTS), JSON_PATCH)
    fleet.agent.patch(f"{path}/status", clear_condition_patch(view), STRATEGIC_PATCH)
    assert node_view(fleet.node()).condition is None
    assert LABEL_NETWORK not in fleet.node()["metadata"]["labels"]


def test_the_largest_nodes_are_not_too_much_for_the_policy(fleet: Fleet) -> None:
    """Expressions have a budget; one that is used up would keep the gate closed for ever."""
    name = "gpu-large"
    node = _node(name)
    node["metadata"]["labels"] |= {f"example.com/label-{one}": "v" * 60 for one in range(300)}
    node["metadata"]["annotations"] |= {f"example.com/note-{one}": "n" * 2000 for one in range(100)}
    images = [
        {"names": [f"registry.example.com/{'i' * 200}{one}:{tag}" for tag in range(5)]}
        for one in range(500)
    ]
    node["status"]["images"] = images
    for one in range(100):
        more = {"type": f"example.com/C{one}", "status": "True", "message": "m" * 500}
        node["status"]["conditions"].append(more)
    path = f"/api/v1/nodes/{name}"
    fleet.admin.create(node, agent_pod(name))
    view = node_view(fleet.node(name))
    agent = fleet.token_of(name)
    now = time.time()
    agent.patch(path, node_patch(view, wanted(Outcome.TUNED), now), JSON_PATCH)
    said = condition_patch(view, wanted(Outcome.TUNED), now)
    agent.patch(f"{path}/status", said, STRATEGIC_PATCH)
    assert node_view(fleet.node(name)).condition is not None
    assert "may not cordon" in fleet.refusal(
        {"spec": {"unschedulable": True}}, name=name, client=agent
    )


ON_A_NODE: Mapping[str, tuple[Object, str]] = {
    "cordon": ({"spec": {"unschedulable": True}}, "may not cordon"),
    "podCIDR": ({"spec": {"podCIDR": "10.9.0.0/24", "podCIDRs": ["10.9.0.0/24"]}}, "spec"),
    "provider": ({"spec": {"providerID": "aws:///a/i-0"}}, "spec"),
    "more taints": (
        {"spec": {"taints": [FOREIGN_TAINT, *_gates(), {"key": "a/b", "effect": "NoExecute"}]}},
        "gate.taints",
    ),
    "other taint gone": ({"spec": {"taints": _gates()}}, "gate.taints"),
    "all taints gone": ({"spec": {"taints": None}}, "gate.taints"),
    "taint changed": (
        {"spec": {"taints": [{**FOREIGN_TAINT, "effect": "PreferNoSchedule"}, *_gates()]}},
        "gate.taints",
    ),
    "another label": ({"metadata": {"labels": {"pool": "other"}}}, "no label"),
    "the person's switch": ({"metadata": {"labels": {LABEL_MODE: "off"}}}, "no label"),
    "label gone": ({"metadata": {"labels": {"kubernetes.io/os": None}}}, "no label"),
    "label changed": ({"metadata": {"labels": {"kubernetes.io/os": "windows"}}}, "no label"),
    "another annotation": ({"metadata": {"annotations": {"a": "b"}}}, "no annotation"),
    "annotation gone": (
        {"metadata": {"annotations": {"kwok.x-k8s.io/node": None}}},
        "no annotation",
    ),
    "finalizer": ({"metadata": {"finalizers": ["example.com/stay"]}}, "no metadata"),
    "owner": (
        {
            "metadata": {
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b"},
                ]
            }
        },
        "no metadata",
    ),
}
"""What an agent must not do to its own Node: a merge patch, and a word of the refusal."""


@pytest.mark.parametrize("what", ON_A_NODE)
def test_nothing_else_of_its_own_node_can_be_changed(fleet: Fleet, what: str) -> None:
    """Whoever has taken over an agent cannot cordon, taint, untaint or relabel its node."""
    body, word = ON_A_NODE[what]
    assert word in fleet.refusal(body)


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {"labels": {"pool": "other"}}},
        {"metadata": {"finalizers": ["example.com/stay"]}},
        {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
        {"status": {"capacity": {"nvidia.com/gpu": "8"}}},
        {"status": {"allocatable": {"example.com/x": "8"}}},
        {"status": {"images": None}},
        {"status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.9"}]}},
        {"status": {"nodeInfo": {"bootID": "lie"}}},
    ],
    ids=lambda body: str(body)[:50],
)
def test_nothing_else_of_its_own_status_can_be_changed(fleet: Fleet, body: Object) -> None:
    """A status patch carries metadata, too; readiness, GPUs and addresses are the kubelet's."""
    assert "tunegate agent" in fleet.refusal(body, part="/status", content_type=STRATEGIC_PATCH)


@pytest.mark.parametrize("part", ["", "/status"])
def test_another_node_cannot_be_touched(fleet: Fleet, part: str) -> None:
    """Node A's token opens no gate of node B and writes no label or condition there."""
    view = node_view(fleet.node(OTHER))
    bodies: list[tuple[object, str]] = [
        ({"metadata": {"labels": {LABEL_NETWORK: "tuned"}}}, MERGE_PATCH),
        (condition_patch(view, wanted(Outcome.TUNED), 1.0), STRATEGIC_PATCH),
        (node_patch(view, wanted(Outcome.TUNED), 1.0), JSON_PATCH),
    ]
    for body, content_type in bodies:
        refusal = fleet.refusal(body, name=OTHER, part=part, content_type=content_type)
        assert "only the Node that its own pod is on" in refusal


def test_a_token_that_names_no_node_changes_nothing(fleet: Fleet) -> None:
    """A token of the account that was made by hand, bound to no pod, is of no use."""
    body = {"metadata": {"labels": {LABEL_NETWORK: "tuned"}}}
    assert "its own pod is on" in fleet.refusal(body, client=fleet.token_of(None))


def test_the_other_agent_may_do_on_its_node_what_the_first_may_not(fleet: Fleet) -> None:
    """The rule is about whose token it is, not about one Node."""
    body = {"metadata": {"labels": {LABEL_NETWORK: "tuned"}}}
    fleet.token_of(OTHER).patch(f"/api/v1/nodes/{OTHER}", body)
    assert fleet.node(OTHER)["metadata"]["labels"][LABEL_NETWORK] == "tuned"


def test_rights_end_where_the_policy_does_not_look(fleet: Fleet) -> None:
    """No right to create, delete, replace or list Nodes, to apply one, or to read anything else."""
    node = fleet.node()
    path = f"/api/v1/nodes/{OWN}"
    fresh = copy.deepcopy(_node("gpu-9"))
    refused: list[tuple[str, str, object, str]] = [
        ("POST", "/api/v1/nodes", fresh, JSON),
        ("DELETE", path, None, JSON),
        ("PUT", path, node, JSON),
        ("GET", "/api/v1/nodes", None, JSON),
        ("GET", f"/api/v1/namespaces/{chart.NAMESPACE}/pods", None, JSON),
        ("GET", f"/api/v1/namespaces/{chart.NAMESPACE}/secrets", None, JSON),
        ("GET", "/api/v1/persistentvolumes/models", None, JSON),
        ("POST", f"/api/v1/namespaces/{chart.NAMESPACE}/events", {}, JSON),
        ("PATCH", "/api/v1/nodes/gpu-9?fieldManager=a", fresh, APPLY_PATCH),
    ]
    for method, where, body, content_type in refused:
        status, answer = fleet.agent.request(method, where, body, content_type=content_type)
        assert status == FORBIDDEN, (method, where, answer)


def test_other_programs_are_not_looked_at(fleet: Fleet) -> None:
    """The policy is about agents: a person cordons as before."""
    fleet.admin.patch(f"/api/v1/nodes/{OTHER}", {"spec": {"unschedulable": True}})
    assert fleet.node(OTHER)["spec"]["unschedulable"] is True
