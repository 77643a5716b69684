"""What runs beside the server, in real processes on a real API server: Lease, audit, storage."""

import signal

import pytest

from agent.endpoints import parse_file
from common import names
from tests.lab.api import ApiError, Object
from tests.lab.objects import nfs_volume, vllm_pod
from tests.lab.services import NODE
from tests.lab.webhook_objects import NAMESPACE
from tests.lab.webhook_pods import Replica
from tests.webhook_lab.stage import WAIT_SECONDS, Stage, await_, deployment, record

pytestmark = [pytest.mark.lab, pytest.mark.api]

LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
LEASE = f"{LEASES}/{names.LEADER_LEASE}"
STORAGE = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{names.STORAGE_CONFIG_MAP}"
VOLUMES = "/api/v1/persistentvolumes"
MAX_ANNOTATIONS = 256 * 1024
"""What the API server takes, all of them together."""
PODS = "/api/v1/namespaces/default/pods"
EVENTS = "/api/v1/namespaces/default/events"


def leader(stage: Stage) -> Replica | None:
    """Return the replica that holds the Lease and says so itself."""
    status, lease = stage.admin.request("GET", LEASE)
    holder = lease["spec"].get("holderIdentity", "") if status == 200 else ""
    for replica in stage.replicas:
        if holder.startswith(f"{replica.name}_") and gauge(stage, replica, "leader") == 1:
            return replica
    return None


def gauge(stage: Stage, replica: Replica, name: str, labels: str = "") -> float:
    """Return one of a replica's own metrics, 0 where it does not answer."""
    try:
        _, text = replica.get("/metrics", stage.lab.cp)
    except OSError:
        return 0
    start = f"{names.WEBHOOK_METRIC_PREFIX}_{name}{labels} "
    found = [line.split()[-1] for line in text.splitlines() if line.startswith(start)]
    return float(found[0]) if found else 0


def hosts(stage: Stage) -> set[str]:
    """Return the servers that an agent reads in the ConfigMap."""
    status, found = stage.admin.request("GET", STORAGE)
    if status != 200:
        return set()
    listed = parse_file(found["data"][names.STORAGE_ENDPOINTS_KEY])
    assert listed.problems == ()
    return {host for host, _ in listed.hosts}


def events_about(stage: Stage, name: str) -> list[Object]:
    """Return the webhook's Events about an object."""
    listed = stage.admin.get(EVENTS)["items"]
    return [
        one
        for one in listed
        if one["involvedObject"]["name"] == name
        and one["source"].get("component") == names.WEBHOOK_COMMAND
    ]


@pytest.fixture
def leading(stage: Stage) -> Replica:
    """Give the replica that leads."""
    return await_(lambda: leader(stage), "a leader")


def test_one_leads_and_another_follows_a_clean_end_at_once_and_a_death_in_time(
    stage: Stage, leading: Replica
) -> None:
    """Never two at the same time, as they say themselves."""
    with stage.admin.watch(LEASES, names.LEADER_LEASE, WAIT_SECONDS) as states:
        leading.process.send_signal(signal.SIGTERM)
        holders = (state["spec"].get("holderIdentity", "") for state in states)
        after = next(one for one in holders if not one.startswith(f"{leading.name}_"))
    assert after == "", "a clean end gives the lease back, so nobody waits until it expires"
    second = await_(lambda: _other(stage, leading), "the next leader")
    second.process.send_signal(signal.SIGKILL)
    third = await_(lambda: _other(stage, leading, second), "the one after the next")
    leaders = [one for one in stage.replicas if gauge(stage, one, "leader") == 1]
    assert leaders == [third]


def _other(stage: Stage, *gone: Replica) -> Replica | None:
    found = leader(stage)
    return found if found is not None and found not in gone else None


def test_a_pod_created_while_no_webhook_ran_is_found(stage: Stage, leading: Replica) -> None:
    """It is counted, and its Deployment is told, with the command that helps."""
    before = gauge(stage, leading, "vllm_pods", '{state="missed"}')
    configuration = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
    stage.admin.delete(f"{configuration}/{names.WEBHOOK_COMMAND}")
    await_(lambda: not _is_injected(stage, "probe"), "no webhook")
    stage.admin.post("/apis/apps/v1/namespaces/default/deployments", deployment("missed"))
    (event,) = await_(lambda: events_about(stage, "missed"), "an Event about the Deployment")
    assert event["involvedObject"]["kind"] == "Deployment"
    assert event["involvedObject"]["uid"]
    assert "kubectl rollout restart deployment/missed -n default" in event["message"]
    told = stage.lab.control_plane.kubectl("describe", "deployment", "missed")
    assert "VllmPodNotInjected" in told.stdout
    await_(
        lambda: gauge(stage, leading, "vllm_pods", '{state="missed"}') > before,
        "the metric of missed pods",
    )


def _is_injected(stage: Stage, name: str) -> bool:
    answer = stage.create(vllm_pod(name), dry_run=True)
    return bool(record(answer.body))


def test_the_config_map_follows_volumes(stage: Stage, leading: Replica) -> None:
    """And says what the agent reads."""
    assert gauge(stage, leading, "leader") == 1
    stage.admin.post(VOLUMES, nfs_volume("first", "10.99.0.1"))
    await_(lambda: hosts(stage) >= {"10.99.0.1"}, "the first server")
    stage.admin.post(VOLUMES, nfs_volume("second", "nas.example.com"))
    await_(lambda: hosts(stage) >= {"10.99.0.1", "nas.example.com"}, "the second server")
    stage.admin.delete(f"{VOLUMES}/first")
    await_(lambda: "10.99.0.1" not in hosts(stage), "the first server gone")
    stage.admin.delete(f"{VOLUMES}/second")


def test_a_volume_that_opts_in_gets_its_options(stage: Stage) -> None:
    """As the API server stores it; one that does not is left as it is."""
    opted_in = {names.ANNOTATION_NFS_OPTIONS: "enabled"}
    made = stage.admin.post(VOLUMES, nfs_volume("opted-in", "10.99.0.2", opted_in))
    assert made["spec"]["mountOptions"] == ["nconnect=8", "actimeo=60"]
    made = stage.admin.post(VOLUMES, nfs_volume("plain", "10.99.0.2"))
    assert "mountOptions" not in made["spec"]
    for name in ("opted-in", "plain"):
        stage.admin.delete(f"{VOLUMES}/{name}")


def test_a_pod_that_was_left_as_it_came_is_told_off_the_path_of_its_review(
    stage: Stage, leading: Replica
) -> None:
    """Its annotations have no room for the record; a dry run tells nobody."""
    assert leading.ready
    pod = vllm_pod("full")
    pod["metadata"]["annotations"] = {"full": "x" * (MAX_ANNOTATIONS - 100)}
    stage.create({**pod, "metadata": {**pod["metadata"], "name": "dry"}}, dry_run=True)
    assert record(stage.create(pod).body) == {}
    (event,) = await_(lambda: events_about(stage, "full"), "an Event about the pod")
    assert event["reason"] == "VllmInjectionFailedSafe"
    assert events_about(stage, "dry") == []
    uid = stage.admin.get(f"{PODS}/full")["metadata"]["uid"]
    seen = await_(lambda: _with_uid(stage, "full"), "the uid, from the auditor")
    assert (seen["involvedObject"]["uid"], seen["count"]) == (uid, 1)


def _with_uid(stage: Stage, name: str) -> Object | None:
    (event,) = events_about(stage, name)
    return event if event["involvedObject"].get("uid") else None


def test_the_time_to_ready_is_counted_once(stage: Stage, leading: Replica) -> None:
    """From scheduled to Ready, as the pod's conditions say."""
    labels = '{injected="true"}'
    before = gauge(stage, leading, "pod_ready_seconds_count", labels)
    total = gauge(stage, leading, "pod_ready_seconds_sum", labels)
    stage.create(_bound("slow"))
    injected = '{state="injected"}'
    await_(lambda: gauge(stage, leading, "vllm_pods", injected) > 0, "the auditor at work")
    _conditions(stage, "slow", ready="False")
    _conditions(stage, "slow", ready="True")
    await_(
        lambda: gauge(stage, leading, "pod_ready_seconds_count", labels) == before + 1, "one pod"
    )
    assert gauge(stage, leading, "pod_ready_seconds_sum", labels) == total + 340
    _conditions(stage, "slow", ready="False")
    _conditions(stage, "slow", ready="True")
    stage.create(_bound("fast"))
    _conditions(stage, "fast", ready="True")
    await_(
        lambda: gauge(stage, leading, "pod_ready_seconds_count", labels) == before + 2, "another"
    )


def _bound(name: str) -> Object:
    """Return a vLLM pod that the scheduler has no say in."""
    pod = vllm_pod(name)
    pod["spec"]["nodeName"] = NODE
    return pod


def _conditions(stage: Stage, name: str, ready: str) -> None:
    scheduled, at = "2026-01-01T00:00:10Z", "2026-01-01T00:05:50Z"
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": scheduled},
        {"type": "Ready", "status": ready, "lastTransitionTime": at},
    ]
    patch = {"status": {"phase": "Running", "conditions": conditions}}
    while True:
        try:
            stage.admin.patch(f"{PODS}/{name}/status", patch)
        except ApiError as error:
            if error.status != 409:
                raise
        else:
            return
