"""A Deployment that is right in every way, and how to make one that is not."""

from typing import Any

Tree = dict[str, Any]
HEALTH = {"path": "/health", "port": 8000}


def container(**changed: Any) -> Tree:  # noqa: ANN401 - any tree
    """Return a vLLM container of which nobody could say anything; None takes a field away."""
    right: Tree = {
        "name": "vllm",
        "image": "vllm/vllm-openai:v0.33.0",
        "args": ["--model", "/models/llama-70b", "--tensor-parallel-size=4"],
        "ports": [{"name": "http", "containerPort": 8000}],
        "resources": {"limits": {"nvidia.com/gpu": 4, "memory": "200Gi"}},
        "readinessProbe": {"httpGet": HEALTH, "periodSeconds": 5},
        "livenessProbe": {"httpGet": HEALTH, "timeoutSeconds": 5},
        "volumeMounts": [{"name": "models", "mountPath": "/models", "readOnly": True}],
    }
    return {key: value for key, value in {**right, **changed}.items() if value is not None}


def deployment(
    *containers: Tree,
    spec: Tree | None = None,
    volumes: list[Tree] | None = None,
    off: str = "",
    **pod: Any,  # noqa: ANN401 - any tree
) -> Tree:
    """
    Return a Deployment.

    Args:
        containers: as `container` makes them, a right one by default.
        spec: fields of the Deployment's spec beside the template.
        volumes: volumes beside the one with the models.
        off: features that are switched off by the pod's annotation.
        pod: fields of the pod's spec.
    """
    models = {"name": "models", "persistentVolumeClaim": {"claimName": "models"}}
    rolling = {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "llama"},
        "spec": {
            "replicas": 2,
            "strategy": rolling,
            **(spec or {}),
            "template": {
                "metadata": {"annotations": {"tunegate.io/disable": off} if off else {}},
                "spec": {
                    "containers": list(containers or [container()]),
                    "volumes": [models, *(volumes or [])],
                    **pod,
                },
            },
        },
    }


def args(*added: str, model: str = "/models/llama-70b") -> list[str]:
    """Return the right container's arguments and these."""
    return ["--model", model, "--tensor-parallel-size=4", *added]


def hook(command: str) -> Tree:
    """Return a lifecycle with a preStop of one shell line."""
    return {"preStop": {"exec": {"command": ["sh", "-c", command]}}}


def volume(name: str, path: str, **source: Any) -> tuple[Tree, Tree]:  # noqa: ANN401 - any tree
    """Return a mount and its volume."""
    return {"name": name, "mountPath": path}, {"name": name, **source}


MODELS = {"name": "models", "mountPath": "/models", "readOnly": True}
SHM, SHM_DISK = volume("shm", "/dev/shm", emptyDir={})
SHM_MEMORY = {"name": "shm", "emptyDir": {"medium": "Memory"}}
SHM_LARGE = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "300Gi"}}
TMP, TMP_VOLUME = volume("tmp", "/tmp", emptyDir={})
CACHE, CACHE_CLAIM = volume("cache", "/cache", persistentVolumeClaim={"claimName": "cache"})
NFS = {"server": "10.0.0.9", "path": "/models"}
GPU_TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists"}
READ_ONLY_ROOT = {"readOnlyRootFilesystem": True}
GATE = "startup-taint.cluster-autoscaler.kubernetes.io/network-not-tuned"
HUB = "meta-llama/Llama-3.3-70B-Instruct"
TOKEN = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token"}}}
HOME_CACHE = {"name": "HF_HOME", "value": "/cache"}
GREP = "until [ $(curl -s localhost:8000/metrics | grep {} | awk '{{s+=$2}} END{{print s}}') = 0 ]"
PREFIX = hook(GREP.format("'^vllm:num_requests_waiting'"))
SLEEP = hook("sleep 5")
DP = ["--model", "/models/llama-70b", "-tp", "2", "--data-parallel-size", "2"]
READY = {"name": "VLLM_ENGINE_READY_TIMEOUT_S", "value": "1800"}


def probe(**fields: int | str) -> Tree:
    """Return a probe of /health."""
    return {"httpGet": HEALTH, "timeoutSeconds": 5, **fields}


def gpus(number: int) -> Tree:
    """Return resources with this many GPUs."""
    return {"limits": {"nvidia.com/gpu": number, "memory": "200Gi"}}


def one(off: str = "", **changed: object) -> Tree:
    """Return a Deployment of one changed container."""
    return deployment(container(**changed), off=off)


def mounted(mounts: list[Tree], volumes: list[Tree], **changed: object) -> Tree:
    """Return a Deployment with more volumes."""
    return deployment(container(volumeMounts=[MODELS, *mounts], **changed), volumes=volumes)


def surge(kind: str = "Deployment", replicas: int = 2, **rolling: object) -> Tree:
    """Return a Deployment, or a group, with its own rolling update."""
    made = deployment(spec={"replicas": replicas, "strategy": {"rollingUpdate": rolling}})
    return {**made, "kind": kind}


def tolerating(*tolerations: Tree) -> Tree:
    """Return a Deployment with these tolerations."""
    return deployment(tolerations=list(tolerations))


def claimed(**spec: object) -> Tree:
    """Return a Deployment on the claim `single`."""
    mount, made = volume("w", "/w", persistentVolumeClaim={"claimName": "single"})
    return deployment(container(volumeMounts=[MODELS, mount]), volumes=[made], spec=dict(spec))
