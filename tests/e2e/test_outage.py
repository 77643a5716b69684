"""The API server away, the token void, permissions missing: the agent waits, says so, and heals."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Stage, await_, condition, gates, label
from tests.lab.api import Object, object_path
from tests.lab.objects import AGENT_USER, GATE, Rule, cluster_role, event_role

pytestmark = pytest.mark.api
NEEDED: tuple[Rule, ...] = (
    ("nodes", "get"),
    ("nodes", "watch"),
    ("nodes", "patch"),
    ("nodes/status", "patch"),
    ("events", "create"),
)
TROUBLE = "Could not reach or change the Node"


@pytest.fixture(autouse=True)
def with_api_server(stage: Stage) -> Iterator[None]:
    """Have the API server run again, whatever the test did."""
    yield
    if "kube-apiserver" not in stage.lab.control_plane.pids:
        stage.lab.control_plane.start_apiserver()
    grant(stage)


def grant(stage: Stage, without: tuple[Rule, ...] = ()) -> None:
    """Give the agent all its permissions but these."""
    for role in (cluster_role(without), event_role(without)):
        stage.admin.put(object_path(role), role)


def may(stage: Stage, rule: Rule) -> bool:
    """Return what the API server's authorizer says of the agent now."""
    resource, _, subresource = rule[0].partition("/")
    attributes = {"verb": rule[1], "resource": resource, "subresource": subresource}
    spec = {"user": AGENT_USER, "resourceAttributes": {**attributes, "namespace": "default"}}
    group = "authorization.k8s.io/v1"
    body: Object = {"apiVersion": group, "kind": "SubjectAccessReview", "spec": spec}
    answer = stage.admin.post(f"/apis/{group}/subjectaccessreviews", body)
    return bool(answer["status"]["allowed"])


def is_told(node: Object) -> bool:
    """Return whether the Node says that all is well and open."""
    return label(node) == "tuned" and condition(node).get("status") == "True" and not gates(node)


def test_an_api_server_that_is_away_at_the_start_holds_the_host_back(stage: Stage) -> None:
    """A host whose switch nobody could read is not written to; then all follows at once."""
    stage.join(by_hand=True)
    environment = stage.environment()
    stage.lab.control_plane.kill_apiserver()
    agent = stage.start_with(environment)
    agent.await_line("Held back", mode="unknown")
    agent.await_line(TROUBLE)
    assert stage.host.mtu("eth1") == 1500
    stage.lab.control_plane.start_apiserver()
    stage.wait(is_told)
    assert stage.host.mtu("eth1") == 9000
    await_(lambda: [one["reason"] for one in stage.events()] == ["Tuned"], "one event")
    agent.await_line("Reached the API server again")


def test_an_agent_that_starts_again_during_an_outage_goes_on_as_it_was_told(stage: Stage) -> None:
    """What this boot's Node said is remembered: drift is repaired with nobody to ask."""
    stage.join(by_hand=True)
    agent = stage.start()
    stage.wait(is_told)
    agent.process.kill()
    environment = stage.environment()
    stage.lab.control_plane.kill_apiserver()
    stage.host.set_mtu("eth1", 1500)
    agent = stage.start_with(environment)
    agent.await_line("Judged the node", outcome="tuned")
    assert stage.host.mtu("eth1") == 9000


def test_drift_is_repaired_while_the_api_server_is_away(stage: Stage) -> None:
    """The event about it arrives afterwards, and so does a taint put back meanwhile."""
    stage.join(by_hand=True)
    agent = stage.start()
    stage.wait(is_told)
    stage.lab.control_plane.kill_apiserver()
    agent.await_line(TROUBLE)
    stage.host.set_mtu("eth1", 1500)
    await_(lambda: stage.host.mtu("eth1") == 9000, "the MTU is back")
    agent.await_line("Repaired drift", target="link/eth1/mtu")
    time.sleep(6.0)
    assert agent.process.poll() is None
    stage.lab.control_plane.start_apiserver()
    await_(lambda: stage.events("DriftRepaired"), "the event")
    stage.add_taint(GATE["key"])
    stage.wait(is_told)
    told = [one for one in agent.lines() if one["message"] == TROUBLE]
    assert len(told) <= 6, "an outage is told once a kind of trouble, not once a try"


def test_what_was_left_undone_after_the_node_patch_is_completed(stage: Stage) -> None:
    """The API server dies between the label and the rest: condition and event follow."""
    stage.join(by_hand=True)
    missing = ("nodes/status", "patch")  # the row of writes stands still after the first one
    grant(stage, without=(missing,))
    await_(lambda: not may(stage, missing), "the refusal holds")
    agent = stage.start()
    stage.wait(lambda node: label(node) == "tuned")
    assert gates(stage.node()) == set()
    agent.await_text("nodes/status")
    grant(stage)
    stage.lab.control_plane.kill_apiserver()
    stage.lab.control_plane.start_apiserver()
    stage.wait(is_told)
    await_(lambda: [one["reason"] for one in stage.events()] == ["Tuned"], "one event")


def test_an_api_server_killed_in_the_middle_of_the_row_of_writes(stage: Stage) -> None:
    """Killed the moment the label is seen: nothing is lost and nothing is said twice."""
    stage.join(by_hand=True)
    stage.start()
    stage.wait(lambda node: label(node) == "tuned")
    stage.lab.control_plane.kill_apiserver()
    stage.lab.control_plane.start_apiserver()
    stage.wait(is_told)
    await_(lambda: [one["reason"] for one in stage.events()] == ["Tuned"], "one event")


def test_a_rotated_token_is_read_again(stage: Stage) -> None:
    """A void token is named in the log; a new one in the same file is taken up by itself."""
    stage.join(by_hand=True)
    environment = stage.environment()
    file = Path(environment["TUNEGATE_TOKEN_FILE"])
    good = file.read_text(encoding="ascii")
    file.write_text("not.a.token", encoding="ascii")
    agent = stage.start_with(environment)
    assert "token" in agent.await_line(TROUBLE)["err"]
    file.write_text("", encoding="ascii")
    agent.await_text("holds no token")
    file.write_text(good, encoding="ascii")
    stage.wait(is_told)


@pytest.mark.parametrize("rule", NEEDED, ids=lambda rule: f"{rule[1]} {rule[0]}")
def test_each_missing_permission_is_named_and_healed(stage: Stage, rule: Rule) -> None:
    """The log says which verb on which resource; once it is granted, no restart is needed."""
    resource, verb = rule
    stage.join(by_hand=True)
    grant(stage, without=(rule,))
    await_(lambda: not may(stage, rule), "the refusal holds")
    agent = stage.start()
    found = agent.await_text(f'add verb "{verb}" on resource "{resource}"')
    assert found["message"] == TROUBLE
    grant(stage)
    stage.wait(is_told)
    await_(lambda: stage.events("Tuned"), "the event")
    stage.add_taint(GATE["key"])  # the watch lives
    stage.wait(is_told)
