"""A caller that says exactly what it is told to, as the API server or as nobody should."""

import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.webhook_server.running import Webhook

TIMEOUT_SECONDS = 60.0
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Return whether it is the last of its connection."""
        return self.headers.get("connection") == "close"

    @property
    def response(self) -> dict[str, Any]:
        """Return the AdmissionReview's response."""
        decoded: dict[str, Any] = json.loads(self.body)["response"]
        return decoded


class Caller:
    """One TLS connection."""

    def __init__(self, stream: ssl.SSLSocket) -> None:
        """Talk over this."""
        self.stream = stream
        self._rest = b""

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.stream.sendall(data)

    def answer(self) -> Answer:
        """Return the next answer; raises EOFError where the connection ends before it."""
        while b"\r\n\r\n" not in self._rest:
            self._more()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        pairs = (line.partition(":") for line in lines[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        size = int(headers.get("content-length", "0"))
        while len(self._rest) < size:
            self._more()
        body, self._rest = self._rest[:size], self._rest[size:]
        return Answer(int(lines[0].split()[1]), headers, body)

    def post(self, body: bytes, path: str = "/mutate", **headers: str) -> Answer:
        """Send one request and return its answer."""
        self.send(request(body, path, **headers))
        return self.answer()

    def is_ended(self) -> bool:
        """Return whether the other side ends the connection; waits for it."""
        try:
            return self.stream.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    def _more(self) -> None:
        data = self.stream.recv(65536)
        if not data:
            raise EOFError(f"the connection ended after {self._rest!r}")
        self._rest += data


@contextmanager
def calling(webhook: Webhook, timeout_seconds: float = TIMEOUT_SECONDS) -> Iterator[Caller]:
    """Connect."""
    address = "127.0.0.1", webhook.port
    with (
        socket.create_connection(address, timeout_seconds) as plain,
        webhook.context.wrap_socket(plain, server_hostname="localhost") as stream,
    ):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Caller(stream)


def request(body: bytes, path: str = "/mutate", **headers: str) -> bytes:
    """Return a POST as the API server sends it; headers by name, `_` for `-`, "" for none."""
    given = {
        "host": "tunegate-webhook.tunegate.svc:443",
        "user-agent": "kube-apiserver-admission",
        "content-length": str(len(body)),
        "accept": "application/json, */*",
        "content-type": JSON,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"{name}: {value}" for name, value in given.items() if value]
    return "\r\n".join((f"POST {path}?timeout=10s HTTP/1.1", *lines, "", "")).encode() + body


def chunked(body: bytes, size: int = 1000) -> bytes:
    """Return a body in chunks."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


UID = "705ab4f5-6393-11e8-b7cc-42010a800002"


def vllm_pod(**spec: Any) -> dict[str, Any]:  # noqa: ANN401 - raw JSON
    """Return a pod that serves a model on four GPUs."""
    container = {
        "name": "vllm",
        "image": "vllm/vllm-openai:v0.11.0",
        "args": ["--model", "meta-llama/Llama-3.1-70B", "--tensor-parallel-size", "4"],
        "resources": {"limits": {"nvidia.com/gpu": "4"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "vllm-"},
        "spec": {"terminationGracePeriodSeconds": 30, "containers": [container], **spec},
    }


def review(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - raw JSON
    """Return an AdmissionReview of that pod; changes go into its request."""
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": UID,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": "llm",
            "object": vllm_pod(),
            "dryRun": False,
            **changes,
        },
    }


def encoded(**changes: Any) -> bytes:  # noqa: ANN401 - raw JSON
    """Return that review as bytes."""
    return json.dumps(review(**changes)).encode()
