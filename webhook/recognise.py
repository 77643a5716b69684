"""
Whether a pod serves vLLM, where, and by which rule: the one question before all others.

The rules are rows of `webhook.rules`; which of them holds is decided here and in
`webhook.containers`.
"""

from dataclasses import replace
from typing import Final

from common.names import POD_LABEL_INJECT
from webhook import pods
from webhook.containers import Judged, Weight, hints, judge, probed
from webhook.decisions import Json
from webhook.images import Role, image_of
from webhook.pods import Placed
from webhook.recognition import Arguments, Recognition, Server
from webhook.rules import BY_NAME

OWNERS_THAT_END: Final = frozenset(
    {
        *("Job", "CronJob", "Workflow", "TaskRun", "PipelineRun"),
        *("PyTorchJob", "MPIJob", "TrainJob", "RayJob"),
    }
)
"""Kinds whose pods run to their end; a JobSet's pods belong to its Jobs."""
JOB_LABELS: Final = ("batch.kubernetes.io/job-name", "job-name")
"""https://kubernetes.io/docs/reference/labels-annotations-taints/#batch-kubernetes-io-job-name"""
MAX_CONTAINERS: Final = 50
"""More than any vLLM pod has; each may hold a script, and all other reviews wait meanwhile."""
_PLACES: Final = (pods.CONTAINERS, pods.INIT_CONTAINERS)
VLLM_LABELS: Final = (
    ("app", "vllm"),
    ("app.kubernetes.io/name", "vllm"),
    ("model.aibrix.ai/engine", "vllm"),
    ("llm-d.ai/inference-serving", "true"),
)
"""Labels that charts give to their vLLM pods."""
NO_HTTP_EVEN_IF_ASKED: Final = frozenset(
    {"headless", "worker-rank", "rank-unknown", "role-at-runtime", "ray-worker", "uds", "grpc"}
)


def recognise(pod: Json, *, opted_in: bool = False) -> Recognition:
    """
    Return what a raw pod is; any JSON tree will do.

    The pod's own label `tunegate.io/inject` counts by itself: `disabled` leaves it alone, `enabled`
    makes a server of what cannot be recognised. A namespace's label says nothing about what a pod
    is: do not pass it here.

    Args:
        opted_in: treat the pod as if it had the label `enabled`.
    """
    wish = pods.labels(pod).get(POD_LABEL_INJECT)
    asked = opted_in or wish == "enabled"
    rule = _pod_rule(pod, wish)
    if rule and (BY_NAME[rule].even_opted_in or not asked):
        return _verdict(rule)
    judged = [(found, judge(found, pod)) for found in pods.running(pod)]
    servers = tuple(each.server for _, each in judged if each.serves and each.server)
    if servers:
        return _serves(servers)
    if asked and judged:
        return _serves((_asked_for(judged),))
    return _left(judged, pod)


def _pod_rule(pod: Json, wish: str | None) -> str:
    """Return the rule that speaks of the pod as a whole, or ""."""
    if wish == "disabled":
        return "opted-out"
    if pods.MIRROR in pods.mapping(pods.metadata(pod).get("annotations")):
        return "mirror"
    if _is_windows(pod):
        return "windows"
    if sum(len(pods.sequence(pods.spec(pod).get(place))) for place in _PLACES) > MAX_CONTAINERS:
        return "too-many-containers"
    return "job" if _is_job(pod) else ""


def _is_windows(pod: Json) -> bool:
    """Return whether a pod asks for a Windows node."""
    system = pods.mapping(pods.spec(pod).get("os")).get("name")
    chosen = pods.mapping(pods.spec(pod).get("nodeSelector")).get("kubernetes.io/os")
    return "windows" in (system, chosen)


def _is_job(pod: Json) -> bool:
    """Return whether a pod runs to its end for an owner that waits for that."""
    if pods.text(pods.spec(pod).get("restartPolicy")) not in {"OnFailure", "Never"}:
        return False
    owners = pods.objects(pods.metadata(pod).get("ownerReferences"))
    named = any(label in pods.labels(pod) for label in JOB_LABELS)
    return named or any(pods.text(owner.get("kind")) in OWNERS_THAT_END for owner in owners)


def _verdict(rule: str, container: str = "") -> Recognition:
    """Return a verdict with the sentence of its rule."""
    row = BY_NAME[rule]
    subject = "the pod" if row.whole_pod or not container else f"container {container}"
    return Recognition(row.verdict, rule, f"{subject} {row.sentence}")


def _serves(servers: tuple[Server, ...]) -> Recognition:
    """Return the verdict on a pod that serves."""
    found = _verdict(servers[0].rule, servers[0].container)
    others = ", ".join(server.container for server in servers[1:])
    reason = f"{found.reason}; so does {others}" if others else found.reason
    return replace(found, reason=reason, servers=servers)


def _left(judged: list[tuple[Placed, Judged]], pod: Json) -> Recognition:
    """Return why a pod without a server is left alone: by the heaviest reason, the first of it."""
    reasons = [(found, each) for found, each in judged if each.rule]
    if reasons:
        found, heaviest = max(reasons, key=lambda each: each[1].weight)
        return _verdict(heaviest.rule, found.name)
    if judged and _is_labelled(pod):
        return _verdict("unknown-command", judged[0][0].name)
    if any(_carries(found) for found in pods.placed(pod, pods.INIT_CONTAINERS)):
        return _verdict("init-only")
    return _verdict("no-hint")


def _is_labelled(pod: Json) -> bool:
    """Return whether a pod's labels say that it serves vLLM."""
    labels = pods.labels(pod)
    return any(labels.get(name, "").lower() == value for name, value in VLLM_LABELS)


def _carries(found: Placed) -> bool:
    """Return whether an init container has to do with vLLM."""
    return image_of(pods.text(found.raw.get("image"))).role is Role.SERVES or hints(found.raw)


def _asked_for(judged: list[tuple[Placed, Judged]]) -> Server:
    """Return the server of a pod that is asked for by label: the container most like one."""
    found, likely = max(judged, key=lambda each: _likeness(*each))
    port, scheme = probed(found.raw)
    known = port is not None and likely.rule not in NO_HTTP_EVEN_IF_ASKED
    said = likely.server.arguments if likely.server else Arguments()
    return Server(
        *(found.name, found.place, found.index, "opted-in"),
        replace(said, port=port if known else None, scheme=scheme),
        shell=likely.server.shell if likely.server else "",
        http=known,
        why_no_http="" if known else _why_unknown(likely.rule),
    )


def _why_unknown(rule: str) -> str:
    """Return why nothing is known about the HTTP server of a container."""
    if rule in NO_HTTP_EVEN_IF_ASKED:
        return f"it {BY_NAME[rule].sentence}"
    return "no probe of its own asks for /health, so the port is not known"


def _likeness(found: Placed, each: Judged) -> tuple[bool, bool, Weight]:
    """Return how much a container is like a server: first by its rule, then by its accelerators."""
    return bool(each.rule), any("/" in name for name in pods.limits(found.raw)), each.weight
