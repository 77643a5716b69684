"""
Nodes as the doctor needs them: which cloud, which pool, a GPU or none. Pure.

The labels are those that clouds and kubelets set at registration; sources: the clouds' own pages
on node labels, "Well-Known Labels, Annotations and Taints" of Kubernetes.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Final

from cli.doctor.facts import Claim, NodeSeen, Place, Taint
from cli.node import read_node
from common.moments import seconds
from webhook import pods
from webhook.decisions import Json
from webhook.inject.tolerations import is_accelerator

KARPENTER_POOL: Final = "karpenter.sh/nodepool"
_BY_PROVIDER: Final[Mapping[str, Place]] = {
    "digitalocean": Place.DOKS,
    "aws": Place.EKS,
    "gce": Place.GKE,
    "azure": Place.AKS,
}
_POOL_LABELS: Final[Mapping[str, Place | None]] = {
    KARPENTER_POOL: None,
    "doks.digitalocean.com/node-pool": Place.DOKS,
    "eks.amazonaws.com/nodegroup": Place.EKS,
    "alpha.eksctl.io/nodegroup-name": Place.EKS,
    "cloud.google.com/gke-nodepool": Place.GKE,
    "kubernetes.azure.com/agentpool": Place.AKS,
    "agentpool": Place.AKS,
    "karpenter.azure.com/aksnodeclass": Place.AKS,
}
GPU_LABELS: Final = (
    "aliyun.accelerator/nvidia_name",
    "amd.com/gpu.present",
    "cloud.google.com/gke-accelerator",
    "doks.digitalocean.com/gpu-brand",
    "doks.digitalocean.com/gpu-model",
    "eks.amazonaws.com/instance-gpu-count",
    "feature.node.kubernetes.io/pci-1002.present",
    "feature.node.kubernetes.io/pci-10de.present",
    "k8s.amazonaws.com/accelerator",
    "karpenter.azure.com/sku-gpu-manufacturer",
    "karpenter.azure.com/sku-gpu-name",
    "karpenter.k8s.aws/instance-gpu-count",
    "karpenter.k8s.aws/instance-gpu-name",
    "kubernetes.azure.com/accelerator",
    "nvidia.com/gpu.present",
)
LATE_LABEL_PREFIXES: Final = ("nvidia.com/", "feature.node.kubernetes.io/", "amd.com/")
"""Set by feature discovery after the node has joined, not by the cloud or the kubelet."""
_GKE_TAINTS: Final = "node.gke.io/last-applied-node-taints"
_EFFECTS: Final[Mapping[str, str]] = {
    "NO_SCHEDULE": "NoSchedule",
    "NO_EXECUTE": "NoExecute",
    "PREFER_NO_SCHEDULE": "PreferNoSchedule",
}


def node_of(raw: Json, gate_keys: tuple[str, ...]) -> NodeSeen:
    """Return one Node."""
    labels, spec = pods.labels(raw), pods.spec(raw)
    taints = taints_of(spec.get("taints"))
    return NodeSeen(
        view=read_node(raw, gate_keys),
        labels=labels,
        taints=taints,
        cloud=_cloud(pods.text(spec.get("providerID")), labels),
        pool=next((labels[label] for label in _POOL_LABELS if labels.get(label)), ""),
        is_karpenters=KARPENTER_POOL in labels,
        is_gpu=_is_gpu(raw, labels, taints),
        pool_taints=_written_down(pods.annotations(raw).get(_GKE_TAINTS)),
    )


def _cloud(provider_id: str, labels: Mapping[str, str]) -> Place:
    found = _BY_PROVIDER.get(provider_id.partition(":")[0])
    by_label = (place for label, place in _POOL_LABELS.items() if place and label in labels)
    return found or next(by_label, Place.BARE)


def _is_gpu(raw: Json, labels: Mapping[str, str], taints: Iterable[Taint]) -> bool:
    status = pods.mapping(raw.get("status"))
    amounts = {**pods.mapping(status.get("capacity")), **pods.mapping(status.get("allocatable"))}
    return (
        any(is_accelerator(name) and str(amount) != "0" for name, amount in amounts.items())
        or has_gpu_label(labels)
        or any(is_accelerator(taint.key) for taint in taints)
    )


def has_gpu_label(labels: Mapping[str, str]) -> bool:
    """Return whether a label says that there is a GPU."""
    return any(labels.get(label, "false") not in ("false", "") for label in GPU_LABELS)


def taints_of(raw: object) -> tuple[Taint, ...]:
    """Return a list of taints; effects as clouds write them become those of Kubernetes."""
    return tuple(
        Taint(pods.text(one.get("key")), effect_of(pods.text(one.get("effect"))))
        for one in pods.objects(raw)
    )


def effect_of(text: str) -> str:
    """Return an effect as Kubernetes writes it."""
    return _EFFECTS.get(text, text)


def taint_texts(texts: Iterable[str]) -> tuple[Taint, ...]:
    """Return taints written as key=value:Effect, as AKS and kubelet's flag have them."""
    found = []
    for text in texts:
        head, _, effect = text.rpartition(":")
        found.append(Taint(head.partition("=")[0] or effect, effect_of(effect) if head else ""))
    return tuple(found)


def _written_down(annotation: str | None) -> tuple[Taint, ...] | None:
    """Return the pool's taints as GKE notes them on its nodes: JSON, or key=value:Effect."""
    if annotation is None:
        return None
    try:
        return taints_of(json.loads(annotation))
    except (ValueError, RecursionError):
        return taint_texts(filter(None, annotation.split(",")))


def claim_of(raw: Json) -> Claim:
    """Return one NodeClaim."""
    status, metadata = pods.mapping(raw.get("status")), pods.metadata(raw)
    conditions = {pods.text(one.get("type")): one for one in pods.objects(status.get("conditions"))}
    initialized = conditions.get("Initialized", {})
    return Claim(
        name=pods.name(raw),
        pool=pods.labels(raw).get(KARPENTER_POOL, ""),
        node=pods.text(status.get("nodeName")),
        created_seconds=seconds(metadata.get("creationTimestamp")),
        is_initialized=initialized.get("status") == "True",
        reason=pods.text(initialized.get("reason")),
        has_gpu=any(map(is_accelerator, pods.mapping(status.get("capacity")))),
    )
