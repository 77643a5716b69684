"""The cluster that all contenders share: one control plane, Services, and a namespace for each."""

import http.client
import json
import time
from collections.abc import Callable
from typing import Final

from tests.lab.api import ApiError, Object
from tests.lab.netns import Namespace
from tests.lab.webhook_lab import WebhookLab

BENCH_LABEL: Final = "bench"
_CONFIGURATIONS: Final = (
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
)
_NOT_FOUND: Final = 404


def vllm_pod(namespace: str, name: str) -> Object:
    """Return a pod as a Deployment would make it; no scheduler looks at it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "vllm"}},
        "spec": {
            "schedulerName": "nobody",
            "containers": [
                {
                    "name": "vllm",
                    "image": "vllm/vllm-openai:v0.12.0",
                    "args": ["--model", "/models/weights", "--tensor-parallel-size", "1"],
                    "ports": [{"containerPort": 8000}],
                    "env": [{"name": f"SETTING_{n}", "value": "x" * 20} for n in range(10)],
                    "resources": {"limits": {"nvidia.com/gpu": "1", "memory": "64Gi"}},
                    "volumeMounts": [{"name": "weights", "mountPath": "/models"}],
                    "livenessProbe": {"httpGet": {"path": "/health", "port": 8000}},
                }
            ],
            "volumes": [{"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}}],
        },
    }


def service_of(lab: WebhookLab, namespace: str, name: str, address: str, port: int) -> None:
    """Make a Service whose one endpoint is not the cluster's to find."""
    metadata = {"name": name, "namespace": namespace}
    ports = [{"name": "https", "port": 443, "targetPort": port}]
    lab.admin.create(
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}}
    )
    lab.admin.post(
        f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        },
    )


def namespace_for(lab: WebhookLab, name: str) -> str:
    """Make the namespace whose pods one contender is asked about."""
    return lab.namespace(f"bench-{name}", {BENCH_LABEL: name})


def only_for(name: str, hook: Object) -> Object:
    """Return a hook that is asked about one namespace of the bench only."""
    selector = hook.get("namespaceSelector", {})
    labels = {**selector.get("matchLabels", {}), BENCH_LABEL: name}
    return {**hook, "namespaceSelector": {**selector, "matchLabels": labels}}


def forget_configurations(lab: WebhookLab) -> None:
    """Delete every admission configuration: nobody is asked any more."""
    for path in _CONFIGURATIONS:
        lab.admin.call("DELETE", path)


def await_injected(lab: WebhookLab, namespace: str) -> Object:
    """Wait until a pod of this namespace gets a toleration, a probe and /dev/shm; return it."""

    def injected() -> Object | None:
        pod = lab.admin.post(
            f"/api/v1/namespaces/{namespace}/pods?dryRun=All", vllm_pod(namespace, "probe")
        )
        container = pod["spec"]["containers"][0]
        keys = {one.get("key") for one in pod["spec"]["tolerations"]}
        mounts = {one["mountPath"] for one in container["volumeMounts"]}
        has_all = "startupProbe" in container and "/dev/shm" in mounts  # noqa: S108 - a mount path
        return pod if has_all and "nvidia.com/gpu" in keys else None

    return await_(injected, f"pods of {namespace} are injected")


def await_(look: Callable[[], Object | None], what: str, seconds: float = 90.0) -> Object:
    """Look until there is something, and return it; raises TimeoutError with `what`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = look()
        except (ApiError, OSError, http.client.HTTPException):
            found = None
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"never seen: {what}")
        time.sleep(0.1)


def remove_pods(lab: WebhookLab, namespace: str) -> None:
    """Delete all pods of a namespace; back when they are gone."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    with lab.admin.session(300.0) as session:
        session.send("DELETE", f"{path}?gracePeriodSeconds=0")
        while session.send("GET", f"{path}?limit=1").body.get("items"):
            session.send("DELETE", f"{path}?gracePeriodSeconds=0")


def https_status(inside: Namespace, address: str, port: int, path: str) -> int:
    """Return the status of an answer, 0 without one; no certificate is looked at."""
    words = ["curl", "-sk", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}"]
    shown = inside.run([*words, f"https://{address}:{port}{path}"], check=False)
    return int(shown.stdout or 0)


def review_of(lab: WebhookLab, bare_namespace: str, namespace: str) -> bytes:
    """Return an AdmissionReview as the API server sends it, made from a pod that it defaulted."""
    path = f"/api/v1/namespaces/{bare_namespace}/pods?dryRun=All"
    pod = lab.admin.post(path, vllm_pod(bare_namespace, "review"))
    pod["metadata"]["namespace"] = namespace
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    resource = {"group": "", "version": "v1", "resource": "pods"}
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "name": "review",
        "namespace": namespace,
        "operation": "CREATE",
        "userInfo": {"username": "tunegate-lab-admin", "groups": ["system:masters"]},
        "object": pod,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(review, separators=(",", ":")).encode()
