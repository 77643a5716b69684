"""
Definitions of node pools, from the cluster or as the clouds' own commands print them. Pure.

Read are Karpenter's NodePool, eksctl's ClusterConfig, kubelet's and kubeadm's configuration, and
the JSON of `doctl kubernetes cluster node-pool list`, `gcloud container node-pools list`, `az aks
nodepool list` and `aws eks describe-nodegroup`.
"""

import re
from collections.abc import Iterator
from typing import Final

from cli.doctor.facts import Place, Pool, Taint
from cli.doctor.of_nodes import has_gpu_label, taint_texts, taints_of
from webhook import pods
from webhook.decisions import Json
from webhook.inject.tolerations import is_accelerator

EKS_KEY_LENGTH: Final = 63
"""https://docs.aws.amazon.com/eks/latest/APIReference/API_Taint.html"""
_GPU_SIZES: Final = ("gpu-", "Standard_N", "standard_n", "a2-", "a3-", "a4-", "g2-", "g4-")
_AMAZON_GPU: Final = re.compile(r"(?:p|g|trn|inf)[0-9]+[a-z]*(?:-[a-z0-9]+)?(?:\.|$)")


def node_pool(raw: Json) -> Pool:
    """Return a NodePool of Karpenter's (karpenter.sh/v1)."""
    template = pods.mapping(pods.spec(raw).get("template"))
    spec = pods.spec(template)
    taints = taints_of(spec.get("taints"))
    is_gpu = (
        has_gpu_label(pods.labels(template))
        or any(is_accelerator(taint.key) for taint in taints)
        or any(map(_asks_for_gpu, pods.objects(spec.get("requirements"))))
    )
    return Pool(
        Place.KARPENTER,
        pods.name(raw),
        f"NodePool {pods.name(raw)}",
        taints,
        taints_of(spec.get("startupTaints")),
        is_gpu or None,
    )


def _asks_for_gpu(requirement: Json) -> bool:
    key, operator = pods.text(requirement.get("key")), requirement.get("operator")
    values = pods.texts(requirement.get("values"))
    if operator not in ("In", "Exists", "Gt"):
        return False
    if "instance-gpu-" in key or "sku-gpu-" in key or has_gpu_label({key: "true"}):
        return True
    if operator != "In" or not values:
        return False
    if key.endswith("/instance-category"):
        return set(values) <= {"p", "g"}
    if key.endswith(("/instance-family", "node.kubernetes.io/instance-type")):
        return all(map(is_gpu_size, values))
    return False


def is_gpu_size(size: str) -> bool:
    """Return whether a machine's size is one with accelerators, as far as its name tells."""
    return size.startswith(_GPU_SIZES) or bool(_AMAZON_GPU.match(size))


def eksctl(raw: Json, source: str) -> Iterator[Pool]:
    """Yield the node groups of eksctl's ClusterConfig; only managed ones go through EKS' API."""
    for kind, limit in (("managedNodeGroups", EKS_KEY_LENGTH), ("nodeGroups", None)):
        for group in pods.objects(raw.get(kind)):
            taints = taints_of(group.get("taints"))
            flags = _bootstrap_flags(pods.text(group.get("overrideBootstrapCommand")))
            sizes = [
                *filter(None, [pods.text(group.get("instanceType"))]),
                *pods.texts(group.get("instanceTypes")),
            ]
            name = pods.text(group.get("name"))
            yield Pool(
                Place.EKS,
                name,
                f"node group {name} ({source})",
                (*taints, *flags),
                is_gpu=all(map(is_gpu_size, sizes)) if sizes else None,
                max_key_length=limit if taints else None,
            )


def _bootstrap_flags(script: str) -> tuple[Taint, ...]:
    words = script.replace('"', " ").replace("'", " ").split()
    flag = "--register-with-taints="
    texts = (word.removeprefix(flag) for word in words if word.startswith(flag))
    return taint_texts(one for text in texts for one in text.split(","))


def kubelet(raw: Json, source: str) -> Pool:
    """Return what a KubeletConfiguration registers its node with."""
    taints = taints_of(raw.get("registerWithTaints"))
    return Pool(Place.BARE, "", f"KubeletConfiguration ({source})", taints)


def kubeadm(raw: Json, source: str) -> Pool:
    """Return what kubeadm's JoinConfiguration or InitConfiguration registers its node with."""
    registration = pods.mapping(raw.get("nodeRegistration"))
    kind = pods.text(raw.get("kind"))
    return Pool(Place.BARE, "", f"{kind} ({source})", taints_of(registration.get("taints")))


def node_config(raw: Json, source: str) -> Pool:
    """Return what EKS' NodeConfig (nodeadm) starts the kubelet with."""
    flags = pods.texts(pods.mapping(pods.spec(raw).get("kubelet")).get("flags"))
    config = pods.mapping(pods.mapping(pods.spec(raw).get("kubelet")).get("config"))
    taints = (*_bootstrap_flags(" ".join(flags)), *taints_of(config.get("registerWithTaints")))
    return Pool(Place.EKS, "", f"NodeConfig ({source})", taints)


def printed(tree: object, source: str) -> Iterator[Pool]:
    """Yield the pools of a cloud command's JSON; none where it is something else."""
    if isinstance(tree, dict) and isinstance(tree.get("nodegroup"), dict):
        tree = tree["nodegroup"]
    for one in [tree] if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        if isinstance(one, dict) and (pool := _printed(one, source)):
            yield pool


def _printed(one: Json, source: str) -> Pool | None:
    if "nodegroupName" in one:
        return _of_aws(one, source)
    if not pods.text(one.get("name")):
        return None
    if "vmSize" in one and "osType" in one:
        return _of_az(one, source)
    if isinstance(one.get("config"), dict) and "machineType" in one["config"]:
        return _of_gcloud(one, source)
    if "size" in one and "taints" in one and ("auto_scale" in one or "nodes" in one):
        return _of_doctl(one, source)
    return None


def _of_aws(one: Json, source: str) -> Pool:
    name, sizes = pods.text(one.get("nodegroupName")), pods.texts(one.get("instanceTypes"))
    return Pool(
        Place.EKS,
        name,
        f"node group {name} ({source})",
        taints_of(one.get("taints")),
        is_gpu=all(map(is_gpu_size, sizes)) if sizes else None,
        max_key_length=EKS_KEY_LENGTH,
    )


def _of_az(one: Json, source: str) -> Pool:
    name = pods.text(one.get("name"))
    return Pool(
        Place.AKS,
        name,
        f"node pool {name} ({source})",
        taint_texts(pods.texts(one.get("nodeTaints"))),
        taint_texts(pods.texts(one.get("nodeInitializationTaints"))),
        is_gpu_size(pods.text(one.get("vmSize"))),
    )


def _of_gcloud(one: Json, source: str) -> Pool:
    name, config = pods.text(one.get("name")), pods.mapping(one.get("config"))
    has_gpu = bool(config.get("accelerators"))
    is_gpu = has_gpu or is_gpu_size(pods.text(config.get("machineType")))
    taints = taints_of(config.get("taints"))
    return Pool(Place.GKE, name, f"node pool {name} ({source})", taints, is_gpu=is_gpu)


def _of_doctl(one: Json, source: str) -> Pool:
    name = pods.text(one.get("name"))
    is_gpu = is_gpu_size(pods.text(one.get("size")))
    taints = taints_of(one.get("taints"))
    return Pool(Place.DOKS, name, f"node pool {name} ({source})", taints, is_gpu=is_gpu)
