"""Random pods, as they come and as `mutate` makes them, judged by a real API server's dry run."""

import copy
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings

from tests.lab.api import Session
from tests.lab.control_plane import ControlPlane
from tests.property.pod_trees import NAMESPACES, POLICIES, pods
from webhook.decisions import Json
from webhook.mutate import mutate
from webhook.policy import Namespace, Policy
from webhook.validity import problems

pytestmark = [pytest.mark.lab, pytest.mark.api]

CREATED = 201
PATH = "/api/v1/namespaces/default/pods?dryRun=All"


@pytest.fixture(scope="module")
def session(control_plane: ControlPlane) -> Iterator[Session]:
    """Give a connection that stays open."""
    with control_plane.admin.session(60.0) as made:
        yield made


def sendable(pod: Json) -> Json:
    """Return the pod with what no webhook is ever asked without: names and images."""
    made: Json = copy.deepcopy(pod)
    made["metadata"]["generateName"] = "random-"
    for place in ("containers", "initContainers"):
        for container in made["spec"].get(place) or []:
            container.setdefault("image", "vllm/vllm-openai:v0.32.0")
    return made


@settings(max_examples=100, suppress_health_check=[HealthCheck.filter_too_much])
@given(pods(), POLICIES, NAMESPACES)
def test_what_is_admitted_as_it_comes_is_admitted_with_the_patch(
    session: Session, pod: Json, policy: Policy, namespace: Namespace
) -> None:
    """The webhook is never the reason; and a rule of ours that is too strict would show here."""
    pod = sendable(pod)
    first = session.send("POST", PATH, pod)
    assume(first.status == CREATED)
    assert problems(first.body) == ()
    # as a webhook sees it: defaults are filled in, and nothing unknown is left
    made = mutate(first.body, policy, namespace)
    assert made.failure == ""
    patched = copy.deepcopy(made.pod)
    for name in ("creationTimestamp", "uid", "resourceVersion", "generation"):
        patched["metadata"].pop(name, None)
    second = session.send("POST", PATH, patched)
    assert second.status == CREATED, second.body.get("message")
    again = mutate(second.body, policy, namespace)
    assert again.patch == ()
    assert again.decisions == made.decisions


@settings(max_examples=100, suppress_health_check=[HealthCheck.filter_too_much])
@given(pods(), POLICIES, NAMESPACES)
def test_what_we_take_for_invalid_is_refused(
    session: Session, pod: Json, policy: Policy, namespace: Namespace
) -> None:
    """Else a pod would go without what it needs."""
    pod = sendable(pod)
    assume(problems(pod))
    assert session.send("POST", PATH, pod).status != CREATED
