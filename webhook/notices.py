"""
Events about vLLM pods, as objects: one for each owner and reason, told again once an hour. Pure.

An Event's name is made of what it is about, so two replicas, and a leader after the next, meet at
the same object. Source: Kubernetes API reference, core/v1 Event.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from common.moments import seconds
from common.names import WEBHOOK_COMMAND
from webhook import pods
from webhook.auditor import Audited, State
from webhook.decisions import Json
from webhook.owners import Owner, cure

AGAIN_SECONDS: Final = 3600.0
MAX_MESSAGE: Final = 1024
"""What the API server takes of an Event's message."""
_MAX_STEM: Final = 200
_MAX_NAME: Final = 80


class Reason(StrEnum):
    """An Event's reason."""

    NOT_INJECTED = "VllmPodNotInjected"
    FAILED_SAFE = "VllmInjectionFailedSafe"


class Result(StrEnum):
    """What became of a notice; a metric label."""

    TOLD = "told"
    FRESH = "fresh"
    """The same was told within the hour."""
    DROPPED = "dropped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Notice:
    """
    Something to tell the owner of a pod.

    Attributes:
        owner: the pod's controller; its own owners are looked for when it is told.
        what: the sentence, without the cure.
    """

    reason: Reason
    owner: Owner
    pod: str
    what: str


def left_alone(pod: Json, owner: Owner, failure: str) -> Notice:
    """Return that the webhook left a pod as it came, which it could not judge."""
    name = _short(pods.name(pod)) or "a pod"
    what = f"tunegate added nothing to {name}, to be safe: {failure[:MAX_MESSAGE]}"
    return Notice(Reason.FAILED_SAFE, owner, name, what)


def found(owner: Owner, audited: Sequence[Audited]) -> Notice:
    """Return what the auditor found of one owner: at least one pod."""
    first = audited[0]
    more = f" and {len(audited) - 1} more" if audited[1:] else ""
    name = f"{_short(first.name)}{more}"
    if first.state is State.MISSED:
        what = f"vLLM pod {name} runs without {', '.join(first.features)}: {first.why}"
        return Notice(Reason.NOT_INJECTED, owner, first.name, what)
    what = f"vLLM pod {name} runs without all that tunegate adds: {first.why}"
    return Notice(Reason.FAILED_SAFE, owner, first.name, what)


def name_of(notice: Notice, top: Owner) -> str:
    """Return the Event's name: the same for the same owner and reason."""
    about = f"{top.api_version}/{top.kind}/{top.namespace}/{top.name}/{notice.reason}"
    digest = hashlib.sha256(about.encode()).hexdigest()[:16]
    stem = top.name[:_MAX_STEM].rstrip(".-") or "pod"
    return f"{stem}.{digest}"


def event(notice: Notice, chain: Sequence[Owner], reporter: str, now_seconds: float) -> Json:
    """Return the Event about the last of the owners, the top one."""
    top, now = chain[-1], _time(now_seconds)
    about = {
        "apiVersion": top.api_version,
        "kind": top.kind,
        "namespace": top.namespace,
        "name": top.name,
        "uid": top.uid,
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name_of(notice, top), "namespace": top.namespace},
        "involvedObject": {key: value for key, value in about.items() if value},
        "reason": notice.reason.value,
        "message": message(notice, chain),
        "type": "Warning",
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": WEBHOOK_COMMAND},
        "reportingComponent": WEBHOOK_COMMAND,
        "reportingInstance": reporter,
    }


def message(notice: Notice, chain: Sequence[Owner]) -> str:
    """Return the sentence with what to do next."""
    todo = f"To have it injected: {cure(chain, notice.pod)}"
    if notice.reason is Reason.FAILED_SAFE:
        todo = "See what it would get by `kubectl tunegate explain`; its log says more"
    what = notice.what.rstrip(". ")
    return f"{what[: MAX_MESSAGE - len(todo) - 3]}. {todo}"[:MAX_MESSAGE]


def again(there: Json, notice: Notice, chain: Sequence[Owner], now_seconds: float) -> Json | None:
    """
    Return the merge patch that tells an Event again, None while the last time is fresh.

    A review knows no uid of the pod that it is about: that is added as soon as it is known.
    """
    last = seconds(there.get("lastTimestamp"))
    is_fresh = last is not None and 0 <= now_seconds - last < AGAIN_SECONDS
    uid = "" if pods.mapping(there.get("involvedObject")).get("uid") else chain[-1].uid
    if is_fresh and not uid:
        return None
    version = pods.text(pods.metadata(there).get("resourceVersion"))
    change: Json = {"metadata": {"resourceVersion": version}}
    if uid:
        change["involvedObject"] = {"uid": uid}
    if not is_fresh:
        change["count"] = (pods.number(there.get("count")) or 0) + 1
        change["lastTimestamp"] = _time(now_seconds)
        change["message"] = message(notice, chain)
    return change


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 3]}..."


def _time(epoch_seconds: float) -> str:
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
