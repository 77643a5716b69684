"""A hundred nodes at once: each gate opens, and no agent asks for more than its own join."""

import time
from collections.abc import Callable
from contextlib import suppress
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
from tests.autoscale.thrift import is_one_join, refused, requests_by_node
from tests.e2e.harness import await_, label
from tests.lab.audit import AuditEntry
from tests.lab.karpenter import REGISTERED, node_class, node_pool
from tests.lab.objects import AGENT_NAME, AGENT_NAMESPACE, GATE

pytestmark = [pytest.mark.api, pytest.mark.timeout(1800)]
NODES = 100
BURST_SECONDS = 600.0
PODS = "/api/v1/namespaces/default/pods"
_LOOK_SECONDS = 0.5


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
            nodes = scaler.nodes()
            print(
                f"{time.monotonic() - began:.1f} s: {len(nodes)} nodes, {len(fleet.seconds)} open"
            )
            for node in nodes:
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
            slowly(lambda: [is_initialized(one) for one in scaler.claims()] == [True] * NODES),
            "every claim initialised",
            BURST_SECONDS,
        )
        reached("last claim initialised")
        await_(
            slowly(lambda: is_thrifty(scaler, fleet, time.monotonic() - began)),
            "four requests and a watch for each node",
            BURST_SECONDS,
        )
        print_figures(times, fleet, requests_by_node(scaler.lab.control_plane))


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
    """Return the same look, taking its time: a hundred objects are a lot to serve and to read."""

    def slow() -> bool:
        with suppress(TimeoutError):
            if look():
                return True
        time.sleep(_LOOK_SECONDS)
        return False

    return slow


def bound(scaler: Scaler) -> int:
    """Return how many pods have a node."""
    pods = scaler.admin.get(PODS)["items"]
    return sum("nodeName" in pod["spec"] for pod in pods)


def is_thrifty(scaler: Scaler, fleet: Fleet, seconds: float) -> bool:
    """Return whether every agent asked for exactly what a join is, so long after the first."""
    by_node = requests_by_node(scaler.lab.control_plane)
    return all(is_one_join(by_node.get(n, []), fleet.openings[n], seconds) for n in fleet.seconds)


def print_figures(
    times: dict[str, float], fleet: Fleet, by_node: dict[str, list[AuditEntry]]
) -> None:
    """Print what docs/autoscaling.md reports."""
    for what, seconds in times.items():
        print(f"{what}: {seconds:.1f} s")
    each = sorted(fleet.seconds.values())
    median, worst = each[len(each) // 2], each[-1]
    print(f"agent's start to gate open: median {1e3 * median:.0f} ms, worst {1e3 * worst:.0f} ms")
    count = sum(map(len, by_node.values()))
    failed = sum(map(refused, by_node.values()))
    again = fleet.openings.total() - len(fleet.seconds)
    print(f"requests: {count} for {len(by_node)} nodes; {failed} refused, {again} gates put back")
