"""How the kubelet ends an injected pod: while it loads, past its drain, past its startup budget."""

from datetime import datetime

import pytest

from common import names
from tests.cluster import serving
from tests.lab.api import Object
from tests.lab.cluster import Cluster
from tests.lab.release import Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

NODE = "solo-0"


def start(
    cluster: Cluster,
    namespace: str,
    annotations: dict[str, str],
    environment: dict[str, str] | None = None,
) -> None:
    """Create the Deployment with settings of the pod's own."""
    made = serving.deployment(namespace, NODE, environment)
    made["spec"]["template"]["metadata"]["annotations"] = annotations
    cluster.api.create(made)


def seconds_between(earlier: str, later: str) -> float:
    """Return how far two times of the API are apart; they are whole seconds."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def deleted_at(pod: Object) -> str:
    """Return when a pod's deletion was asked for."""
    stamp = datetime.fromisoformat(pod["metadata"]["deletionTimestamp"]).timestamp()
    asked = stamp - pod["metadata"]["deletionGracePeriodSeconds"]
    return datetime.fromtimestamp(asked).astimezone().isoformat()


def test_a_pod_deleted_while_it_loads_ends_at_once(
    cluster: Cluster, installed: Release, namespace: str
) -> None:
    """A SIGTERM is swallowed while vLLM loads: the hook sees to it that the pod does not wait."""
    start(cluster, namespace, {}, {"STAND_IN_LOADING_SECONDS": "600"})
    pod = serving.only_pod(cluster, namespace, ("PodReadyToStartContainers", "True"))
    serving.await_log(cluster, pod, "handler installed")

    ending = serving.delete_and_follow(cluster, pod)

    grace = pod["spec"]["terminationGracePeriodSeconds"]
    taken = seconds_between(deleted_at(ending.asked), ending.exit["finishedAt"])
    assert taken < grace / 2, ending
    assert ending.exit["exitCode"] == 0


def test_streams_longer_than_the_drain_are_cut_at_its_end_and_not_later(
    cluster: Cluster, installed: Release, namespace: str
) -> None:
    """The hook gives up in time for the server's own end: nobody is killed by the kubelet."""
    start(cluster, namespace, {names.POD_ANNOTATION_DRAIN_TIMEOUT: "10s"})
    pod = serving.only_pod(cluster, namespace, ("Ready", "True"))

    with serving.streams(cluster.world.cp, pod, 2, 600) as streams:
        ending = serving.delete_and_follow(cluster, pod)

    assert [one.finished for one in streams] == [False, False]
    assert all(one.received > 50 for one in streams)
    assert ending.exit["exitCode"] == 0, ending


def test_a_server_past_its_startup_budget_is_restarted_within_the_probes_grace(
    cluster: Cluster, installed: Release, namespace: str
) -> None:
    """The startup probe fails, the kubelet starts it again, and the drain does not hold that up."""
    start(
        cluster,
        namespace,
        {names.POD_ANNOTATION_STARTUP_BUDGET: "20s"},
        {"STAND_IN_LOADING_SECONDS": "600"},
    )
    pod = serving.only_pod(cluster, namespace, ("PodReadyToStartContainers", "True"))
    path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}"

    def restarted(state: Object) -> bool:
        statuses = state.get("status", {}).get("containerStatuses", [])
        return any(one["restartCount"] > 0 for one in statuses)

    after = cluster.api.wait_for(path, restarted, 400.0)
    (status,) = after["status"]["containerStatuses"]
    ended = status["lastState"]["terminated"]
    probe = pod["spec"]["containers"][0]["startupProbe"]
    budget = probe["periodSeconds"] * probe["failureThreshold"]
    lived = seconds_between(ended["startedAt"], ended["finishedAt"])
    assert budget - probe["periodSeconds"] <= lived
    # the pod's own grace is what the drain would have taken
    assert probe["terminationGracePeriodSeconds"] < pod["spec"]["terminationGracePeriodSeconds"]
    assert lived < budget + pod["spec"]["terminationGracePeriodSeconds"]
