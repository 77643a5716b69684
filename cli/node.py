"""
One Node as the API server sent it, reduced to what a reader can judge.

Pure. A field that is absent or is not what the API promises reads as empty: one odd Node must not
hide the others. Source of the shapes: Kubernetes API reference, core/v1 Node, NodeCondition and
Taint; what tunegate puts there: docs/agent.md, "On the Node".
"""

import json
from collections.abc import Mapping

from common import names
from common.moments import seconds
from common.record import dataclass

_DIGITS = 7


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of ``status.conditions``; times are seconds since the epoch, None when unknown."""

    status: str
    reason: str
    message: str
    transition_seconds: float | None
    heartbeat_seconds: float | None


@dataclass(frozen=True, slots=True)
class State:
    """
    The state annotation: what the agent recorded with its verdict.

    ``profile`` is the hash of the settings, ``profile_name`` "" where no profile was chosen.
    ``beat_seconds`` is how often the agent refreshes the condition's heartbeat, 0 when it does
    not say; ``when_seconds`` is since the epoch.
    """

    boot_id: str
    outcome: str
    profile: str
    profile_name: str
    link_mtus: Mapping[str, int]
    when_seconds: float | None
    beat_seconds: int


@dataclass(frozen=True, slots=True)
class Node:
    """
    A Node as it stands.

    ``gate_taints`` are the gate taints' keys, ``gated_seconds`` when the oldest of them was put
    there (since the epoch, None when it does not say); ``state`` None: no annotation.
    """

    name: str
    created_seconds: float | None
    boot_id: str
    label_network: str
    label_mtu_bytes: int | None
    mode: str
    gate_taints: tuple[str, ...]
    gated_seconds: float | None
    condition: Condition | None
    ready: Condition | None
    state: State | None

    @property
    def has_verdict(self) -> bool:
        """Return whether an agent has said anything about this node."""
        return bool(self.condition or self.state or self.label_network)

    @property
    def is_known(self) -> bool:
        """Return whether the node bears any sign of tunegate."""
        return bool(self.has_verdict or self.mode or self.gate_taints)

    @property
    def mtu_bytes(self) -> int | None:
        """Return the smallest MTU of the storage links, as the label or the annotation has it."""
        if self.label_mtu_bytes is not None or self.state is None:
            return self.label_mtu_bytes
        return min(self.state.link_mtus.values(), default=None)


def read_node(raw: object, gate_keys: tuple[str, ...] = names.GATE_TAINTS) -> Node:
    """Return what one Node object says."""
    node = _mapping(raw)
    metadata, status = _mapping(node.get("metadata")), _mapping(node.get("status"))
    labels, annotations = _mapping(metadata.get("labels")), _mapping(metadata.get("annotations"))
    taints = [
        taint
        for taint in map(_mapping, _list(_mapping(node.get("spec")).get("taints")))
        if taint.get("key") in gate_keys and taint.get("effect") == names.TAINT_EFFECT
    ]
    added = [when for taint in taints if (when := seconds(taint.get("timeAdded"))) is not None]
    return Node(
        name=_text(metadata.get("name")),
        created_seconds=seconds(metadata.get("creationTimestamp")),
        boot_id=_text(_mapping(status.get("nodeInfo")).get("bootID")),
        label_network=_text(labels.get(names.LABEL_NETWORK)),
        label_mtu_bytes=_size(labels.get(names.LABEL_MTU)),
        mode=_text(labels.get(names.LABEL_MODE)),
        gate_taints=tuple(dict.fromkeys(_text(taint.get("key")) for taint in taints)),
        gated_seconds=min(added, default=None),
        condition=_condition(status.get("conditions"), names.CONDITION),
        ready=_condition(status.get("conditions"), "Ready"),
        state=_state(annotations.get(names.ANNOTATION_STATE)),
    )


def _condition(conditions: object, kind: str) -> Condition | None:
    found = [one for one in map(_mapping, _list(conditions)) if one.get("type") == kind]
    if not found:
        return None
    one = found[0]
    return Condition(
        status=_text(one.get("status")),
        reason=_text(one.get("reason")),
        message=_text(one.get("message")),
        transition_seconds=seconds(one.get("lastTransitionTime")),
        heartbeat_seconds=seconds(one.get("lastHeartbeatTime")),
    )


def _state(annotation: object) -> State | None:
    if not isinstance(annotation, str):
        return None
    try:
        decoded = _mapping(json.loads(annotation))
    except (ValueError, RecursionError):
        decoded = {}
    links = _mapping(decoded.get("links"))
    return State(
        boot_id=_text(decoded.get("boot")),
        outcome=_text(decoded.get("outcome")),
        profile=_text(decoded.get("profile")),
        profile_name=_text(decoded.get("profileName")),
        link_mtus={name: size for name in sorted(links) if (size := _count(links[name]))},
        when_seconds=seconds(decoded.get("when")),
        beat_seconds=_count(decoded.get("beat")),
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _size(value: object) -> int | None:
    text = _text(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
