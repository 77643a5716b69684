"""Nodes that Karpenter makes: bought once, opened, bound and initialised, whoever interferes."""

import pytest

from common.names import LABEL_NETWORK, STARTUP_TAINT
from tests.autoscale.harness import (
    GPU_TAINT,
    Scaler,
    bare_pod,
    gate_keys,
    is_gated,
    is_initialized,
    node_of,
    opened,
)
from tests.e2e.harness import await_, label, taints
from tests.lab.api import object_path
from tests.lab.karpenter import (
    INITIALIZED,
    node_class,
    node_pool,
)
from tests.lab.objects import GATE

pytestmark = [pytest.mark.api, pytest.mark.timeout(300)]
POOL = node_pool("gpu", taints=[GPU_TAINT], startup_taints=[GATE])
JOIN = {("get", "nodes"): 1, ("patch", "nodes"): 1, ("patch", "nodes/status"): 1}
JOIN |= {("create", "events"): 1, ("watch", "nodes"): 1}


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
    assert taints(seen) == {(GPU_TAINT["key"], GPU_TAINT["effect"])}
    await_(lambda: scaler.requests(node) == JOIN, "four requests and a watch")
    assert opened(agent) == 1
    assert len(scaler.claims()) == 1
