"""Nodes that Karpenter makes: bought once, opened, bound and initialised, whoever interferes."""

from collections.abc import Mapping

import pytest

from common.names import LABEL_NETWORK, STARTUP_TAINT
from tests.autoscale.harness import (
    GPU_TAINT,
    WAIT_SECONDS,
    Scaler,
    bare_pod,
    gate_keys,
    is_gated,
    is_initialized,
    is_launched,
    node_of,
    opened,
)
from tests.autoscale.thrift import is_one_join, requests_by_node
from tests.e2e.harness import Agent, await_, label, taints, verdict
from tests.lab.api import object_path
from tests.lab.karpenter import (
    DO_NOT_SYNC,
    INITIALIZED,
    REGISTERED,
    UNREGISTERED,
    node_class,
    node_pool,
)
from tests.lab.objects import GATE, GPU

pytestmark = [pytest.mark.api, pytest.mark.timeout(1200)]
POOL = node_pool("gpu", taints=[GPU_TAINT], startup_taints=[GATE])


def test_a_pending_pod_makes_one_node_that_opens_and_takes_it(scaler: Scaler) -> None:
    """From zero: not without the webhook's toleration; then one node, tuned, bound, initialised."""
    scaler.offer(node_class(), POOL)
    bare = bare_pod("bare")
    scaler.admin.create(bare)
    scaler.await_event("bare", "did not tolerate taint")
    scaler.admin.delete(object_path(bare))
    pod = scaler.ask("vllm")
    claim = scaler.await_claim(is_gated, "a claim that waits for the startup taint")
    node = node_of(claim)
    assert gate_keys(scaler.node(node)) == {STARTUP_TAINT}
    assert "nodeName" not in scaler.admin.get(pod)["spec"]
    agent = scaler.join(node)
    scaler.await_bound(pod, node)
    scaler.await_claim(is_initialized, "the claim initialised")
    seen = scaler.await_node(node, lambda one: label(one, INITIALIZED) == "true")
    assert label(seen, LABEL_NETWORK) == "tuned"
    scaler.await_node(node, lambda one: taints(one) == {(GPU_TAINT["key"], GPU_TAINT["effect"])})

    def is_thrifty() -> bool:
        by_node = requests_by_node(scaler.lab.control_plane)
        return is_one_join(by_node.get(node, []), opened(agent))

    await_(is_thrifty, "four requests and a watch", WAIT_SECONDS)
    assert len(scaler.claims()) == 1


@pytest.mark.parametrize(
    ("born", "times"),
    [([UNREGISTERED, GATE], 2), ([UNREGISTERED], 1)],
    ids=["put back", "put on late"],
)
def test_a_gate_that_registration_puts_on_a_tuned_node_is_opened(
    scaler: Scaler, born: list[Mapping[str, str]], times: int
) -> None:
    """An agent faster than Karpenter sees its taint come after its verdict (karpenter#1772)."""
    node, agent = overtake(scaler, born)
    scaler.await_opened(agent, times)
    finish(scaler, node)


def test_a_gate_that_karpenter_may_not_sync_is_opened_once(scaler: Scaler) -> None:
    """The label that Karpenter has for it keeps it from putting the taint back."""
    node, agent = overtake(scaler, [UNREGISTERED, GATE], {DO_NOT_SYNC: "true"})
    finish(scaler, node)
    assert opened(agent) == 1


def overtake(
    scaler: Scaler, born: list[Mapping[str, str]], labels: Mapping[str, str] | None = None
) -> tuple[str, Agent]:
    """Have an agent done with a node before Karpenter registers it; return both."""
    scaler.offer(node_class(registration_delay="1h"), POOL)
    scaler.ask("vllm")
    claim = scaler.await_claim(is_launched, "a machine asked for")
    scaler.karpenter.pause()
    node = scaler.register(claim, [GPU_TAINT, *born], labels)
    agent = scaler.join(node)
    scaler.await_node(node, lambda one: verdict(one) == ("tuned", "True", "Tuned"))
    assert not gate_keys(scaler.node(node))
    scaler.karpenter.resume()
    scaler.await_node(node, lambda one: label(one, REGISTERED) == "true")
    return node, agent


def finish(scaler: Scaler, node: str) -> None:
    """Wait until the node is initialised and has its pod; nothing else was bought."""
    scaler.await_claim(is_initialized, "the claim initialised")
    scaler.await_bound("/api/v1/namespaces/default/pods/vllm", node)
    assert len(scaler.claims()) == 1


def test_a_gate_put_back_on_an_initialised_node_buys_no_second(scaler: Scaler) -> None:
    """To Karpenter it is an ordinary taint by then: open again, the node takes the next pod."""
    scaler.offer(node_class(), POOL)
    first = scaler.ask("first")
    node = node_of(scaler.await_claim(is_gated, "a claim that waits for the startup taint"))
    agent = scaler.join(node)
    scaler.await_bound(first, node)
    scaler.await_claim(is_initialized, "the claim initialised")
    for _ in range(2):
        before = opened(agent)
        scaler.put_gate_back(node, STARTUP_TAINT)
        scaler.await_opened(agent, before + 1)
    scaler.admin.delete(first)
    scaler.admin.wait_for(first, lambda pod: not pod)
    second = scaler.ask("second")
    scaler.await_bound(second, node)
    assert len(scaler.claims()) == 1


def test_a_node_made_again_under_its_name_is_opened_again(scaler: Scaler) -> None:
    """The kubelet registers anew, with all its taints: another uid, the same agent process."""
    scaler.offer(node_class(registration_delay="1h"), POOL)
    pod = scaler.ask("vllm")
    claim = scaler.await_claim(is_launched, "a machine asked for")
    node = scaler.register(claim, [GPU_TAINT, UNREGISTERED, GATE])
    agent = scaler.join(node)
    scaler.await_bound(pod, node)
    scaler.karpenter.pause()
    path = f"/api/v1/nodes/{node}"
    uid = scaler.node(node)["metadata"]["uid"]
    scaler.drop(path)
    scaler.admin.wait_for(path, lambda one: not one)
    scaler.register(claim, [GPU_TAINT, UNREGISTERED, GATE])
    seen = scaler.await_node(node, lambda one: not gate_keys(one))
    assert seen["metadata"]["uid"] != uid
    scaler.await_node(node, lambda one: label(one, LABEL_NETWORK) == "tuned")
    scaler.await_opened(agent, 2)


def test_a_deleted_node_is_replaced_and_the_new_one_opens(scaler: Scaler) -> None:
    """Karpenter takes the machine back and buys another, which starts behind the gate."""
    scaler.offer(node_class(), POOL)
    first = scaler.ask("first")
    old = scaler.await_claim(is_gated, "a claim that waits for the startup taint")
    agent = scaler.join(node_of(old))
    scaler.await_bound(first, node_of(old))
    scaler.await_claim(is_initialized, "the claim initialised")
    scaler.admin.delete(object_path(old))
    scaler.admin.wait_for(f"/api/v1/nodes/{node_of(old)}", lambda node: not node, WAIT_SECONDS)
    scaler.admin.wait_for(object_path(old), lambda claim: not claim, WAIT_SECONDS)
    agent.process.kill()
    second = scaler.ask("second")
    # the lab's agent pod has no DaemonSet: Karpenter takes it along, to a node without a GPU
    new = scaler.await_claim(
        lambda claim: is_gated(claim) and GPU in claim["spec"]["resources"]["requests"],
        "a claim with a GPU in the place of the old one",
    )
    assert node_of(new) != node_of(old)
    scaler.join(node_of(new))
    scaler.await_bound(second, node_of(new))
    scaler.await_node(node_of(new), lambda node: label(node, INITIALIZED) == "true")


def test_a_drifted_node_keeps_its_pod_until_the_new_one_is_tuned(scaler: Scaler) -> None:
    """Karpenter waits for the replacement to be initialised, which is: for the gate to open."""
    scaler.offer(node_class(), POOL)
    pod = scaler.ask("vllm")
    old = scaler.await_claim(is_gated, "a claim that waits for the startup taint")
    scaler.join(node_of(old))
    scaler.await_bound(pod, node_of(old))
    scaler.await_claim(is_initialized, "the claim initialised")
    labels = {"spec": {"template": {"metadata": {"labels": {"example.com/generation": "2"}}}}}
    scaler.admin.patch(object_path(POOL), labels)
    new = scaler.await_claim(is_gated, "the replacement, behind its gate")
    assert "deletionTimestamp" not in scaler.admin.get(object_path(old))["metadata"]
    assert scaler.admin.get(pod)["spec"]["nodeName"] == node_of(old)
    scaler.join(node_of(new))
    scaler.admin.wait_for(object_path(old), lambda claim: not claim, WAIT_SECONDS)
    scaler.await_node(node_of(new), lambda node: label(node, INITIALIZED) == "true")
