"""
What one Node bears of tunegate, and the patches and commands that take it off. Pure.

A field that is absent or is not what the API promises reads as empty. Where the mode label was set
to off by `tunegate uninstall` itself, an annotation says what stood there before.
"""

import json
import shlex
from collections.abc import Mapping, Sequence

from common import names
from common.node_patches import (
    Operation,
    Taint,
    condition_removal,
    is_gate,
    map_operations,
    taint_operations,
    with_uid,
)
from common.record import dataclass

STANDING_BY = "StandingBy"
"""The agent's reason once it has put first values back and writes no more (docs/agent.md)."""
_LABELS = (names.LABEL_NETWORK, names.LABEL_MTU)
_ANNOTATIONS = (names.ANNOTATION_STATE, names.ANNOTATION_MODE_BEFORE)
_FINE = (
    *("put back ", "left ", "the host holds nothing of ours"),
    *("the first value was ", "profile "),
)
"""How each part of the agent's sentence begins that is no failure."""


@dataclass(frozen=True, slots=True)
class Traces:
    """
    A Node, reduced to what is ours on it.

    ``taints`` are all of its taints, because patches go by index; ``reason`` and ``message`` are
    those of our condition, None when it has none; ``missing_maps`` as in `NodeView` of the agent.
    """

    name: str
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    missing_maps: tuple[str, ...]
    taints: tuple[Taint, ...]
    gates: tuple[str, ...]
    reason: str | None
    message: str
    is_ready: bool

    @property
    def was_tuned(self) -> bool:
        """Return whether an agent has worked on this host and was not told to put it back."""
        has_worked = {*self.labels, *self.annotations} & {*_LABELS, names.ANNOTATION_STATE}
        return bool(has_worked) and not self.is_standing_by

    @property
    def is_standing_by(self) -> bool:
        """Return whether the agent has obeyed mode off."""
        return self.reason == STANDING_BY and names.LABEL_NETWORK not in self.labels

    @property
    def is_put_back(self) -> bool:
        """Return whether the agent's sentence tells of no failure."""
        parts = self.message.split("; ")
        return self.is_standing_by and all(part.startswith(_FINE) for part in parts)

    @property
    def is_clean(self) -> bool:
        """Return whether nothing of ours is on it."""
        return not clear_patch(self) and self.reason is None


def read(raw: object, gate_keys: Sequence[str]) -> Traces:
    """Return what one Node object bears."""
    node = _mapping(raw)
    metadata, spec = _mapping(node.get("metadata")), _mapping(node.get("spec"))
    conditions = [*map(_mapping, _list(_mapping(node.get("status")).get("conditions")))]
    ours = [one for one in conditions if one.get("type") == names.CONDITION]
    taints = tuple(
        Taint(_text(one.get("key")), _text(one.get("effect")))
        for one in map(_mapping, _list(spec.get("taints")))
    )
    return Traces(
        name=_text(metadata.get("name")),
        uid=_text(metadata.get("uid")),
        labels=_texts(metadata.get("labels")),
        annotations=_texts(metadata.get("annotations")),
        missing_maps=tuple(m for m in ("labels", "annotations") if metadata.get(m) is None),
        taints=taints,
        gates=tuple(one.key for one in taints if is_gate(one, gate_keys)),
        reason=_text(ours[0].get("reason")) if ours else None,
        message=_text(ours[0].get("message")) if ours else "",
        is_ready=any(
            (one.get("type"), one.get("status")) == ("Ready", "True") for one in conditions
        ),
    )


def clear_patch(node: Traces) -> list[Operation]:
    """Return the JSON Patch that takes taints, labels and annotations of ours off the Node."""
    changes = [
        *_maps(node, _restored(node), dict.fromkeys(_ANNOTATIONS)),
        *taint_operations(node.taints, node.gates),
    ]
    return with_uid(node.uid, changes)


def condition_patch(node: Traces) -> Operation:
    """Return the strategic merge patch of the status that takes our condition away."""
    return condition_removal(node.uid)


def off_patch(node: Traces) -> list[Operation]:
    """Return the JSON Patch that sets mode off and keeps what stood there; empty when it is."""
    mode = node.labels.get(names.LABEL_MODE, "")
    if mode == names.MODE_OFF:
        return []
    before = node.annotations.get(names.ANNOTATION_MODE_BEFORE, mode)
    wished = {names.ANNOTATION_MODE_BEFORE: before}
    return with_uid(node.uid, _maps(node, {names.LABEL_MODE: names.MODE_OFF}, wished))


def commands(node: Traces) -> tuple[str, ...]:
    """Return the kubectl commands that clear what is on the Node, none of it twice."""
    name = shlex.quote(node.name)
    labels = [
        f"{key}-" if value is None else f"{key}={value} --overwrite"
        for key, value in _restored(node).items()
        if key in node.labels
    ]
    annotations = [f"{key}-" for key in _ANNOTATIONS if key in node.annotations]
    taints = [f"{key}:{names.TAINT_EFFECT}-" for key in dict.fromkeys(node.gates)]
    found = [
        f"kubectl {verb} node {name} {' '.join(keys)}"
        for verb, keys in (("taint", taints), ("label", labels), ("annotate", annotations))
        if keys
    ]
    if node.reason is not None:
        conditions = [{"type": names.CONDITION, "$patch": "delete"}]
        patch = json.dumps({"status": {"conditions": conditions}}, separators=(",", ":"))
        found.append(
            f"kubectl patch node {name} --subresource=status --type=strategic -p '{patch}'"
        )
    return tuple(found)


def _restored(node: Traces) -> dict[str, str | None]:
    """Return what our labels shall be: gone, but for a mode that a person had set."""
    wish: dict[str, str | None] = dict.fromkeys(_LABELS)
    before = node.annotations.get(names.ANNOTATION_MODE_BEFORE)
    if before is not None and node.labels.get(names.LABEL_MODE) == names.MODE_OFF:
        wish[names.LABEL_MODE] = before or None
    return wish


def _maps(
    node: Traces, labels: Mapping[str, str | None], annotations: Mapping[str, str | None]
) -> list[Operation]:
    missing = node.missing_maps
    return [
        *map_operations("labels", node.labels, labels, is_missing="labels" in missing),
        *map_operations(
            "annotations", node.annotations, annotations, is_missing="annotations" in missing
        ),
    ]


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> dict[str, str]:
    return {key: one for key, one in _mapping(value).items() if isinstance(one, str)}
