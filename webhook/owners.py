"""
Whose a pod is: its controllers up to the top, and how that one makes its pods anew. Pure.

Sources: Kubernetes, "Owners and Dependents"; Deployment, "Pod-template-hash label"; the owner
references that LeaderWorkerSet and KServe set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from webhook import pods
from webhook.decisions import Json

MAX_CHAIN: Final = 5
"""Owners above a pod that are looked for: ReplicaSet, Deployment, InferenceService and two more."""
MAX_NAME: Final = 253
_HASH_LABEL: Final = "pod-template-hash"
_GROUP_LABEL: Final = "leaderworkerset.sigs.k8s.io/name"
_GROUP_VERSION: Final = "leaderworkerset.x-k8s.io/v1"
_GROUP_KIND: Final = "LeaderWorkerSet"
_RESTARTABLE: Final = ("Deployment", "StatefulSet", "DaemonSet")
_PLURALS: Mapping[tuple[str, str], str] = {
    ("apps", "ReplicaSet"): "replicasets",
    ("apps", "Deployment"): "deployments",
    ("apps", "StatefulSet"): "statefulsets",
    ("leaderworkerset.x-k8s.io", "LeaderWorkerSet"): "leaderworkersets",
}
"""The kinds that have owners in their turn, and may be asked for them."""


@dataclass(frozen=True, slots=True)
class Owner:
    """An object that makes pods, or the pod itself; `uid` "" where it is not known."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str = ""

    def __str__(self) -> str:
        """Return it as kubectl takes it: Deployment/llama."""
        return f"{self.kind}/{self.name}"


def of_pod(pod: Json, namespace: str = "") -> Owner:
    """Return the pod's controller, the pod itself where it has none."""
    around = _short(pods.metadata(pod).get("namespace")) or _short(namespace)
    uid = _short(pods.metadata(pod).get("uid"))
    return controller(pod, around) or Owner("v1", "Pod", around, _short(pods.name(pod)), uid)


def controller(raw: Json, namespace: str) -> Owner | None:
    """Return the object's controller: the one owner that is marked as such."""
    for one in pods.objects(pods.metadata(raw).get("ownerReferences")):
        kind, name = _short(one.get("kind")), _short(one.get("name"))
        if one.get("controller") is True and kind and name:
            version, uid = _short(one.get("apiVersion")), _short(one.get("uid"))
            return Owner(version, kind, namespace, name, uid)
    return None


def _short(value: object) -> str:
    """Return a name no longer than names are: it is kept, and not checked yet at admission."""
    return pods.text(value)[:MAX_NAME]


def guessed(pod: Json, owner: Owner) -> Owner:
    """
    Return a ReplicaSet's Deployment, or a StatefulSet's LeaderWorkerSet, by the pod's labels.

    It costs no request; what has no such label stays itself.
    """
    group = pods.labels(pod).get(_GROUP_LABEL, "")
    if owner.kind == "StatefulSet" and group:
        return Owner(_GROUP_VERSION, _GROUP_KIND, owner.namespace, group)
    ending = f"-{pods.labels(pod).get(_HASH_LABEL, '')}"
    if owner.kind == "ReplicaSet" and ending != "-" and owner.name.endswith(ending):
        return replace(owner, kind="Deployment", name=owner.name.removesuffix(ending), uid="")
    return owner


def path_of(owner: Owner) -> str | None:
    """Return where an owner can be read, None for a kind whose own owners are not looked for."""
    group, _, version = owner.api_version.rpartition("/")
    plural = _PLURALS.get((group, owner.kind))
    is_sound = pods.is_object_name(owner.name) and pods.is_object_name(owner.namespace)
    if plural is None or not is_sound or not version.isalnum():
        return None
    return f"/apis/{group}/{version}/namespaces/{owner.namespace}/{plural}/{owner.name}"


def cure(chain: Sequence[Owner], pod: str) -> str:
    """Return the command by which the owners, from the pod's controller up, make it anew."""
    namespace = chain[0].namespace
    is_group = any(one.kind == _GROUP_KIND for one in chain)
    for one in () if is_group else chain:
        if one.kind in _RESTARTABLE:
            return f"kubectl rollout restart {one.kind.lower()}/{one.name} -n {namespace}"
    if chain[0].kind == "Pod":
        return f"delete the pod and create it again: kubectl delete pod {pod} -n {namespace}"
    return f"kubectl delete pod {pod} -n {namespace}"
