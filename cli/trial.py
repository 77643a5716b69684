"""
Ask the webhook for a made-up vLLM pod in the way in which the API server asks.

By the Service's ClusterIP and the name `<service>.<namespace>.svc`, against `caBundle` of the live
configuration. Source: Kubernetes, "Dynamic Admission Control", and the API server's client for it.
"""

import base64
import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from common.names import POD_ANNOTATION_INJECTED
from webhook.decisions import Outcome
from webhook.record import read

_OK: Final = 200
_SECONDS: Final = 5.0
_HTTPS: Final = 443


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom to call, as one hook of a configuration says."""

    address: str
    port: int
    server_name: str
    path: str
    ca_pem: str


class TrialError(Exception):
    """The webhook cannot be asked, or its answer is not what it has to be; the text says how."""


def caller(hook: Mapping[str, Any], address: str) -> Caller:
    """Return whom this hook calls, the Service's address given; raises TrialError."""
    client = hook.get("clientConfig") or {}
    service = client.get("service") or {}
    bundle = client.get("caBundle") or ""
    if not bundle:
        raise TrialError("its configuration has no caBundle yet: the webhook has not written it")
    return Caller(
        address=address,
        port=int(service.get("port") or _HTTPS),
        server_name=f"{service.get('name')}.{service.get('namespace')}.svc",
        path=str(service.get("path") or "/"),
        ca_pem=base64.b64decode(bundle).decode("ascii"),
    )


def ask(whom: Caller) -> str:
    """Have a vLLM pod reviewed and return what was injected; raises TrialError."""
    try:
        context = ssl.create_default_context(cadata=whom.ca_pem)
        status, body = _post(whom, context, json.dumps(_review()).encode())
    except (OSError, http.client.HTTPException) as error:
        raise TrialError(f"{whom.server_name} at {whom.address}: {error}") from error
    if status != _OK:
        raise TrialError(f"{whom.server_name} answered with status {status}")
    return judged(body)


def judged(body: bytes) -> str:
    """Return the features that an answer injects; raises TrialError where it is not as due."""
    try:
        response = json.loads(body)["response"]
        patch = json.loads(base64.b64decode(response["patch"])) if "patch" in response else []
    except (ValueError, KeyError, TypeError) as error:
        raise TrialError(f"the answer is no AdmissionReview: {error!r}") from error
    if not response.get("allowed"):
        raise TrialError("the answer denies the pod")
    texts = [_record(one) for one in patch]
    pods = [{"metadata": {"annotations": {POD_ANNOTATION_INJECTED: text}}} for text in texts]
    decided = [item for pod in pods for item in read(pod).items()]
    injected = [feature.value for feature, made in decided if made.outcome is Outcome.INJECTED]
    if not injected:
        said = "; ".join(response.get("warnings") or ()) or "nothing"
        raise TrialError(f"the answer injects nothing into a vLLM pod; its warnings: {said}")
    return ", ".join(injected)


def _record(operation: Mapping[str, Any]) -> str:
    """Return the record that an operation writes, "" when it writes another thing."""
    value = operation.get("value")
    if isinstance(value, dict):
        value = value.get(POD_ANNOTATION_INJECTED)
    elif not str(operation.get("path", "")).endswith(POD_ANNOTATION_INJECTED.replace("/", "~1")):
        return ""
    return value if isinstance(value, str) else ""


def _post(whom: Caller, context: ssl.SSLContext, payload: bytes) -> tuple[int, bytes]:
    with (
        socket.create_connection((whom.address, whom.port), _SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=whom.server_name) as secured,
    ):
        connection = http.client.HTTPConnection(whom.server_name, whom.port)
        connection.sock = secured
        headers = {"Content-Type": "application/json", "Connection": "close"}
        connection.request("POST", f"{whom.path}?timeout={_SECONDS:.0f}s", payload, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def _review() -> Mapping[str, Any]:
    pods = {"group": "", "version": "v1", "resource": "pods"}
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    container = {
        "name": "vllm",
        "image": "vllm/vllm-openai:latest",
        "command": ["vllm", "serve", "example/model"],
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "selftest", "namespace": "default"},
        "spec": {"containers": [container]},
    }
    request = {
        "uid": "tunegate-selftest",
        "kind": kind,
        "resource": pods,
        "operation": "CREATE",
        "namespace": "default",
        "name": "selftest",
        "userInfo": {"username": "tunegate-selftest"},
        "object": pod,
        "dryRun": True,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
