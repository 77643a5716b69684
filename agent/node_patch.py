"""
Compare a Node with what it shall say, and write the patches that make it so.

Pure. The patches are safe beside other writers: ``common.node_patches`` says how.
"""

import json
import time
from collections.abc import Mapping

from agent.node import Condition, NodeView, Wanted, decode_state
from agent.state import Outcome
from common import names
from common.node_patches import (
    Operation,
    condition_removal,
    map_operations,
    taint_operations,
    with_uid,
)

EVENT_NAMESPACE = "default"
"""Where events about objects without a namespace must live (core/v1 Event validation)."""

_MESSAGE_LIMIT = 1024  # events.k8s.io/v1 Event: note is at most 1 kB
_NAME_LIMIT = 253  # RFC 1123 subdomain, as for every object name
_STATUS = {Outcome.TUNED: "True", Outcome.DEGRADED: "False", Outcome.FAILED: "False"}


def node_patch(view: NodeView, wanted: Wanted, now_seconds: float) -> list[Operation]:
    """
    Return the one JSON Patch that sets labels and annotation and opens the gate.

    Empty when nothing differs: then nothing is to be sent. The API server answers 422 when the
    Node has changed in a way that matters since ``view``.
    """
    labels, annotations = _wanted_maps(view, wanted, now_seconds)
    changes = [
        *_map_operations(view, "labels", view.labels, labels),
        *_map_operations(view, "annotations", view.annotations, annotations),
        *(taint_operations(view.taints, wanted.taint_keys) if wanted.open_gate else []),
    ]
    return with_uid(view.uid, changes)


def condition_patch(view: NodeView, wanted: Wanted, now_seconds: float) -> Operation | None:
    """
    Return the strategic merge patch of ``nodes/status`` for our condition, None when it stands.

    Conditions merge by ``type``, so the kubelet's own are kept; a uid that does not match is
    refused with 422. ``lastTransitionTime`` moves only when the status does, and
    ``lastHeartbeatTime`` alone only when its beat is due.
    """
    status, now = condition_status(wanted), timestamp(now_seconds)
    message = clip(wanted.message)
    old = view.condition
    stands = old and (old.status, old.reason, old.message) == (status, wanted.reason, message)
    if old and stands and not is_heartbeat_due(old, wanted, now_seconds):
        return None
    kept = old.last_transition if old and old.status == status else ""
    condition = {
        "type": names.CONDITION,
        "status": status,
        "reason": wanted.reason,
        "message": message,
        "lastHeartbeatTime": now,
        "lastTransitionTime": kept or now,
    }
    return {"metadata": {"uid": view.uid}, "status": {"conditions": [condition]}}


def is_heartbeat_due(condition: Condition, wanted: Wanted, now_seconds: float) -> bool:
    """Return whether the condition must be renewed though nothing changed."""
    if not wanted.beat_seconds:
        return False
    # RFC 3339 in UTC sorts as text; one from the future is a clock that was set back
    oldest, newest = timestamp(now_seconds - wanted.beat_seconds), timestamp(now_seconds)
    return not oldest < condition.last_heartbeat <= newest


def condition_status(wanted: Wanted) -> str:
    """Return the condition's status: whether the network is tuned, Unknown until judged."""
    return _STATUS.get(wanted.outcome, "Unknown") if wanted.outcome else "Unknown"


def clear_patch(view: NodeView, taint_keys: tuple[str, ...]) -> list[Operation]:
    """Return the JSON Patch that leaves no taint, label or annotation of ours; empty when none."""
    labels = {names.LABEL_NETWORK: None, names.LABEL_MTU: None}
    changes = [
        *_map_operations(view, "labels", view.labels, labels),
        *_map_operations(view, "annotations", view.annotations, {names.ANNOTATION_STATE: None}),
        *taint_operations(view.taints, taint_keys),
    ]
    return with_uid(view.uid, changes)


def clear_condition_patch(view: NodeView) -> Operation | None:
    """Return the strategic merge patch that takes our condition away, None when there is none."""
    return condition_removal(view.uid) if view.condition else None


def state_annotation(view: NodeView, wanted: Wanted, now_seconds: float) -> str:
    """
    Return the state annotation: compact JSON of boot, profile, links, outcome and when.

    The standing text comes back when all but the time is the same, so that time alone is never
    written.
    """
    state: dict[str, object] = {
        "boot": wanted.boot_id,
        "profile": wanted.profile_hash,
        **({"profileName": wanted.profile} if wanted.profile else {}),
        "links": {link: wanted.link_mtus[link] for link in sorted(wanted.link_mtus)},
        "outcome": str(wanted.outcome or ""),
        "beat": wanted.beat_seconds,
    }
    standing = view.annotations.get(names.ANNOTATION_STATE, "")
    decoded = decode_state(standing)
    if isinstance(decoded.pop("when", None), str) and decoded == state:
        return standing
    state["when"] = timestamp(now_seconds)
    return json.dumps(state, separators=(",", ":"))


def event_body(
    node: str, reason: str, message: str, now_seconds: float, *, is_warning: bool
) -> Operation:
    """
    Return a core/v1 Event about a Node.

    The involved uid is the node's name, as kubelets had it: every ``kubectl describe node`` looks
    for that one (kubectl pkg/describe, describeNode), only newer ones for the real uid as well.
    The event's name holds the time, as client-go's does, so a request sent twice makes one event.
    """
    now, suffix = timestamp(now_seconds), f".{int(now_seconds * 1e9):x}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": node[: _NAME_LIMIT - len(suffix)] + suffix,
            "namespace": EVENT_NAMESPACE,
        },
        "involvedObject": {"apiVersion": "v1", "kind": "Node", "name": node, "uid": node},
        "type": "Warning" if is_warning else "Normal",
        "reason": reason,
        "message": clip(message),
        "source": {"component": names.AGENT_COMMAND, "host": node},
        "reportingComponent": names.AGENT_COMMAND,
        "reportingInstance": node[:128],
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def timestamp(now_seconds: float) -> str:
    """Return seconds since the epoch as RFC 3339 in UTC, in whole seconds as metav1.Time is."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_seconds))


def clip(message: str) -> str:
    """Return the message cut to what an Event may carry: 1024 bytes of UTF-8."""
    raw = message.encode("utf-8", "replace")
    if len(raw) <= _MESSAGE_LIMIT:
        return raw.decode("utf-8")
    return raw[: _MESSAGE_LIMIT - 3].decode("utf-8", "ignore") + "..."


def _wanted_maps(
    view: NodeView, wanted: Wanted, now_seconds: float
) -> tuple[Mapping[str, str | None], Mapping[str, str | None]]:
    """Return what labels and annotations shall be; None takes a key away."""
    if wanted.outcome is Outcome.PENDING and view.recorded_boot_id == wanted.boot_id:
        return {}, {}
    if wanted.outcome in (None, Outcome.PENDING):
        # a mode's record stands without a verdict: its boot and beat show whether it still holds
        record = state_annotation(view, wanted, now_seconds) if wanted.is_held else None
        return {names.LABEL_NETWORK: None, names.LABEL_MTU: None}, {names.ANNOTATION_STATE: record}
    smallest = min(wanted.link_mtus.values(), default=None)
    labels = {
        names.LABEL_NETWORK: str(wanted.outcome),
        names.LABEL_MTU: None if smallest is None else str(smallest),
    }
    return labels, {names.ANNOTATION_STATE: state_annotation(view, wanted, now_seconds)}


def _map_operations(
    view: NodeView, field: str, have: Mapping[str, str], want: Mapping[str, str | None]
) -> list[Operation]:
    return map_operations(field, have, want, is_missing=field in view.missing_maps)
