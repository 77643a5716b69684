"""What the auditor says of a pod, whose it is, and how long it took."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.webhook.live_pods import EPOCH, live_pod, other_pod, replica_set
from tests.unit.webhook.test_nfs_sources import ANYTHING
from webhook import auditor, owners
from webhook.auditor import Audited, State, audit, followed, time_to_ready
from webhook.decisions import FEATURES, Feature, Json, Mutation, Outcome
from webhook.mutate import mutate
from webhook.owners import Owner
from webhook.policy import Policy
from webhook.recognition import Recognition, Verdict

RECORD = json.dumps(
    {
        "startupProbe": {"outcome": "injected", "reason": "added"},
        "preStop": {"outcome": "user-owned", "reason": "has one"},
    }
)


def judge(pod: Json) -> Mutation:
    """Return what the webhook would do by default."""
    return mutate(pod, Policy())


def audited(pod: Json) -> Audited:
    """Return what is found of a pod that is a vLLM pod."""
    found = audit(pod, judge)
    assert found
    return found


def test_a_pod_without_a_record_that_would_get_something_was_missed() -> None:
    """It says what it runs without."""
    found = audited(live_pod())
    assert found.state is State.MISSED
    assert {Feature.STARTUP_PROBE, Feature.PRE_STOP} <= set(found.features)


def test_an_injected_pod_is_what_its_record_says() -> None:
    """Nothing is judged again; the features are those that were injected."""

    def never(_: Json) -> Mutation:
        raise AssertionError

    found = audit(live_pod(record=RECORD), never)
    assert found
    assert (found.state, found.features, found.why) == (
        State.INJECTED,
        (Feature.STARTUP_PROBE,),
        "",
    )


def test_what_the_webhook_itself_made_is_not_missed() -> None:
    """The patched pod, as it would be stored."""
    assert audited(judge(live_pod()).pod).state is State.INJECTED


def test_a_record_of_a_failure_is_told_with_its_reason() -> None:
    """The other features count all the same."""
    record = json.dumps(
        {
            "startupProbe": {"outcome": "injected", "reason": "added"},
            "shm": {"outcome": "failed-safe", "reason": "odd volumes"},
        }
    )
    found = audited(live_pod(record=record))
    assert (found.state, found.why) == (State.FAILED_SAFE, "shm: odd volumes")
    assert found.features == (Feature.STARTUP_PROBE,)


def test_a_pod_that_cannot_be_judged_failed_safe() -> None:
    """As it did when it was created: no record, and a failure now."""
    recognition = Recognition(Verdict.SERVES, "vllm-serve", "serves")
    decision = judge(live_pod()).decisions[Feature.SHM]
    pod = live_pod()
    failed = Mutation(recognition, {Feature.SHM: decision}, (), pod, (), "two volumes named dshm")
    found = audit(pod, lambda _: failed)
    assert found
    assert (found.state, found.why) == (State.FAILED_SAFE, "two volumes named dshm")


@pytest.mark.parametrize(
    "pod",
    [
        other_pod(),
        live_pod(phase="Succeeded"),
        live_pod(phase="Failed"),
        {**live_pod(), "metadata": {"name": "x", "deletionTimestamp": "2026-01-01T00:00:00Z"}},
        {},
    ],
)
def test_other_pods_and_pods_that_end_are_no_business_of_the_auditor(pod: Json) -> None:
    """They are not even kept."""
    assert audit(pod, judge) is None


def test_a_pod_that_is_left_alone_says_why() -> None:
    """For `tunegate pods --all`."""
    found = audited(live_pod(labels={"tunegate.io/inject": "disabled"}))
    assert found.state is State.LEFT_ALONE
    assert "disabled" in found.why


def test_a_pod_that_has_everything_is_complete() -> None:
    """No record, and nothing would be added: all is switched off, or there already."""

    def nothing(pod: Json) -> Mutation:
        made = judge(pod)
        kept = {one: type(made.decisions[one])(Outcome.USER_OWNED, "has one") for one in FEATURES}
        return Mutation(made.recognition, kept, (), pod)

    found = audit(live_pod(), nothing)
    assert found
    assert found.state is State.COMPLETE


def test_times_are_the_conditions() -> None:
    """Seconds since the epoch; None while a condition is not True."""
    found = audited(live_pod(scheduled=10, ready=350))
    assert (found.scheduled_seconds, found.ready_seconds) == (EPOCH + 10, EPOCH + 350)
    waiting = audited(live_pod(scheduled=None))
    assert (waiting.scheduled_seconds, waiting.ready_seconds, waiting.node) == (None, None, "")


def test_the_time_to_ready_is_told_once_when_the_pod_is_seen_to_become_ready() -> None:
    """However late the watch brings it."""
    before = audited(live_pod(scheduled=10))
    now = followed(before, live_pod(scheduled=10, ready=350))
    assert now
    assert time_to_ready(before, now, since_seconds=EPOCH + 1e9) == 340
    counted = replace(now, is_counted=True)
    assert time_to_ready(now, counted, since_seconds=0) is None


def test_a_pod_that_is_ready_at_first_sight_was_told_by_the_last_leader() -> None:
    """Unless it became so after that one's last sign of life."""
    now = audited(live_pod(scheduled=10, ready=350))
    assert time_to_ready(None, now, since_seconds=EPOCH + 351) is None
    assert time_to_ready(None, now, since_seconds=EPOCH + 350) == 340


def test_a_clock_that_went_back_makes_no_negative_time() -> None:
    """Conditions are written by different machines."""
    before = audited(live_pod(scheduled=10))
    now = followed(before, live_pod(scheduled=10, ready=5))
    assert now
    assert time_to_ready(before, now, 0) == 0


def test_findings_are_grouped_by_owner() -> None:
    """One Event for a Deployment's ReplicaSet, not one for each of its pods."""
    owned = [audited(live_pod(f"p-{number}", owner=replica_set())) for number in (2, 1)]
    alone = audited(live_pod("alone"))
    injected = audited(live_pod("fine", record=RECORD))
    grouped = auditor.by_owner([*owned, alone, injected])
    assert {str(owner): [one.name for one in found] for owner, found in grouped.items()} == {
        "Pod/alone": ["alone"],
        "ReplicaSet/llama-7d9f": ["p-1", "p-2"],
    }


def test_the_owner_is_the_controller_or_the_pod_itself() -> None:
    """With its uid, by which kubectl describe finds its Events."""
    assert owners.of_pod(live_pod("a")) == Owner("v1", "Pod", "ml", "a", "uid-a")
    owned = live_pod("a", owner=replica_set())
    assert owners.of_pod(owned) == Owner("apps/v1", "ReplicaSet", "ml", "llama-7d9f", "rs-1")
    owned["metadata"]["ownerReferences"][0]["controller"] = False
    assert owners.of_pod(owned).kind == "Pod"


def test_a_deployment_is_guessed_by_the_pods_label() -> None:
    """Where no request is to be made; other owners stay what they are."""
    pod = live_pod(owner=replica_set(), labels={"pod-template-hash": "7d9f"})
    assert str(owners.guessed(pod, owners.of_pod(pod))) == "Deployment/llama"
    member = {**replica_set("g-0"), "kind": "StatefulSet"}
    pod = live_pod(owner=member, labels={"leaderworkerset.sigs.k8s.io/name": "g"})
    assert str(owners.guessed(pod, owners.of_pod(pod))) == "LeaderWorkerSet/g"
    bare = live_pod(owner=replica_set("web"))
    assert str(owners.guessed(bare, owners.of_pod(bare))) == "ReplicaSet/web"


RS, DEPLOYMENT = (
    Owner("apps/v1", "ReplicaSet", "ml", "l-1"),
    Owner("apps/v1", "Deployment", "ml", "l"),
)
SET = Owner("apps/v1", "StatefulSet", "ml", "s")
GROUP = Owner("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "ml", "g")
SERVICE = Owner("serving.kserve.io/v1beta1", "InferenceService", "ml", "i")
RAY = Owner("ray.io/v1", "RayCluster", "ml", "r")


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ([RS, DEPLOYMENT], "kubectl rollout restart deployment/l -n ml"),
        ([RS, DEPLOYMENT, SERVICE], "kubectl rollout restart deployment/l -n ml"),
        ([SET], "kubectl rollout restart statefulset/s -n ml"),
        ([SET, GROUP], "kubectl delete pod p -n ml"),
        ([RAY], "kubectl delete pod p -n ml"),
        ([RS], "kubectl delete pod p -n ml"),
    ],
)
def test_the_cure_is_the_owners_own(chain: list[Owner], expected: str) -> None:
    """A group's StatefulSet belongs to its group; what is not known is replaced by deleting."""
    assert owners.cure(chain, "p") == expected


def test_a_bare_pod_has_to_be_made_again_by_hand() -> None:
    """Nobody else does it."""
    assert "create it again" in owners.cure([owners.of_pod(live_pod("p"))], "p")


@given(
    st.fixed_dictionaries({}, optional={"metadata": ANYTHING, "spec": ANYTHING, "status": ANYTHING})
)
def test_odd_pods_are_audited_without_an_error(pod: Json) -> None:
    """One of them must not end the loop."""
    found = audit(pod, judge)
    if found:
        followed(found, pod)
