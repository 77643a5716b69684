"""Build the Kubernetes objects of the lab: a GPU node, a vLLM pod, the agent's identity."""

from collections.abc import Collection, Mapping, Sequence

from common import names
from tests.lab.api import Object

AGENT_NAMESPACE = "tunegate"
AGENT_NAME = "tunegate-agent"
AGENT_USER = f"system:serviceaccount:{AGENT_NAMESPACE}:{AGENT_NAME}"

KWOK_ANNOTATION = "kwok.x-k8s.io/node"
GPU = "nvidia.com/gpu"
GATE: Mapping[str, str] = {"key": names.STARTUP_TAINT, "effect": names.TAINT_EFFECT}

Rule = tuple[str, str]
"""One permission as (resource, verb); a subresource is written `nodes/status`."""

CLUSTER_RULES: Sequence[Rule] = (
    ("nodes", "get"),
    ("nodes", "list"),
    ("nodes", "watch"),
    ("nodes", "patch"),
    ("nodes/status", "patch"),
)
EVENT_RULES: Sequence[Rule] = (("events", "create"), ("events", "patch"))


def gpu_node(
    name: str, address: str | None = None, taints: Sequence[Mapping[str, str]] = (GATE,)
) -> Object:
    """Return a Node with one GPU that kwok keeps Ready, closed by the gate taint."""
    capacity = {"cpu": "16", "memory": "128Gi", "pods": "110", GPU: "1"}
    addresses = [{"type": "Hostname", "address": name}]
    if address is not None:
        addresses.insert(0, {"type": "InternalIP", "address": address})
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {KWOK_ANNOTATION: "fake"},
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": "gpu-lab",
            },
        },
        "spec": {"taints": [dict(taint) for taint in taints]},
        "status": {"capacity": capacity, "allocatable": dict(capacity), "addresses": addresses},
    }


def vllm_pod(name: str, namespace: str = "default") -> Object:
    """Return a vLLM pod that asks for one GPU and does not tolerate the gate."""
    container = {
        "name": "vllm",
        "image": "vllm/vllm-openai:v0.12.0",
        "args": ["--model", "/models/weights"],
        "ports": [{"containerPort": 8000}],
        "resources": {"limits": {GPU: "1"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "vllm"}},
        "spec": {
            "containers": [container],
            "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
        },
    }


def nfs_volume(name: str, server: str, annotations: Mapping[str, str] | None = None) -> Object:
    """Return an NFS PersistentVolume, which many pods may read."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": dict(annotations or {})},
        "spec": {
            "capacity": {"storage": "1Ti"},
            "accessModes": ["ReadOnlyMany"],
            "nfs": {"server": server, "path": "/models"},
        },
    }


def agent_pod(node: str) -> Object:
    """Return the agent's own pod on a node: what its token is bound to."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{AGENT_NAME}-{node}", "namespace": AGENT_NAMESPACE},
        "spec": {
            "nodeName": node,
            "serviceAccountName": AGENT_NAME,
            "hostNetwork": True,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "agent", "image": "tunegate:lab"}],
        },
    }


def agent_identity(without: Collection[Rule] = ()) -> list[Object]:
    """Return namespace, service account, roles and bindings of the agent.

    :param without: permissions to leave out, to see what a refusal looks like.
    """
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": AGENT_NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": AGENT_NAME, "namespace": AGENT_NAMESPACE},
        },
        cluster_role(without),
        event_role(without),
        _binding("ClusterRole", None),
        _binding("Role", "default"),
    ]


def cluster_role(without: Collection[Rule] = ()) -> Object:
    """Return the agent's ClusterRole: its Node and the Node's status."""
    return _role("ClusterRole", None, [rule for rule in CLUSTER_RULES if rule not in without])


def event_role(without: Collection[Rule] = ()) -> Object:
    """Return the agent's Role in `default`, where events about nodes go."""
    return _role("Role", "default", [rule for rule in EVENT_RULES if rule not in without])


def _role(kind: str, namespace: str | None, rules: Sequence[Rule]) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": _metadata(namespace),
        "rules": [
            {"apiGroups": [""], "resources": [what], "verbs": [verb]} for what, verb in rules
        ],
    }


def _binding(role_kind: str, namespace: str | None) -> Object:
    subject = {"kind": "ServiceAccount", "name": AGENT_NAME, "namespace": AGENT_NAMESPACE}
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": f"{role_kind}Binding",
        "metadata": _metadata(namespace),
        "roleRef": {"apiGroup": group, "kind": role_kind, "name": AGENT_NAME},
        "subjects": [subject],
    }


def _metadata(namespace: str | None) -> Object:
    return {"name": AGENT_NAME} | ({"namespace": namespace} if namespace else {})
