"""Answers that are lost, late or refused: nothing is left undone and nothing is said twice."""

import json
from collections.abc import Iterator

import pytest

from common.names import ANNOTATION_STATE, CONDITION
from tests.e2e.api_proxy import UNANSWERED, UNSENT, ApiProxy, Fault
from tests.e2e.harness import GATE, NODE_PATH, Agent, Stage, await_, condition, gates, label
from tests.lab.api import STRATEGIC_PATCH, Object

pytestmark = pytest.mark.api
GET_NODE = r"GET /api/v1/nodes/"
PATCH_NODE = r"PATCH /api/v1/nodes/[^/]+\?"
PATCH_STATUS = r"PATCH /api/v1/nodes/[^/]+/status"
POST_EVENT = r"POST /api/v1/namespaces/default/events"
WRITES = (PATCH_NODE, PATCH_STATUS, POST_EVENT)
TROUBLE = "Could not reach or change the Node"


@pytest.fixture
def proxy(stage: Stage) -> Iterator[ApiProxy]:
    """Give a proxy between the node's agent and the API server."""
    with ApiProxy(stage.lab.control_plane, stage.host) as made:
        yield made


def start(stage: Stage, proxy: ApiProxy, **settings: object) -> Agent:
    """Start the agent behind the proxy."""
    environment = stage.environment(**settings)
    return stage.start_with(environment | {"TUNEGATE_API_SERVER": proxy.url})


def is_told(node: Object) -> bool:
    """Return whether the Node says that all is well and open."""
    return label(node) == "tuned" and condition(node).get("status") == "True" and not gates(node)


def expect_complete(stage: Stage, agent: Agent) -> None:
    """Check that the Node says all, once: one event, one line about the gate."""
    stage.wait(is_told)
    await_(lambda: stage.events("Tuned"), "the event")
    stage.quiet()
    assert [one["reason"] for one in stage.events()] == ["Tuned"]
    opened = [one for one in agent.lines() if one["message"] == "Opened the gate"]
    assert [one["taints"] for one in opened] == [",".join(GATE)]


@pytest.mark.parametrize("request_", WRITES, ids=("node", "status", "event"))
def test_a_lost_answer_is_made_good(stage: Stage, proxy: ApiProxy, request_: str) -> None:
    """Cut before the write and then, more than once, after it was done."""
    stage.join(by_hand=True)
    lost = Fault(request_, UNANSWERED, 3)  # at once once more on a new connection, then later
    proxy.spoil(Fault(request_, UNSENT, 2), lost)
    agent = start(stage, proxy)
    expect_complete(stage, agent)
    assert lost.times <= 1


def test_refusals_of_every_kind_are_ridden_out(stage: Stage, proxy: ApiProxy) -> None:
    """Stale views, overload and failures, at every request."""
    stage.join(by_hand=True)
    met = {GET_NODE: (500, 404), PATCH_NODE: (409, 422, 404), PATCH_STATUS: (409, 503)}
    for request, statuses in (met | {POST_EVENT: (429, 500)}).items():
        proxy.spoil(*(Fault(request, status) for status in statuses))
    agent = start(stage, proxy)
    await_(proxy.is_spent, "all faults happened")
    expect_complete(stage, agent)
    assert agent.said(TROUBLE)


def test_the_wish_of_an_overloaded_server_is_heeded(stage: Stage, proxy: ApiProxy) -> None:
    """Retry-After: nothing is asked before it is over."""
    stage.join(by_hand=True)
    proxy.spoil(Fault(PATCH_NODE, 429, 1, {"Retry-After": "10"}))
    agent = start(stage, proxy)
    agent.await_line(TROUBLE)
    asked = len(proxy.seen)
    stage.quiet(2.0)
    assert len(proxy.seen) == asked
    expect_complete(stage, agent)


def test_a_cut_between_the_two_patches_for_seconds(stage: Stage, proxy: ApiProxy) -> None:
    """Label and open gate stand while nothing else gets through; the rest follows."""
    stage.join(by_hand=True)
    proxy.spoil(Fault(PATCH_STATUS, UNSENT, 1000))
    agent = start(stage, proxy)
    stage.wait(lambda node: label(node) == "tuned")
    node = stage.quiet(3.0)
    assert (gates(node), condition(node), stage.events()) == (set(), {}, [])
    proxy.heal()
    expect_complete(stage, agent)


def test_nothing_is_written_before_the_verdict_of_another_boot_is_taken_back(
    stage: Stage, proxy: ApiProxy
) -> None:
    """The label goes, the condition cannot yet: until it says Unknown the host waits."""
    said = {"boot": "another", "profile": "0", "links": {"eth1": 9000}, "outcome": "tuned"}
    stage.join(annotations={ANNOTATION_STATE: json.dumps(said)})
    old = {"type": CONDITION, "status": "True", "reason": "Tuned", "message": "of another boot"}
    stage.admin.patch(f"{NODE_PATH}/status", {"status": {"conditions": [old]}}, STRATEGIC_PATCH)
    proxy.spoil(Fault(PATCH_STATUS, UNSENT, 1000))
    agent = start(stage, proxy)
    stage.wait(lambda node: ANNOTATION_STATE not in node["metadata"]["annotations"])
    agent.await_line("Held back", mode="unknown")
    assert stage.host.mtu("eth1") == 1500
    assert gates(stage.node()) == set(GATE)
    proxy.heal()
    stage.wait(is_told)
    assert stage.host.mtu("eth1") == 9000


def test_no_missing_permission_keeps_the_others_from_use(stage: Stage, proxy: ApiProxy) -> None:
    """Events and status refused for good: labels, gate and watch work all the same."""
    stage.join(by_hand=True)
    proxy.spoil(Fault(PATCH_STATUS, 403, 1000), Fault(POST_EVENT, 403, 1000))
    agent = start(stage, proxy)
    stage.wait(lambda node: label(node) == "tuned" and not gates(node))
    agent.await_line("Opened the gate")
    for _ in range(3):
        stage.add_taint(GATE[0])
        stage.wait(lambda node: not gates(node))
    proxy.heal()
    stage.wait(is_told)
