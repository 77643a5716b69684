"""Run in the webhook's container: start it, ask it for a review of a pod, end it; say what came."""

import contextlib
import http.client
import json
import os
import ssl
import subprocess
import sys
import time

SECONDS = 60
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "vllm"},
    "spec": {
        "containers": [
            {
                "name": "vllm",
                "image": "vllm/vllm-openai:v0.33.0",
                "command": ["vllm", "serve", "/models/m"],
                "resources": {"limits": {"nvidia.com/gpu": "1"}},
            }
        ]
    },
}
REVIEW = {
    "apiVersion": "admission.k8s.io/v1",
    "kind": "AdmissionReview",
    "request": {
        "uid": "1",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "namespace": "default",
        "object": POD,
    },
}


def ready() -> bool:
    """Tell whether it can take reviews; raises TimeoutError when it never can."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("localhost", 9470)
        with contextlib.suppress(OSError):
            connection.request("GET", "/readyz")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return True
        time.sleep(0.1)
    raise TimeoutError("it never was ready")


def reviewed() -> dict[str, object]:
    """Return its answer to one review, over HTTPS."""
    context = ssl.create_default_context(cafile="/probe/ca.crt")
    body = json.dumps(REVIEW).encode()
    connection = http.client.HTTPSConnection("localhost", 9443, context=context)
    connection.request("POST", "/mutate", body, {"Content-Type": "application/json"})
    response: dict[str, object] = json.loads(connection.getresponse().read())["response"]
    return response


def main() -> int:
    """Print what came as JSON."""
    environment = {
        **os.environ,
        "TUNEGATE_WEBHOOK_TLS_CERTIFICATE_FILE": "/probe/tls.crt",
        "TUNEGATE_WEBHOOK_TLS_KEY_FILE": "/probe/tls.key",
        "TUNEGATE_WEBHOOK_DRAIN_PROPAGATION_SECONDS": "0",
    }
    process = subprocess.Popen(["tunegate-webhook", "run"], env=environment)
    try:
        said = {"ready": ready(), "patched": "patch" in reviewed()}
    finally:
        process.terminate()
    print(json.dumps({**said, "exit code": process.wait(SECONDS)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
