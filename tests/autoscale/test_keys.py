"""What a gate in the wrong place costs with Karpenter: no node at all, or one more than needed."""

import pytest

from common.names import GATE_TAINTS, STARTUP_TAINT, TAINT_EFFECT
from tests.autoscale.harness import (
    GPU_TAINT,
    WAIT_SECONDS,
    Scaler,
    bare_pod,
    is_gated,
    is_initialized,
    is_launched,
    node_of,
)
from tests.e2e.harness import await_, label
from tests.lab.karpenter import REGISTERED, UNREGISTERED, condition, node_class, node_pool
from tests.lab.objects import GATE

pytestmark = [pytest.mark.api, pytest.mark.timeout(1200)]
READINESS = {"key": "readiness.k8s.io/network-not-tuned", "effect": TAINT_EFFECT}
assert READINESS["key"] in GATE_TAINTS


def test_a_gate_among_the_ordinary_taints_makes_no_node(scaler: Scaler) -> None:
    """The pod must not tolerate the gate, so Karpenter finds no node that it would fit on."""
    scaler.offer(node_class(), node_pool("gpu", taints=[GPU_TAINT, GATE]))
    scaler.ask("vllm")
    event = scaler.await_event("vllm", STARTUP_TAINT)
    assert "did not tolerate taint" in event["message"]
    assert scaler.claims() == []


def force_a_round(scaler: Scaler) -> None:
    """Have Karpenter think about every pending pod once more: one that fits nowhere comes."""
    scaler.admin.create(bare_pod("nowhere"))
    scaler.await_event("nowhere", "did not tolerate taint")


def test_a_gate_that_karpenter_is_not_told_of_buys_a_second_node(scaler: Scaler) -> None:
    """Only the kubelet puts it on: the node counts as done, and as useless to the pod."""
    scaler.offer(node_class(registration_delay="1h"), node_pool("gpu", taints=[GPU_TAINT], gpus=2))
    pod = scaler.ask("vllm")
    node = scaler.register(
        scaler.await_claim(is_launched, "a machine asked for"), [GPU_TAINT, UNREGISTERED, GATE]
    )
    scaler.await_claim(is_initialized, "the claim initialised behind its gate")
    await_(lambda: len(scaler.claims()) == 2, "a second claim", WAIT_SECONDS)
    scaler.join(node)
    scaler.await_bound(pod, node)


@pytest.mark.parametrize(
    ("gate", "startup", "reason"),
    [
        (GATE, [GATE], "StartupTaintsExist"),
        (READINESS, [], "KnownEphemeralTaintsExist"),
    ],
)
def test_a_gate_that_karpenter_knows_buys_one_node(
    scaler: Scaler, gate: dict[str, str], startup: list[dict[str, str]], reason: str
) -> None:
    """Told under startupTaints, or by the readiness prefix, it waits for the node it has bought."""
    pool = node_pool("gpu", taints=[GPU_TAINT], startup_taints=startup, gpus=2)
    scaler.offer(node_class(registration_delay="1h"), pool)
    pod = scaler.ask("vllm")
    node = scaler.register(
        scaler.await_claim(is_launched, "a machine asked for"), [GPU_TAINT, UNREGISTERED, gate]
    )
    scaler.await_claim(lambda one: condition(one, "Initialized")[1] == reason, reason)
    scaler.await_node(node, lambda one: label(one, REGISTERED) == "true")
    force_a_round(scaler)
    assert len(scaler.claims()) == 1
    scaler.join(node)
    scaler.await_bound(pod, node)
    scaler.await_claim(is_initialized, "the claim initialised")
    assert len(scaler.claims()) == 1


def test_a_gate_that_returns_where_no_agent_watches_buys_a_second_node(scaler: Scaler) -> None:
    """An initialised node's startup taint counts as an ordinary one."""
    pool = node_pool("gpu", taints=[GPU_TAINT], startup_taints=[GATE], gpus=2)
    scaler.offer(node_class(), pool)
    first = scaler.ask("first")
    node = node_of(scaler.await_claim(is_gated, "a claim that waits for the startup taint"))
    agent = scaler.join(node)
    scaler.await_bound(first, node)
    scaler.await_claim(is_initialized, "the claim initialised")
    agent.process.stop()
    scaler.put_gate_back(node, STARTUP_TAINT)
    scaler.admin.delete(first)
    scaler.admin.wait_for(first, lambda pod: not pod)
    scaler.ask("second")
    await_(lambda: len(scaler.claims()) == 2, "a second claim", WAIT_SECONDS)
