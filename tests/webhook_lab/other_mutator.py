"""
Somebody else's mutating webhook: each path of it does one thing to a pod, once.

Run as `other_mutator.py HOST PORT CERTIFICATE KEY`. Each review that arrives is printed as one line
of JSON: the path, the pod's name, and whether the record of ours stood in it.
"""

import base64
import json
import ssl
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

Json = dict[str, Any]
RECORD: Final = "tunegate.io/injected"
PROBE: Final = {"httpGet": {"path": "/other", "port": 8000}, "periodSeconds": 7}
HOOK: Final = {"exec": {"command": ["sleep", "7"]}}
SIDECAR: Final = {"name": "other-sidecar", "image": "other/sidecar:1"}


def _first(pod: Json) -> Json:
    container: Json = pod["spec"]["containers"][0]
    return container


def _add_probe(pod: Json) -> list[Json]:
    if "startupProbe" in _first(pod):
        return []
    return [{"op": "add", "path": "/spec/containers/0/startupProbe", "value": PROBE}]


def _add_hook(pod: Json) -> list[Json]:
    lifecycle = _first(pod).get("lifecycle")
    if lifecycle and "preStop" in lifecycle:
        return []
    value = {**(lifecycle or {}), "preStop": HOOK}
    return [{"op": "add", "path": "/spec/containers/0/lifecycle", "value": value}]


def _replace_hook(pod: Json) -> list[Json]:
    if (_first(pod).get("lifecycle") or {}).get("preStop") == HOOK:
        return []
    return [{"op": "add", "path": "/spec/containers/0/lifecycle", "value": {"preStop": HOOK}}]


def _add_sidecar(pod: Json) -> list[Json]:
    if any(one["name"] == SIDECAR["name"] for one in pod["spec"]["containers"]):
        return []
    return [{"op": "add", "path": "/spec/containers/0", "value": SIDECAR}]


def _make_vllm(pod: Json) -> list[Json]:
    command = ["vllm", "serve", "/models/other"]
    if _first(pod).get("command") == command:
        return []
    return [{"op": "add", "path": "/spec/containers/0/command", "value": command}]


PATHS: Final[dict[str, Callable[[Json], list[Json]]]] = {
    "/add-probe": _add_probe,
    "/add-hook": _add_hook,
    "/replace-hook": _replace_hook,
    "/add-sidecar": _add_sidecar,
    "/make-vllm": _make_vllm,
    "/look": lambda _: [],
}


class Reviewer(BaseHTTPRequestHandler):
    """Answer one review."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Apply what the path stands for."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path, pod = self.path.partition("?")[0], review["request"]["object"]
        patch = PATHS[path](pod)
        metadata = pod["metadata"]
        seen = {
            "path": path,
            "name": metadata.get("name", ""),
            "record": RECORD in (metadata.get("annotations") or {}),
            "patched": bool(patch),
        }
        print(json.dumps(seen), flush=True)
        response: Json = {"uid": review["request"]["uid"], "allowed": True}
        if patch:
            encoded = base64.b64encode(json.dumps(patch).encode()).decode()
            response |= {"patchType": "JSONPatch", "patch": encoded}
        body = json.dumps({**review, "request": None, "response": response}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing: the standard output is for what was seen."""


def main(host: str, port: str, certificate: str, key: str) -> None:
    """Serve until killed."""
    server = ThreadingHTTPServer((host, int(port)), Reviewer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
