"""
Helm values as the doctor needs them: the gate of this chart, the tolerations of others. Pure.

Names of values: the charts gpu-operator, node-feature-discovery, nvidia-device-plugin and
dcgm-exporter. A list that is not set is the chart's own, which no chart has the gate in.
"""

from collections.abc import Iterator
from typing import Final

from webhook import pods
from webhook.decisions import Json

_OURS: Final = frozenset({"gate", "agent", "webhook"})
_GPU_OPERATOR: Final = frozenset(
    {"daemonsets", "driver", "toolkit", "devicePlugin", "dcgmExporter", "gfd", "migManager"}
)
_DISCOVERY: Final = "node-feature-discovery"
_ENOUGH: Final = 2


def is_ours(tree: object) -> bool:
    """Return whether these are values of this chart."""
    return isinstance(tree, dict) and "kind" not in tree and bool(_OURS & tree.keys())


def gate_keys(tree: object) -> list[str]:
    """Return the gate keys that values of this chart set."""
    if not isinstance(tree, dict) or not is_ours(tree):
        return []
    return pods.texts(pods.mapping(tree.get("gate")).get("taints"))


def daemon_sets(tree: object, place: str) -> list[Json]:
    """Return DaemonSets that these values give tolerations to; ``place`` names them."""
    if not isinstance(tree, dict) or "kind" in tree or is_ours(tree):
        return []
    return list(_daemon_sets(tree, place))


def _daemon_sets(tree: Json, place: str) -> Iterator[Json]:
    found = _GPU_OPERATOR & tree.keys()
    if "daemonsets" in found or len(found) >= _ENOUGH:
        tolerations = pods.mapping(tree.get("daemonsets")).get("tolerations")
        yield _daemon_set(place, "daemonsets", tolerations, owner="ClusterPolicy")
    discovery = pods.mapping(tree.get(_DISCOVERY)) or tree
    worker = pods.mapping(discovery.get("worker"))
    if worker or (found and _DISCOVERY in tree):
        yield _daemon_set(place, f"{_DISCOVERY}-worker", worker.get("tolerations"))
    if isinstance(tree.get("tolerations"), list):
        yield _daemon_set(place, "tolerations", tree["tolerations"])


def _daemon_set(place: str, name: str, tolerations: object, owner: str = "") -> Json:
    metadata: Json = {"namespace": place, "name": name}
    if owner:
        metadata["ownerReferences"] = [{"kind": owner}]
    spec = {"tolerations": tolerations, "containers": []}
    return {"kind": "DaemonSet", "metadata": metadata, "spec": {"template": {"spec": spec}}}
