"""
Find the pods inside a workload of any kind, each as the API server will see it. Pure.

A pod template is looked for by its shape, a `spec` with a list of `containers`, so kinds that
nobody has heard of are read, too. A kind stands in a table here only where its controller adds
what the webhook judges by: owners, labels, names of containers.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from webhook.decisions import Json
from webhook.pods import mapping, text

DEFAULT_GRACE_SECONDS: Final = 30
"""What the API server sets before it asks webhooks: core/v1 PodSpec."""
MAX_TEMPLATES: Final = 1000
MAX_LOOKED_AT: Final = 20_000
"""Templates that are given, and lists and objects that are looked into, of one workload."""

_OWNERS: Final[Mapping[str, tuple[str, str]]] = {
    "Deployment": ("apps/v1", "ReplicaSet"),
    "Rollout": ("apps/v1", "ReplicaSet"),
    "InferenceService": ("apps/v1", "ReplicaSet"),
    "LeaderWorkerSet": ("apps/v1", "StatefulSet"),
    "CronJob": ("batch/v1", "Job"),
    "JobSet": ("batch/v1", "Job"),
    "RayService": ("ray.io/v1", "RayCluster"),
    "RayJob": ("ray.io/v1", "RayCluster"),
}
"""What owns the pods, by the workload's kind, where it is not the workload itself."""
_BLIND: Final = frozenset({"status", "managedFields", "annotations", "labels", "data"})
"""Keys below which no template is looked for."""

_WORKER_INDEX: Final = "leaderworkerset.sigs.k8s.io/worker-index"
_LWS_NAME: Final = "leaderworkerset.sigs.k8s.io/name"
_RAY_TYPE: Final = "ray.io/node-type"
_ISVC: Final = "serving.kserve.io/inferenceservice"

_Labels = dict[str, str]


@dataclass(frozen=True, slots=True)
class Template:
    """
    One pod that a workload makes.

    Attributes:
        name: the workload's name, "" when it has only a generateName or none.
        kind: the workload's kind.
        path: where the template stands in the workload, e.g. `spec.template`; "" for a Pod.
        pod: the pod as the API server sees it once the controller has made it.
        workload: the whole object that holds it.
    """

    name: str
    kind: str
    path: str
    pod: Json
    workload: Json

    @property
    def namespace(self) -> str:
        """The namespace that the manifest names, else ""."""
        return text(mapping(self.workload.get("metadata")).get("namespace"))


def templates(document: Any) -> tuple[Template, ...]:  # noqa: ANN401 - whatever was decoded
    """Return the pods of a workload, or of every workload in a list; () for anything else."""
    return tuple(
        one
        for workload in workloads(document)
        for one in islice(_templates(workload), MAX_TEMPLATES)
    )


def workloads(document: Any) -> Iterator[Json]:  # noqa: ANN401 - whatever was decoded
    """Yield the objects of a document: itself, or the items of a `List`, `PodList` and so on."""
    top = mapping(document)
    kind = text(top.get("kind"))
    items = top.get("items")
    if not (kind.endswith("List") and isinstance(items, list)):
        if top:
            yield top
        return
    implied = {"kind": kind.removesuffix("List"), "apiVersion": top.get("apiVersion", "")}
    for item in items:
        if isinstance(item, dict):
            yield item if kind == "List" or item.get("kind") else {**implied, **item}


def _templates(workload: Json) -> Iterator[Template]:
    kind = text(workload.get("kind"))
    for path, raw in _SHAPES.get(kind, _by_shape)(workload):
        for labels in _POD_SORTS.get(kind, _one_sort)(workload, path):
            name = text(mapping(workload.get("metadata")).get("name"))
            yield Template(name, kind, path, _pod(workload, path, raw, labels), workload)


def _by_shape(workload: Json) -> Iterator[tuple[str, Json]]:
    """Yield each pod template below an object with its path, in the order of the manifest."""
    if _is_pod_spec(workload.get("spec")):
        yield "", workload
    yield from _below(workload, "")


def _below(tree: Any, path: str) -> Iterator[tuple[str, Json]]:  # noqa: ANN401
    """Yield the templates below an object; a stack of its own, for trees of any depth and size."""
    waiting = [(path, tree, "")]
    for _ in range(MAX_LOOKED_AT):
        if not waiting:
            return
        path, value, key = waiting.pop()
        is_own = path == "spec" and _is_pod_spec(value)
        if key in _BLIND or is_own:
            continue
        if isinstance(value, dict) and _is_pod_spec(value.get("spec")) and key:
            yield path, value
        elif _is_pod_spec(value):
            yield path, {"spec": value}
        else:
            waiting += reversed(list(_inside(path, value)))


def _inside(path: str, value: Any) -> Iterator[tuple[str, Any, str]]:  # noqa: ANN401
    """Yield what stands in a list or an object and can hold more, with its path and key."""
    named = value.items() if isinstance(value, dict) else ()
    listed = enumerate(value) if isinstance(value, list) else ()
    yield from (
        (f"{path}.{key}" if path else str(key), item, str(key))
        for key, item in named
        if isinstance(item, dict | list)
    )
    yield from (
        (f"{path}[{at}]", item, "-") for at, item in listed if isinstance(item, dict | list)
    )


def _is_pod_spec(value: Any) -> bool:  # noqa: ANN401 - whatever was decoded
    containers = mapping(value).get("containers")
    return isinstance(containers, list) and any(
        isinstance(one, dict) and ("name" in one or "image" in one) for one in containers
    )


def _inference_service(workload: Json) -> Iterator[tuple[str, Json]]:
    """Yield the predictor of KServe, whose `model` becomes `kserve-container`, and the others."""
    spec = mapping(workload.get("spec"))
    predictor = mapping(spec.get("predictor"))
    model = mapping(predictor.get("model"))
    if model and not _is_pod_spec(predictor):
        own = {key: value for key, value in model.items() if key not in _OF_THE_MODEL}
        made = {"containers": [{"name": "kserve-container", **own}]}
        yield "spec.predictor", _with_metadata(workload, made, predictor)
    for path, raw in _below(spec, "spec"):
        is_predictor = path == "spec.predictor"
        yield path, _with_metadata(workload, {}, predictor) if is_predictor else raw


def _with_metadata(workload: Json, spec: Json, predictor: Json) -> Json:
    """Return a pod template with the labels and annotations that KServe hands down."""
    above = mapping(workload.get("metadata"))
    handed = {
        key: {**mapping(above.get(key)), **mapping(predictor.get(key))}
        for key in ("labels", "annotations")
    }
    handed["labels"][_ISVC] = text(above.get("name"))
    of_the_pod = {key: value for key, value in predictor.items() if key not in _OF_THE_PREDICTOR}
    return {
        "metadata": {key: value for key, value in handed.items() if value},
        "spec": {**of_the_pod, **spec},
    }


_OF_THE_MODEL: Final = frozenset(
    {"modelFormat", "runtime", "storage", "storageUri", "protocolVersion", "runtimeVersion"}
)
_OF_THE_PREDICTOR: Final = frozenset(
    {
        *("model", "workerSpec", "labels", "annotations", "minReplicas", "maxReplicas", "timeout"),
        *("scaleTarget", "scaleMetric", "scaleMetricType", "containerConcurrency", "autoScaling"),
        *("canaryTrafficPercent", "deploymentStrategy", "logger", "batcher", "storageUris"),
    }
)
"""
What stands among a pod's fields and is none of them.

Source: kserve pkg/apis/serving/v1beta1, ComponentExtensionSpec and PredictorExtensionSpec.
"""
_SHAPES: Final[Mapping[str, Callable[[Json], Iterator[tuple[str, Json]]]]] = {
    "InferenceService": _inference_service,
}


def _one_sort(_: Json, __: str) -> Iterator[_Labels]:
    yield {}


def _leader_worker(workload: Json, path: str) -> Iterator[_Labels]:
    """
    Yield the labels of the leader's and the workers' pods.

    A worker template alone is the leader's, too. Source: lws.sigs.k8s.io, LeaderWorkerTemplate.
    """
    template = mapping(mapping(workload.get("spec")).get("leaderWorkerTemplate"))
    name = {_LWS_NAME: text(mapping(workload.get("metadata")).get("name"))}
    is_shared = "leaderTemplate" not in template
    if is_shared or path.endswith("leaderTemplate"):
        yield {**name, _WORKER_INDEX: "0"}
    has_workers = template.get("size", 1) != 1
    if path.endswith("workerTemplate") and (has_workers or not is_shared):
        yield {**name, _WORKER_INDEX: "1"}


def _llm_inference_service(_: Json, path: str) -> Iterator[_Labels]:
    """Yield a worker index for the `worker` pod of KServe's groups, which are LeaderWorkerSets."""
    yield {_WORKER_INDEX: "1"} if path.endswith("worker") else {}


def _ray(_: Json, path: str) -> Iterator[_Labels]:
    yield {_RAY_TYPE: "head" if "headGroupSpec" in path else "worker"}


_POD_SORTS: Final[Mapping[str, Callable[[Json, str], Iterator[_Labels]]]] = {
    "LeaderWorkerSet": _leader_worker,
    "LLMInferenceService": _llm_inference_service,
    "RayCluster": _ray,
    "RayService": _ray,
    "RayJob": _ray,
}
"""Labels that the controller puts on the pods of a template, once for each sort of pod."""


def _pod(workload: Json, path: str, raw: Json, labels: _Labels) -> Json:
    """Return the pod that is made of a template; nothing of the workload is shared or changed."""
    spec = dict(raw["spec"])
    spec.setdefault("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
    if path == "" and text(workload.get("kind")) == "Pod":
        return {**workload, "spec": spec}
    metadata = dict(mapping(raw.get("metadata")))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _owned(workload, metadata, labels),
        "spec": spec,
    }


def _owned(workload: Json, metadata: Json, labels: _Labels) -> Json:
    above = mapping(workload.get("metadata"))
    name = text(above.get("name")) or text(above.get("generateName")).rstrip("-")
    metadata.pop("name", None)
    metadata["generateName"] = f"{name}-"
    if above.get("namespace"):
        metadata["namespace"] = above["namespace"]
    if labels:
        metadata["labels"] = {**mapping(metadata.get("labels")), **labels}
    kind = text(workload.get("kind"))
    version, owner = _OWNERS.get(kind, (text(workload.get("apiVersion")), kind))
    owned = {"apiVersion": version, "kind": owner, "name": name, "uid": "", "controller": True}
    metadata["ownerReferences"] = [owned]
    return metadata
