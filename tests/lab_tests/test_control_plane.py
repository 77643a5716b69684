"""The lab's control plane behaves as a real cluster's does, where the agent depends on it."""

import time
from collections.abc import Iterator

import pytest

from tests.lab import objects, standalone
from tests.lab.api import JSON_PATCH, ApiClient, ApiError, object_path
from tests.lab.audit import AuditEntry
from tests.lab.control_plane import ControlPlane

pytestmark = [pytest.mark.api, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    """Give one control plane with the agent's identity; say how long it took."""
    started = time.monotonic()
    with standalone.control_plane() as made:
        print(f"control plane up after {time.monotonic() - started:.1f} s")
        made.admin.create(*objects.agent_identity())
        yield made


@pytest.fixture(scope="module")
def agent(control_plane: ControlPlane) -> ApiClient:
    """Give a client with the agent's service account."""
    token = control_plane.service_account_token(objects.AGENT_NAMESPACE, objects.AGENT_NAME)
    return control_plane.token_client(token)


def test_the_agent_may_do_what_its_role_says_and_nothing_else(
    control_plane: ControlPlane, agent: ApiClient
) -> None:
    """RBAC is on: the role's verbs pass, another resource and another verb are refused."""
    control_plane.admin.create(objects.gpu_node("rbac-0"))
    agent.patch("/api/v1/nodes/rbac-0", {"metadata": {"labels": {"by": "agent"}}})
    with pytest.raises(ApiError, match="cannot list resource") as listing:
        agent.get("/api/v1/secrets")
    with pytest.raises(ApiError, match="cannot delete resource") as deleting:
        agent.delete("/api/v1/nodes/rbac-0")
    assert (listing.value.status, deleting.value.status) == (403, 403)


def test_a_permission_left_out_of_the_role_is_refused(control_plane: ControlPlane) -> None:
    """`agent_identity(without=...)` makes the refusal that the agent has to explain."""
    control_plane.admin.create(objects.gpu_node("rbac-1"))
    role = objects.cluster_role(without=[("nodes", "patch")])
    control_plane.admin.put(object_path(role), role)
    token = control_plane.service_account_token(objects.AGENT_NAMESPACE, objects.AGENT_NAME)
    client = control_plane.token_client(token)
    try:
        deadline = time.monotonic() + 60
        status = 0
        while status != 403 and time.monotonic() < deadline:
            status, _ = client.request("PATCH", "/api/v1/nodes/rbac-1", {}, content_type=JSON_PATCH)
        assert status == 403
    finally:
        control_plane.admin.put(object_path(role), objects.cluster_role())


def test_a_node_identity_cannot_change_its_own_taints(control_plane: ControlPlane) -> None:
    """NodeRestriction is on: that is why the agent is a service account and not the node."""
    control_plane.admin.create(objects.gpu_node("restricted-0"))
    kubelet = control_plane.node_client("restricted-0")
    assert kubelet.get("/api/v1/nodes/restricted-0")["metadata"]["name"] == "restricted-0"
    with pytest.raises(ApiError, match="not allowed to modify taints") as refused:
        kubelet.patch(
            "/api/v1/nodes/restricted-0", [{"op": "remove", "path": "/spec/taints"}], JSON_PATCH
        )
    assert refused.value.status == 403


def test_a_token_bound_to_a_pod_names_the_node(control_plane: ControlPlane) -> None:
    """The node's name reaches the server as an extra of the user, for admission policies."""
    control_plane.admin.create(objects.gpu_node("bound-0"), objects.agent_pod("bound-0"))
    token = control_plane.service_account_token(
        objects.AGENT_NAMESPACE, objects.AGENT_NAME, bound_pod="tunegate-agent-bound-0"
    )
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    user = control_plane.token_client(token).post(path, review)["status"]["userInfo"]
    assert user["username"] == objects.AGENT_USER
    assert user["extra"]["authentication.kubernetes.io/node-name"] == ["bound-0"]


def test_requests_are_counted_by_user_and_verb(control_plane: ControlPlane) -> None:
    """The audit log tells one user's requests from another's, a refused one included."""
    control_plane.admin.create(objects.gpu_node("counted-0"))
    reader = control_plane.client("reader", ["system:masters"])
    stranger = control_plane.client("stranger")
    for _ in range(3):
        reader.get("/api/v1/nodes/counted-0")
    reader.patch("/api/v1/nodes/counted-0/status", {"status": {"phase": "Running"}})
    stranger.request("GET", "/api/v1/nodes/counted-0")
    seen = [(one.verb, one.target, one.code) for one in _requests(control_plane, "reader", 4)]
    assert seen == [("get", "nodes", 200)] * 3 + [("patch", "nodes/status", 200)]
    assert [one.code for one in _requests(control_plane, "stranger", 1)] == [403]


def test_an_outage_keeps_the_data(control_plane: ControlPlane) -> None:
    """The API server can be stopped or killed, answers nobody meanwhile, and comes back whole."""
    control_plane.admin.create(objects.gpu_node("kept-0"))
    for end in (control_plane.stop_apiserver, control_plane.kill_apiserver):
        end()
        with pytest.raises(OSError, match="refused"):
            control_plane.admin.get("/api/v1/nodes/kept-0")
        control_plane.start_apiserver()
        assert control_plane.admin.get("/api/v1/nodes/kept-0")["metadata"]["name"] == "kept-0"


def test_the_server_answers_under_ipv6_too(control_plane: ControlPlane) -> None:
    """Its certificate holds both addresses."""
    assert control_plane.admin.at(standalone.ADDRESS_IPV6).get("/version")["minor"] == "36"


def test_two_control_planes_run_side_by_side(control_plane: ControlPlane) -> None:
    """Same addresses and ports, other namespaces: neither sees the other's objects."""
    with standalone.control_plane() as other:
        other.admin.create(objects.gpu_node("only-here"))
        assert "only-here" in other.kubectl("get", "nodes", "-o", "name").stdout
        assert "only-here" not in control_plane.kubectl("get", "nodes", "-o", "name").stdout
        pids, folder = other.pids, other.folder
    assert len(pids) == 4
    assert not folder.exists()
    assert control_plane.admin.get("/readyz")["text"] == "ok"


def _requests(control_plane: ControlPlane, user: str, count: int) -> list[AuditEntry]:
    """Return a user's requests once there are `count`: the log may be a moment behind."""
    deadline = time.monotonic() + 60
    while len(found := control_plane.requests(user)) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    return found
