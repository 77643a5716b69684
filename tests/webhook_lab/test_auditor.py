"""What `failurePolicy: Ignore` lets through is found afterwards, in a real cluster."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.api import Object
from tests.lab.webhook_objects import USER
from tests.webhook_lab.stage import Stage, await_, deployment, record

pytestmark = [pytest.mark.lab, pytest.mark.api]

NAME = "while-away"
PODS = f"/api/v1/namespaces/default/pods?labelSelector=app%3D{NAME}"
EVENTS = "/api/v1/namespaces/default/events"


def test_a_pod_created_while_no_replica_lived_is_told_of(stage: Stage) -> None:
    """All had ended; those that come after elect a leader, which tells the Deployment."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(stage.lab.pods.end, stage.replicas))
    stage.lab.pods.await_endpoints(0)
    stage.create(deployment(NAME))
    pod = await_(lambda: next(iter(stage.admin.get(PODS)["items"]), None), "the pod")
    assert record(pod) == {}
    stage.heal()
    event = await_(lambda: _told(stage), "an Event on the Deployment")
    assert pod["metadata"]["name"] in event["message"]
    assert f"kubectl rollout restart deployment/{NAME} -n default" in event["message"]
    assert stage.metric("tunegate_webhook_leader") == 1
    assert stage.metric("tunegate_webhook_vllm_pods", state="missed") >= 1


def test_its_rules_let_it_do_all_that_it_does(stage: Stage) -> None:
    """Nothing that any replica has asked of the API server so far was forbidden."""
    asked = stage.lab.control_plane.requests(USER)
    assert {"pods", "namespaces", "leases", "persistentvolumes"} <= {one.resource for one in asked}
    assert [one for one in asked if one.code == 403] == []


def _told(stage: Stage) -> Object | None:
    """Return the Event on the Deployment."""
    about = ("Deployment", NAME, "VllmPodNotInjected")
    for one in stage.admin.get(EVENTS)["items"]:
        what = one["involvedObject"]
        if (what["kind"], what["name"], one["reason"]) == about:
            return dict(one)
    return None
