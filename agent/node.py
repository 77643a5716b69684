"""
What the agent knows of its Node and what the Node shall say: values, and how to read them.

Pure. ``agent/node_patch`` compares the two and writes the patches. A field that is absent or is
not what the API promises reads as empty: a Node must never be able to stop its agent.
Source of the shapes: Kubernetes API reference, core/v1 Node, NodeCondition and Taint.
"""

import json
from collections.abc import Mapping

from agent.facts import NodeFacts
from agent.state import LinkName, Outcome
from common import names
from common.node_patches import Taint, is_gate
from common.record import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """Our own condition as it stands on the Node; its times are RFC 3339 text."""

    status: str
    reason: str
    message: str
    last_transition: str
    last_heartbeat: str = ""


@dataclass(frozen=True, slots=True)
class NodeView:
    """
    A Node as last seen, reduced to what the agent acts on.

    ``missing_maps`` names which of ``labels`` and ``annotations`` the Node does not have at all:
    the API server leaves an empty map out, and JSON Patch cannot add a key to a missing map.
    """

    name: str
    uid: str
    resource_version: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    taints: tuple[Taint, ...]
    condition: Condition | None
    missing_maps: tuple[str, ...] = ()
    provider_id: str = ""  # spec.providerID: "aws:///us-east-1a/i-0abc", "gce://...", ...
    addresses: tuple[str, ...] = ()  # status.addresses, which the kubelet and the cloud report

    def gate_taints(self, keys: tuple[str, ...] = names.GATE_TAINTS) -> tuple[str, ...]:
        """Return the keys of the gate taints that still stand; their values do not matter."""
        return tuple(t.key for t in self.taints if is_gate(t, keys))

    @property
    def recorded_boot_id(self) -> str:
        """Return the boot ID that the state annotation speaks of, "" when it cannot be read."""
        boot_id = decode_state(self.annotations.get(names.ANNOTATION_STATE, "")).get("boot")
        return boot_id if isinstance(boot_id, str) else ""

    @property
    def facts(self) -> NodeFacts:
        """Return what of the Node decides how its host is treated; what we write is no fact."""
        ours = (names.LABEL_NETWORK, names.LABEL_MTU)
        labels = {key: value for key, value in self.labels.items() if key not in ours}
        return NodeFacts(labels, self.provider_id)


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What the Node shall say.

    ``outcome`` None means that the node is not judged (starting, observing, standing by): labels
    and annotation go, the condition is Unknown. PENDING keeps what this boot has already said.
    ``reason`` is CamelCase, ``message`` one sentence; ``link_mtus`` are in bytes, as read back.
    ``is_held`` is for a node that a person keeps from being tuned: its record stays.
    ``beat_seconds`` is how often the condition is written though nothing changed, 0 for never.
    """

    outcome: Outcome | None
    reason: str
    message: str
    boot_id: str
    profile_hash: str
    link_mtus: Mapping[LinkName, int]
    open_gate: bool
    taint_keys: tuple[str, ...] = names.GATE_TAINTS
    beat_seconds: int = 0
    is_held: bool = False
    profile: str = ""  # the profile's name, "" for the file's top level


def decode_state(text: str) -> dict[str, object]:
    """Return the state annotation's fields, none when it is garbage."""
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def node_view(raw: object) -> NodeView:
    """Return the view of one Node object as the API server sent it."""
    node = _mapping(raw)
    metadata = _mapping(node.get("metadata"))
    spec = _mapping(node.get("spec"))
    taints = spec.get("taints")
    status = _mapping(node.get("status"))
    conditions, addresses = status.get("conditions"), status.get("addresses")
    return NodeView(
        name=_text(metadata.get("name")),
        uid=_text(metadata.get("uid")),
        resource_version=_text(metadata.get("resourceVersion")),
        labels=_texts(metadata.get("labels")),
        annotations=_texts(metadata.get("annotations")),
        taints=tuple(_taint(one) for one in taints) if isinstance(taints, list) else (),
        condition=_condition(conditions),
        missing_maps=tuple(m for m in ("labels", "annotations") if metadata.get(m) is None),
        provider_id=_text(spec.get("providerID")),
        addresses=_addresses(addresses),
    )


def _taint(raw: object) -> Taint:
    taint = _mapping(raw)
    return Taint(key=_text(taint.get("key")), effect=_text(taint.get("effect")))


def _addresses(listed: object) -> tuple[str, ...]:
    items = listed if isinstance(listed, list) else []
    return tuple(address for one in items if (address := _text(_mapping(one).get("address"))))


def _condition(conditions: object) -> Condition | None:
    listed = conditions if isinstance(conditions, list) else []
    ours = [one for one in map(_mapping, listed) if one.get("type") == names.CONDITION]
    if not ours:
        return None
    keys = ("status", "reason", "message", "lastTransitionTime", "lastHeartbeatTime")
    return Condition(*(_text(ours[0].get(key)) for key in keys))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> dict[str, str]:
    return {key: one for key, one in _mapping(value).items() if isinstance(one, str)}
