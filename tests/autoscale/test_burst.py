"""A hundred nodes at once: each gate opens, and no agent asks for more than its own join."""

import time
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus

import pytest

from tests.autoscale.fleet import Fleet
from tests.autoscale.harness import (
    GPU_TAINT,
    HOST,
    Scaler,
    gate_keys,
    injected_pod,
    is_initialized,
)
from tests.e2e.harness import await_, label
from tests.lab.audit import AuditEntry
from tests.lab.karpenter import REGISTERED, node_class, node_pool
from tests.lab.objects import AGENT_NAME, AGENT_NAMESPACE, AGENT_USER, GATE

pytestmark = [pytest.mark.api, pytest.mark.timeout(600)]
NODES = 100
BURST_SECONDS = 300.0
JOIN = {("patch", "nodes/status"): 1, ("create", "events"): 1, ("watch", "nodes"): 1}
PODS = "/api/v1/namespaces/default/pods"
_LOOK_SECONDS = 0.2
_STALE = (409, 422)


def test_a_hundred_nodes_join_with_four_requests_and_a_watch_each(made_scaler: Scaler) -> None:
    """Every pod gets its node; a stale view costs one read more, a gate put back one patch more."""
    scaler, began = made_scaler, time.monotonic()
    times: dict[str, float] = {}

    def reached(what: str) -> None:
        times[what] = time.monotonic() - began

    scaler.offer(
        node_class(), node_pool("gpu", taints=[GPU_TAINT], startup_taints=[GATE], gpus=NODES)
    )
    create_pods(scaler)
    reached("last pod created")
    with Fleet(scaler.lab.nodes[HOST], agent_environment(scaler)) as fleet:

        def joined() -> bool:
            for node in scaler.nodes():
                name = node["metadata"]["name"]
                if name not in fleet and label(node, REGISTERED) == "true" and gate_keys(node):
                    reached("last node registered")
                    fleet.join(name)
            return len(fleet.seconds) == NODES

        await_(slowly(joined), f"{NODES} gates opened", BURST_SECONDS)
        reached("last gate open")
        await_(slowly(lambda: bound(scaler) == NODES), "every pod bound", BURST_SECONDS)
        reached("last pod bound")
        await_(
            slowly(lambda: all(map(is_initialized, scaler.claims()))),
            "every claim initialised",
            BURST_SECONDS,
        )
        reached("last claim initialised")
        await_(
            slowly(lambda: unexpected(requests_of(scaler), fleet) == {}),
            "four requests and a watch for each node",
        )
        print_figures(times, fleet, requests_of(scaler))
    assert len(scaler.claims()) == NODES


def agent_environment(scaler: Scaler) -> dict[str, str]:
    """Return what an agent needs to reach the API server; all of them share one token."""
    plane = scaler.lab.control_plane
    token_file = scaler.lab.lab_dir.path / "burst-token"
    token = plane.service_account_token(AGENT_NAMESPACE, AGENT_NAME)
    token_file.write_text(token, encoding="ascii")
    return {
        "TUNEGATE_API_SERVER": plane.url,
        "TUNEGATE_TOKEN_FILE": str(token_file),
        "TUNEGATE_CA_FILE": str(plane.ca_file),
    }


def create_pods(scaler: Scaler) -> None:
    """Create as many vLLM pods as there shall be nodes, over one connection."""
    with scaler.admin.session() as session:
        for number in range(NODES):
            answer = session.send("POST", PODS, injected_pod(f"vllm-{number}"))
            assert answer.status == HTTPStatus.CREATED


def slowly(look: Callable[[], bool]) -> Callable[[], bool]:
    """Return the same look, taking its time: a hundred objects are a lot to read."""

    def slow() -> bool:
        seen = look()
        if not seen:
            time.sleep(_LOOK_SECONDS)
        return seen

    return slow


def bound(scaler: Scaler) -> int:
    """Return how many pods have a node."""
    pods = scaler.admin.get(PODS)["items"]
    return sum("nodeName" in pod["spec"] for pod in pods)


def requests_of(scaler: Scaler) -> dict[str, list[AuditEntry]]:
    """Return the agents' answered requests by node; an event's name begins with its node's."""
    found: dict[str, list[AuditEntry]] = {}
    for one in scaler.lab.control_plane.requests(AGENT_USER):
        if one.stage == "ResponseStarted" or one.verb != "watch":
            node = one.name.partition(".")[0] if one.resource == "events" else one.name
            found.setdefault(node, []).append(one)
    return found


def unexpected(
    by_node: dict[str, list[AuditEntry]], fleet: Fleet
) -> dict[str, Counter[tuple[str, str]]]:
    """
    Return the requests of each node whose agent did not ask for exactly what a join is.

    One read and one patch for each time that the gate stood; one read more for each stale view.
    """
    wrong = {}
    for node in fleet.seconds:
        requests = by_node.get(node, [])
        stale = sum(one.code in _STALE for one in requests)
        counted = Counter((one.verb, one.target) for one in requests if one.code not in _STALE)
        writes = {("get", "nodes"): 1 + stale, ("patch", "nodes"): fleet.openings[node]}
        if counted != JOIN | writes:
            wrong[node] = counted
    return wrong


def print_figures(
    times: dict[str, float], fleet: Fleet, by_node: dict[str, list[AuditEntry]]
) -> None:
    """Print what docs/autoscaling.md reports."""
    for what, seconds in times.items():
        print(f"{what}: {seconds:.1f} s")
    each = sorted(fleet.seconds.values())
    median, worst = each[len(each) // 2], each[-1]
    print(f"agent's start to gate open: median {1e3 * median:.0f} ms, worst {1e3 * worst:.0f} ms")
    every = [one for requests in by_node.values() for one in requests]
    stale = sum(one.code in _STALE for one in every)
    again = fleet.openings.total() - len(fleet.seconds)
    print(f"requests: {len(every)} for {len(by_node)} nodes; {stale} stale, {again} gates put back")
