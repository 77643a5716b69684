"""Replicas that restart, die or are all gone, while people create pods."""

import threading
import time

import pytest

from tests.lab.api import Object
from tests.lab.objects import vllm_pod
from tests.lab.webhook_objects import POD_HOOK, TIMEOUT_SECONDS
from tests.lab.webhook_pods import LEASE_SECONDS, NODE_LEASE, Replica
from tests.webhook_lab.load import Load, creating
from tests.webhook_lab.stage import REPLICAS, Stage, await_, plain_pod, record

pytestmark = [pytest.mark.lab, pytest.mark.api]

LOADED = "load"
LATE_SECONDS = 1.5
"""How long kube-proxy does not know that a replica ends; the webhook waits for 5 s."""
PODS = f"/api/v1/namespaces/{LOADED}/pods"


@pytest.fixture(scope="module", autouse=True)
def loaded(made_stage: Stage) -> None:
    """Make a namespace for the pods of the load."""
    made_stage.lab.namespace(LOADED)


def loading_pod() -> Object:
    """Return a vLLM pod with a name that the server makes, and that nobody schedules."""
    pod = vllm_pod("", LOADED)
    pod["metadata"] = {"generateName": "load-", "namespace": LOADED}
    pod["spec"]["schedulingGates"] = [{"name": "example.com/never"}]
    return pod


def test_a_rolling_restart_under_load_costs_nothing(stage: Stage) -> None:
    """
    Every replica is replaced, as a Deployment does it: no create fails, no pod goes without.

    New connections come to each one that ends for a while: nodes learn late of endpoints.
    """
    before = stage.failed_open(POD_HOOK)
    first = stage.replicas
    ending: list[threading.Thread] = []
    with creating(stage.admin, PODS, loading_pod) as load:
        load.await_more(50)
        for old in first:
            new = stage.lab.pods.start(stage.lab.environment())
            stage.lab.pods.await_ready(new)
            with stage.lab.late_proxy():
                ending.append(_end(stage, old))
                time.sleep(LATE_SECONDS)
            load.await_more(30)
        for thread in ending:
            thread.join()
        load.await_more(50)
    assert (load.failed, load.bare) == ([], [])
    assert stage.failed_open(POD_HOOK) == before
    assert not {one.name for one in first} & {one.name for one in stage.replicas}
    assert [one.process.poll() for one in first] == [0] * REPLICAS


def test_a_killed_replica_costs_no_create(stage: Stage) -> None:
    """What was under way there passes as it came; once its endpoint is gone, all is as before."""
    with creating(stage.admin, PODS, loading_pod) as load:
        load.await_more(50)
        stage.lab.pods.kill(stage.replicas[0])
        stage.lab.pods.await_endpoints(REPLICAS - 1)
        await_(lambda: _all_injected(load), "creates are injected again")
    assert load.failed == []


def test_with_all_replicas_gone_pods_are_created_as_they_are(stage: Stage) -> None:
    """Other pods are not even sent; a vLLM pod is created without a record; then all heals."""
    for replica in stage.replicas:
        stage.lab.pods.remove(replica)
    stage.lab.pods.await_endpoints(0)
    calls, passed = stage.calls(POD_HOOK), stage.failed_open(POD_HOOK)
    assert stage.create(plain_pod("other-while-gone")).status == 201
    assert stage.calls(POD_HOOK) == calls
    answer = stage.create(vllm_pod("vllm-while-gone"))
    assert (answer.status, record(answer.body)) == (201, {})
    assert stage.failed_open(POD_HOOK) == passed + 1
    stage.lab.start_replicas(1)
    await_(lambda: record(stage.create(vllm_pod("after"), dry_run=True).body), "the record")


def test_with_all_replicas_unreachable_pods_are_created_after_the_timeout(stage: Stage) -> None:
    """Nodes that are lost answer nothing at all: the API server gives up and lets the pod pass."""
    stage.configure(stage.lab.ca_bundle, TIMEOUT_SECONDS)
    for replica in stage.replicas:
        replica.namespace.link_up("eth0", up=False)
    calls, passed = stage.calls(POD_HOOK), stage.failed_open(POD_HOOK)
    assert stage.create(plain_pod("other-while-lost")).status == 201
    assert stage.calls(POD_HOOK) == calls
    answer = stage.create(vllm_pod("vllm-while-lost"))
    assert (answer.status, record(answer.body)) == (201, {})
    assert stage.failed_open(POD_HOOK) == passed + 1
    for replica in stage.replicas:
        stage.lab.pods.remove(replica)


def _end(stage: Stage, replica: Replica) -> threading.Thread:
    thread = threading.Thread(target=stage.lab.pods.end, args=(replica,))
    thread.start()
    return thread


def _all_injected(load: Load, count: int = 30) -> bool:
    """Return whether the next creates all have a record."""
    bare = len(load.bare)
    load.await_more(count)
    return len(load.bare) == bare


def test_the_node_of_the_replicas_stays_alive(stage: Stage) -> None:
    """Else its controller takes all their endpoints away, five minutes into a run."""
    before = stage.admin.get(NODE_LEASE)["spec"]["renewTime"]
    await_(
        lambda: stage.admin.get(NODE_LEASE)["spec"]["renewTime"] != before,
        "a Lease that is renewed",
        LEASE_SECONDS,
    )
