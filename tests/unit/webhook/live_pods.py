"""vLLM pods as the API server stores them, at the stages of their life."""

from collections.abc import Mapping
from typing import Any

from common import names
from webhook.decisions import Json

EPOCH = 1_767_225_600
"""2026-01-01T00:00:00Z."""


def moment(seconds: int) -> str:
    """Return the time so many seconds after EPOCH (within its first day), as conditions have it."""
    return f"2026-01-01T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"


def live_pod(  # noqa: PLR0913 - a pod has many sides
    name: str = "llama-7d9f-x1",
    *,
    args: tuple[str, ...] = ("--model", "/models/llama"),
    image: str = "vllm/vllm-openai:v0.12.0",
    record: str = "",
    scheduled: int | None = 10,
    ready: int | None = None,
    labels: Mapping[str, str] | None = None,
    owner: Json | None = None,
    phase: str = "Running",
    uid: str = "",
) -> Json:
    """Return a pod that was created without the webhook, unless a record is given."""
    metadata: dict[str, Any] = {"name": name, "namespace": "ml", "uid": uid or f"uid-{name}"}
    metadata["labels"] = dict(labels or {})
    if record:
        metadata["annotations"] = {names.POD_ANNOTATION_INJECTED: record}
    if owner:
        metadata["ownerReferences"] = [owner]
    container = {
        "name": "vllm",
        "image": image,
        "args": list(args),
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }
    conditions = [
        {"type": "PodScheduled", **_condition(scheduled)},
        {"type": "Ready", **_condition(ready)},
    ]
    return {
        "metadata": metadata,
        "spec": {
            "containers": [container],
            "nodeName": "gpu-1" if scheduled is not None else "",
            "terminationGracePeriodSeconds": 30,
        },
        "status": {"phase": phase, "conditions": conditions},
    }


def other_pod(name: str = "web") -> Json:
    """Return a pod that has nothing to do with vLLM."""
    made = live_pod(name)
    made["spec"]["containers"] = [{"name": "web", "image": "nginx:1"}]
    return made


def _condition(since: int | None) -> Json:
    if since is None:
        return {"status": "False", "lastTransitionTime": moment(0)}
    return {"status": "True", "lastTransitionTime": moment(since)}


def replica_set(name: str = "llama-7d9f", uid: str = "rs-1") -> Json:
    """Return an owner reference to a ReplicaSet."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": name,
        "uid": uid,
        "controller": True,
    }
