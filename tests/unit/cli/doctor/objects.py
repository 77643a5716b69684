"""Objects of a cluster for the doctor's tests, as the API server gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

from cli.doctor.assemble import facts_of
from cli.doctor.diagnose import diagnose
from cli.doctor.finding import Finding, Severity
from cli.doctor.of_policies import HOOK_KINDS
from common import names

Json = dict[str, Any]
NOW = 1795262400.0
"""2026-11-21T12:00:00Z."""
READ = frozenset(
    {"Node", "DaemonSet", "Deployment", "Pod", "EndpointSlice", "NodePool", *HOOK_KINDS}
)
GPU = "nvidia.com/gpu"
KEY = names.STARTUP_TAINT
DO_KEY = "node.digitalocean.com/network-not-tuned"
GPU_TOLERATION = {"key": GPU, "operator": "Exists", "effect": "NoSchedule"}
EVERYTHING = {"operator": "Exists"}
PROVIDERS = {
    "doks": "digitalocean://123",
    "eks": "aws:///us-east-1a/i-0abc",
    "gke": "gce://project/zone/name",
    "aks": "azure:///subscriptions/x",
    "bare": "",
}


def taint(key: str = KEY, effect: str = "NoSchedule") -> Json:
    """Return a taint."""
    return {"key": key, "effect": effect}


def node(  # noqa: PLR0913 - a Node has many sides, and a test wants one of them
    name: str = "gpu-1",
    *,
    cloud: str = "bare",
    taints: Sequence[Json] = (),
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    created: str = "2026-11-21T11:58:00Z",
    is_gpu: bool = True,
    condition: tuple[str, str, str] | None = None,
) -> Json:
    """Return a Node with a GPU, two minutes old; ``condition``: status, reason, message of ours."""
    outcome = {"True": "tuned", "False": "failed"}
    conditions = [{"type": "Ready", "status": "True"}]
    own: dict[str, str] = {}
    if condition:
        status, reason, message = condition
        conditions.append(
            {"type": names.CONDITION, "status": status, "reason": reason, "message": message}
        )
        own = {names.LABEL_NETWORK: outcome[status]} if status in outcome else {}
    return {
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/os": "linux", **own, **(labels or {})},
            "annotations": dict(annotations or {}),
            "creationTimestamp": created,
        },
        "spec": {"providerID": PROVIDERS[cloud], "taints": list(taints)},
        "status": {"capacity": {GPU: "8"} if is_gpu else {}, "conditions": conditions},
    }


def daemon_set(  # noqa: PLR0913 - as above
    name: str,
    *tolerations: Json,
    namespace: str = "gpu",
    image: str = "registry/x:v1",
    labels: Mapping[str, str] | None = None,
    selector: Mapping[str, str] | None = None,
    affinity: Sequence[Json] = (),
    owner: str = "",
    status: tuple[int, int] = (1, 1),
    volumes: Sequence[Json] = (),
) -> Json:
    """Return a DaemonSet; ``status``: wanted and ready pods; ``affinity``: match expressions."""
    spec: Json = {
        "containers": [{"name": "c", "image": image}],
        "tolerations": list(tolerations),
        "nodeSelector": dict(selector or {}),
        "volumes": list(volumes),
    }
    if affinity:
        terms = [{"matchExpressions": [one]} for one in affinity]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        spec["affinity"] = {"nodeAffinity": required}
    return {
        "kind": "DaemonSet",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": dict(labels or {}),
            "ownerReferences": [{"kind": owner, "name": "o"}] if owner else [],
        },
        "spec": {"template": {"metadata": {}, "spec": spec}},
        "status": {"desiredNumberScheduled": status[0], "numberReady": status[1]},
    }


def agent(*tolerations: Json, version: str = "0.1.0", **more: Any) -> Json:  # noqa: ANN401 - as daemon_set
    """Return the agent's DaemonSet as the chart has it."""
    given = {"namespace": "tunegate", "image": f"ghcr.io/x/tunegate-agent:{version}", **more}
    return daemon_set("tunegate-agent", *(tolerations or (EVERYTHING,)), **given)


def webhook(*, version: str = "0.1.0", replicas: int = 2, ready: int = 2) -> Json:
    """Return the webhook's Deployment as the chart has it."""
    container = {"name": "w", "image": f"ghcr.io/x/tunegate-webhook:{version}"}
    return {
        "kind": "Deployment",
        "metadata": {"name": "tunegate-webhook", "namespace": "tunegate"},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [container]}}},
        "status": {"readyReplicas": ready},
    }


def autoscaler(version: str = "v1.36.1", *arguments: str) -> Json:
    """Return a cluster-autoscaler's Deployment."""
    image = f"registry.k8s.io/autoscaling/cluster-autoscaler:{version}"
    container = {"name": "ca", "image": image, "command": ["./cluster-autoscaler", *arguments]}
    return {
        "kind": "Deployment",
        "metadata": {"name": "cluster-autoscaler", "namespace": "kube-system"},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [container]}}},
    }


def node_pool(
    name: str = "gpu", *, startup: Sequence[Json] = (), taints: Sequence[Json] = ()
) -> Json:
    """Return a NodePool of Karpenter's that makes GPU nodes."""
    category = {
        "key": "karpenter.k8s.aws/instance-category",
        "operator": "In",
        "values": ["p", "g"],
    }
    spec = {"requirements": [category], "taints": list(taints), "startupTaints": list(startup)}
    return {
        "kind": "NodePool",
        "metadata": {"name": name},
        "spec": {"template": {"metadata": {}, "spec": spec}},
    }


def hook(*, bundle: str = "QUJD", policy: str = "Ignore") -> Json:
    """Return our MutatingWebhookConfiguration."""
    service = {"namespace": "tunegate", "name": "tunegate-webhook"}
    one = {
        "name": "pods.tunegate.io",
        "failurePolicy": policy,
        "clientConfig": {"service": service, "caBundle": bundle},
    }
    return {
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "tunegate-webhook"},
        "webhooks": [one],
    }


def endpoint_slice(*, is_ready: bool = True) -> Json:
    """Return the webhook's EndpointSlice with one endpoint."""
    return {
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": "tunegate",
            "labels": {"kubernetes.io/service-name": "tunegate-webhook"},
        },
        "endpoints": [{"conditions": {"ready": is_ready}}],
    }


def vllm_pod(*tolerations: Json, name: str = "llama-0", owner: str = "llama") -> Json:
    """Return a vLLM pod of a ReplicaSet."""
    container = {
        "name": "vllm",
        "image": "vllm/vllm-openai:v0.12.0",
        "args": ["--model", "/models/weights"],
        "resources": {"limits": {GPU: "1"}},
    }
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "ml",
            "ownerReferences": [{"kind": "ReplicaSet", "name": owner}],
        },
        "spec": {"containers": [container], "tolerations": list(tolerations)},
    }


def findings(*objects: Json, **more: Any) -> tuple[Finding, ...]:  # noqa: ANN401 - as facts_of
    """Return what the doctor says of a cluster that holds just these objects, all of it read."""
    by_kind: dict[str, list[Json]] = {}
    for one in objects:
        by_kind.setdefault(one["kind"], []).append(one)
    given = {"now_seconds": NOW, "read": READ, **more}
    return diagnose(facts_of(by_kind, **given)).findings


def problems(*objects: Json, **more: Any) -> list[str]:  # noqa: ANN401 - as above
    """Return the names of the problems, but that tunegate itself is not among the objects."""
    found = findings(*objects, **more)
    named = [one.name for one in found if one.severity is Severity.PROBLEM]
    return [name for name in named if name != "NotInstalled"]


def said(name: str, *objects: Json, **more: Any) -> Finding:  # noqa: ANN401 - as above
    """Return the one finding of this name."""
    (one,) = [one for one in findings(*objects, **more) if one.name == name]
    return one
