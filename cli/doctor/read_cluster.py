"""
Read from a cluster what the doctor judges, with the rights that there are.

A kind that may not be read is told and left out; a kind that the server does not have is empty.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import FORBIDDEN, UNAUTHORIZED
from typing import Final, Protocol

from cli.doctor.facts import Unread
from cli.doctor.of_policies import HOOK_KINDS, hooks_of
from cli.doctor.of_workloads import (
    STATUS_MAP,
    autoscaler_of,
    is_agent,
    is_webhook,
    own_pod,
    passes_gate,
)
from common import names
from common.api_types import Answer, ApiError, Json, NotFoundError, UnreachableError
from webhook import pods

_APPS: Final = "/apis/apps/v1"
_ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"
_KARPENTER: Final = "/apis/karpenter.sh/v1"
COLLECTIONS: Final[Mapping[str, str]] = {
    "Node": "/api/v1/nodes",
    "DaemonSet": f"{_APPS}/daemonsets",
    "Deployment": f"{_APPS}/deployments",
    "Pod": "/api/v1/pods",
    "MutatingWebhookConfiguration": f"{_ADMISSION}/mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": f"{_ADMISSION}/validatingwebhookconfigurations",
    "ValidatingAdmissionPolicy": f"{_ADMISSION}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{_ADMISSION}/validatingadmissionpolicybindings",
    "NodePool": f"{_KARPENTER}/nodepools",
    "NodeClaim": f"{_KARPENTER}/nodeclaims",
    "NodeReadinessRule": "/apis/readiness.node.x-k8s.io/v1alpha1/nodereadinessrules",
}
"""Read as a whole, page by page."""
_RUNNING: Final = "status.phase!=Succeeded,status.phase!=Failed"
_REFUSED: Final = "reason=FailedCreate"
SYSTEM: Final = "kube-system"
_EVERYBODYS: Final = "node.kubernetes.io/"
"""Begins the keys of tolerations that admission adds to every pod."""


class Source(Protocol):
    """What is asked of an API server; `common.api.Api` has it."""

    def ask(self, method: str, path: str) -> Answer:
        """Send one request."""

    def request(self, method: str, path: str) -> Json:
        """Send one request and return the body of its answer."""

    def list_pages(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[Json]:
        """Yield a collection page by page."""


@dataclass(slots=True)
class Reading:
    """What was read so far; ``now_seconds`` is the server's clock, 0 before the first answer."""

    objects: dict[str, list[Json]] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    unread: list[Unread] = field(default_factory=list)
    now_seconds: float = 0.0


def read_cluster(api: Source) -> Reading:
    """
    Read all there is to judge.

    Raises:
        ApiError: Nobody answers, or the credentials are not accepted; nothing else ends it.
    """
    reading = Reading()
    reading.now_seconds = api.ask("GET", "/version").now_seconds
    for kind, path in COLLECTIONS.items():
        query = {"fieldSelector": _RUNNING} if kind == "Pod" else {}
        _collect(api, reading, kind, path, query)
    for namespace, name in sorted(_maps(reading)):
        _one(api, reading, "ConfigMap", f"/api/v1/namespaces/{namespace}/configmaps", name)
    for namespace in sorted(_hook_namespaces(reading)):
        path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        _collect(api, reading, "EndpointSlice", path, {})
    for namespace in sorted(_lacking_pods(reading)):
        path = f"/api/v1/namespaces/{namespace}/events"
        _collect(api, reading, "Event", path, {"fieldSelector": _REFUSED})
    return reading


def _collect(api: Source, reading: Reading, kind: str, path: str, query: Mapping[str, str]) -> None:
    resource = path.rpartition("/")[2]
    try:
        found = [
            one
            for page in api.list_pages(path, query)
            for one in pods.objects(page.get("items"))
            if _is_of_use(kind, one)
        ]
    except NotFoundError:
        found = []
    except ApiError as error:
        _lacking(reading, error, resource, "list", resource)
        return
    reading.objects.setdefault(kind, []).extend(found)
    reading.read.add(kind)


def _one(api: Source, reading: Reading, kind: str, path: str, name: str) -> None:
    resource = path.rpartition("/")[2]
    try:
        found = api.request("GET", f"{path}/{name}")
    except NotFoundError:
        return
    except ApiError as error:
        _lacking(reading, error, f"{resource[:-1]} {name}", "get", f"{resource}/{name}")
        return
    reading.objects.setdefault(kind, []).append(found)


def _lacking(reading: Reading, error: ApiError, what: str, verb: str, resource: str) -> None:
    """Note what could not be read; raises the error when nothing else can be read either."""
    if isinstance(error, UnreachableError) or error.status == UNAUTHORIZED:
        raise error
    is_right = error.status == FORBIDDEN
    why = f"you are not allowed to {verb} it" if is_right else str(error)
    reading.unread.append(Unread(what, why, verb if is_right else "", resource))


def _is_of_use(kind: str, one: Json) -> bool:
    """Keep of each Node what is judged, and of all pods the few that can matter."""
    if kind == "Node":
        pods.mapping(one.get("status")).pop("images", None)
    if kind != "Pod":
        return True
    return bool(own_pod(one) or autoscaler_of(one) or _may_pass_gate(one))


def _may_pass_gate(pod: Json) -> bool:
    """Return whether a pod serves vLLM and tolerates a gate, or a key that may yet be one."""
    tolerations = pods.objects(pods.spec(pod).get("tolerations"))
    named = {pods.text(one.get("key")) for one in tolerations}
    others = sorted(key for key in named if key and not key.startswith(_EVERYBODYS))
    return passes_gate(pod, (*names.GATE_TAINTS, *others)) is not None


def _maps(reading: Reading) -> set[tuple[str, str]]:
    """Return the ConfigMaps that tell more: the agent's settings, an autoscaler's status."""
    wanted = {(SYSTEM, STATUS_MAP)}
    for raw in reading.objects.get("DaemonSet", ()):
        if part := is_agent(raw):
            ours = {name for name in part.config_maps if name != names.STORAGE_CONFIG_MAP}
            wanted |= {(part.namespace, name) for name in ours}
    for raw in (*reading.objects.get("Deployment", ()), *reading.objects.get("Pod", ())):
        if one := autoscaler_of(raw):
            wanted.add((one.namespace, STATUS_MAP))
    return wanted


def _hook_namespaces(reading: Reading) -> set[str]:
    return {
        hook.service[0]
        for kind in HOOK_KINDS
        for raw in reading.objects.get(kind, ())
        for hook in hooks_of(raw)
        if hook.service
    }


def _lacking_pods(reading: Reading) -> set[str]:
    """Return the namespaces in which agent or webhook has fewer ready pods than it wants."""
    parts = [is_agent(raw) for raw in reading.objects.get("DaemonSet", ())]
    parts += [is_webhook(raw) for raw in reading.objects.get("Deployment", ())]
    return {part.namespace for part in parts if part and part.ready < part.wanted}
