"""
What became of a vLLM pod that exists: injected, missed by the webhook, or left as it was. Pure.

`failurePolicy: Ignore` means that pods are created un-injected while no webhook answers; this finds
them. Times are the pod's own conditions. Source: Kubernetes, "Pod conditions".
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from common.moments import seconds
from webhook import owners, pods, record
from webhook.decisions import Decision, Feature, Json, Mutation, Outcome
from webhook.owners import Owner
from webhook.recognition import Verdict

_ENDED: Final = ("Succeeded", "Failed")


class State(StrEnum):
    """What became of a pod; the values are a metric label and what `tunegate pods` prints."""

    INJECTED = "injected"
    COMPLETE = "complete"
    """It bears no record, and nothing would be added: it has all of it by itself."""
    MISSED = "missed"
    FAILED_SAFE = "failed-safe"
    LEFT_ALONE = "left-alone"


AUDITED: Final = (State.INJECTED, State.COMPLETE, State.MISSED, State.FAILED_SAFE)
"""The states of pods that serve vLLM."""
NEEDING: Final = (State.MISSED, State.FAILED_SAFE)
"""Those that a person has to do something about."""


@dataclass(frozen=True, slots=True)
class Audited:
    """
    What is kept of one pod; a few hundred bytes, whatever the size of the pod.

    Attributes:
        owner: its controller, as the pod names it.
        features: those that were injected; of a missed pod, those that would have been.
        why: one sentence; "" where there is nothing to explain.
        scheduled_seconds, ready_seconds: since the epoch, None while it is not.
        is_counted: its time to Ready has been told, by this leader or an earlier one.
    """

    uid: str
    namespace: str
    name: str
    owner: Owner
    state: State
    features: tuple[Feature, ...]
    why: str
    node: str
    scheduled_seconds: float | None
    ready_seconds: float | None
    is_counted: bool = False


def audit(pod: Json, judge: Callable[[Json], Mutation]) -> Audited | None:
    """
    Return what became of a pod; None where it is no business of the webhook, or has ended.

    `judge` is what the webhook would do to the pod now; it is asked only where no record stands.
    """
    metadata = pods.metadata(pod)
    if _has_ended(pod):
        return None
    found = _by_record(record.read(pod)) or _by_judgement(judge(pod))
    if found is None:
        return None
    state, features, why = found
    return Audited(
        uid=pods.text(metadata.get("uid")),
        namespace=pods.text(metadata.get("namespace")),
        name=pods.name(pod),
        owner=owners.of_pod(pod),
        state=state,
        features=features,
        why=why,
        node=pods.text(pods.spec(pod).get("nodeName")),
        scheduled_seconds=_since(pod, "PodScheduled"),
        ready_seconds=_since(pod, "Ready"),
    )


_Found = tuple[State, tuple[Feature, ...], str]


def _by_record(decisions: Mapping[Feature, Decision]) -> _Found | None:
    if not decisions:
        return None
    injected = _with(decisions, Outcome.INJECTED)
    failed = _with(decisions, Outcome.FAILED_SAFE)
    if failed:
        why = "; ".join(f"{feature}: {decisions[feature].reason}" for feature in failed)
        return State.FAILED_SAFE, injected, why
    return State.INJECTED, injected, ""


def _by_judgement(mutation: Mutation) -> _Found | None:
    recognition = mutation.recognition
    if not mutation.decisions:
        is_known = recognition.verdict is Verdict.LEFT_ALONE
        return (State.LEFT_ALONE, (), recognition.reason) if is_known else None
    if mutation.failure:
        return State.FAILED_SAFE, (), mutation.failure
    missed = _with(mutation.decisions, Outcome.INJECTED)
    if missed:
        return State.MISSED, missed, "created while no webhook answered, or before there was one"
    return State.COMPLETE, (), "it has all by itself"


def _with(decisions: Mapping[Feature, Decision], outcome: Outcome) -> tuple[Feature, ...]:
    return tuple(feature for feature, one in decisions.items() if one.outcome is outcome)


def _since(pod: Json, kind: str) -> float | None:
    """Return since when a condition has been True."""
    for one in pods.objects(pods.mapping(pod.get("status")).get("conditions")):
        if one.get("type") == kind and one.get("status") == "True":
            return seconds(one.get("lastTransitionTime"))
    return None


def _has_ended(pod: Json) -> bool:
    is_over = pods.mapping(pod.get("status")).get("phase") in _ENDED
    return is_over or bool(pods.metadata(pod).get("deletionTimestamp"))


def followed(before: Audited, pod: Json) -> Audited | None:
    """Return a pod as it is now that was audited before: only its place and its times change."""
    if _has_ended(pod):
        return None
    return replace(
        before,
        node=pods.text(pods.spec(pod).get("nodeName")),
        scheduled_seconds=_since(pod, "PodScheduled"),
        ready_seconds=_since(pod, "Ready"),
    )


def time_to_ready(before: Audited | None, now: Audited, since_seconds: float) -> float | None:
    """
    Return the seconds from scheduled to Ready if they are to be told now, else None.

    Once for each pod: when it is first seen to become Ready. One that is Ready at first sight was
    told by an earlier leader, unless it became so after `since_seconds`.
    """
    if now.is_counted or now.ready_seconds is None or now.scheduled_seconds is None:
        return None
    if before is None and now.ready_seconds < since_seconds:
        return None
    return max(0.0, now.ready_seconds - now.scheduled_seconds)


def by_owner(audited: Iterable[Audited]) -> dict[Owner, list[Audited]]:
    """Return the pods that a person has to do something about, by owner and in order of name."""
    found: dict[Owner, list[Audited]] = {}
    for one in sorted(audited, key=lambda one: (one.namespace, one.name)):
        if one.state in NEEDING:
            found.setdefault(one.owner, []).append(one)
    return found
