"""
The optional Node hook: puts the gate taint on nodes that match a selector, as they register. Pure.

A safety net for pools that cannot be tainted; off by default. Only the CREATE of a Node is seen: a
kubelet that comes back after a reboot registers nothing. The autoscaler knows the taint by the
prefix of its key; Karpenter needs it in `startupTaints` as well, or it goes on buying nodes.
Sources: cluster-autoscaler FAQ; Karpenter, "startupTaints"; kubelet, `--register-with-taints`.
"""

from dataclasses import dataclass, field
from typing import Final

from common import names
from webhook import pods
from webhook.amendment import Amendment
from webhook.decisions import Json
from webhook.selector import Selector

_PATH: Final = "/spec/taints"
_APPLY: Final = "apply"


@dataclass(frozen=True, slots=True)
class NodeGate:
    """
    Which nodes are gated as they register, and by which taint.

    Attributes:
        selector: the nodes; an empty one means none: the hook is off.
        taint: the key of the taint that is put on them.
        gate_taints: keys any of which is a gate already.
    """

    selector: Selector = field(default_factory=Selector)
    taint: str = names.STARTUP_TAINT
    gate_taints: tuple[str, ...] = names.GATE_TAINTS


def gate(node: Json, settings: NodeGate) -> Amendment:
    """Return what a Node that registers gets; never raises."""
    try:
        return _gate(node, settings)
    except Exception:  # noqa: BLE001 - whatever an object may hold, the node joins as it is
        return Amendment("failed-safe")


def _gate(node: Json, settings: NodeGate) -> Amendment:
    labels = pods.labels(node)
    if not settings.selector.selects(labels):
        return Amendment("not-selected")
    if labels.get(names.LABEL_MODE, _APPLY) != _APPLY:
        return Amendment("standing-by")
    taints = pods.spec(node).get("taints")
    if any(_is_gate(taint, settings) for taint in pods.objects(taints)):
        return Amendment("gated-already")
    taint = {"key": settings.taint, "effect": names.TAINT_EFFECT}
    if node.get("spec") is None:
        return Amendment("gated", ({"op": "add", "path": "/spec", "value": {"taints": [taint]}},))
    if not isinstance(node["spec"], dict) or not isinstance(taints, list | None):
        return Amendment("failed-safe")
    path, value = (f"{_PATH}/-", taint) if taints else (_PATH, [taint])
    return Amendment("gated", ({"op": "add", "path": path, "value": value},))


def _is_gate(taint: Json, settings: NodeGate) -> bool:
    keys = (settings.taint, *settings.gate_taints)
    return taint.get("key") in keys and taint.get("effect") == names.TAINT_EFFECT
