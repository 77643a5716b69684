"""One Node behind a real HTTPS server that misbehaves on demand."""

import contextlib
import json
import queue
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from agent.cluster.credentials import Credentials
from tests.lab.pki import Authority
from tests.unit.agent import json_patch

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the next request instead of the answer it should get."""

    status: int = 0
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    drop: bool = False  # close the connection without a word
    hang_seconds: float = 0.0
    before: Callable[[], None] | None = None  # then answer as usual


@dataclass(slots=True)
class FakeApi:
    """The state of the fake: one Node, what was asked, what goes wrong next."""

    node: Object | None
    folder: Path
    faults: list[Fault] = field(default_factory=list)
    events: list[Object] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    feed: "queue.Queue[bytes | None]" = field(default_factory=queue.Queue)
    connections: list[socket.socket] = field(default_factory=list)
    accepted: int = 0
    port: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def credentials(self) -> Credentials:
        """Return what a client needs to reach this server."""
        files = (str(self.folder / "token"), str(self.folder / "ca.crt"))
        return Credentials("127.0.0.1", self.port, *files)

    def emit(self, kind: str, thing: Object) -> None:
        """Put one event into the running or the next watch."""
        self.feed.put(json.dumps({"type": kind, "object": thing}).encode() + b"\n")

    def touch(self) -> None:
        """Give the Node its next resource version."""
        assert self.node is not None
        self.node["metadata"]["resourceVersion"] = str(
            int(self.node["metadata"]["resourceVersion"]) + 1
        )

    def cut_connections(self) -> None:
        """Close every connection, as a server that goes away does."""
        for one in self.connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    def patched(self, operations: list[Object]) -> Object:
        """Apply a JSON Patch to the Node."""
        assert self.node is not None
        self.node = json_patch.apply(self.node, operations)
        self.touch()
        return self.node

    def merged(self, patch: Object) -> Object:
        """Apply a strategic merge patch of status.conditions to the Node."""
        assert self.node is not None
        ours = {one["type"]: one for one in patch["status"]["conditions"]}
        conditions = self.node.setdefault("status", {}).setdefault("conditions", [])
        conditions[:] = [one for one in conditions if one["type"] not in ours] + list(ours.values())
        self.touch()
        return self.node


def node(taints: Sequence[Mapping[str, str]] = (), **maps: Mapping[str, str]) -> Object:
    """Return a Node with a kubelet's condition and the given taints, labels and annotations."""
    metadata = {"name": "n1", "uid": "uid-1", "resourceVersion": "10", **maps}
    ready = {"type": "Ready", "status": "True"}
    return {
        "kind": "Node",
        "metadata": metadata,
        "spec": {"taints": [dict(one) for one in taints]},
        "status": {"conditions": [ready]},
    }


@contextlib.contextmanager
def serve(api: FakeApi, port: int = 0) -> Iterator[None]:
    """Serve the fake over TLS on loopback; files for the client lie in its folder."""
    if not (api.folder / "ca.crt").exists():
        _write_files(api.folder)
    server = _Server(("127.0.0.1", port), _Handler)
    server.api = api
    api.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    api.stopping.clear()
    try:
        yield
    finally:
        api.stopping.set()
        server.shutdown()
        thread.join()
        api.cut_connections()
        server.server_close()


def _write_files(folder: Path) -> None:
    authority = Authority.create(folder)
    (folder / "ca.crt").write_bytes(authority.file.read_bytes())
    pair = authority.server("api", ["127.0.0.1"])
    (folder / "tls.pem").write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
    (folder / "token").write_text("first\n", encoding="ascii")


class _Server(ThreadingHTTPServer):
    api: FakeApi
    request_queue_size = 64

    def get_request(self) -> tuple[socket.socket, Any]:
        plain, address = super().get_request()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.api.folder / "tls.pem")
        plain.settimeout(30)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wrapped = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self.api.connections.append(wrapped)
        self.api.accepted += 1
        return wrapped, address

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close without the TLS good-bye: the peer may be gone."""
        assert isinstance(request, socket.socket)
        with contextlib.suppress(OSError):
            socket.socket.shutdown(request, socket.SHUT_RDWR)
        request.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that goes away in the middle is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def api(self) -> FakeApi:
        assert isinstance(self.server, _Server)
        return self.server.api

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.api.requests.append((self.command, self.path))
        self.api.tokens.append(self.headers["Authorization"].removeprefix("Bearer "))
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.api.faults.pop(0) if self.api.faults else Fault()
        self.api.stopping.wait(fault.hang_seconds)
        if fault.before:
            fault.before()
        if fault.drop:
            self.close_connection = True
        elif fault.status:
            self._reply(fault.status, fault.body, fault.headers)
        elif "watch=1" in self.path:
            self._stream()
        else:
            self._serve(json.loads(raw) if raw else {})

    do_PATCH = do_POST = do_GET  # noqa: N815 - http.server's own names

    def _serve(self, body: Any) -> None:  # noqa: ANN401 - a JSON Patch is a list, the rest objects
        if self.api.node is None:
            self._reply(404, b'{"message":"nodes \\"n1\\" not found"}')
        elif self.command == "POST":
            self.api.events.append(body)
            self._reply(201, b"{}")
        elif self.command == "GET":
            self._reply(200, json.dumps(self.api.node).encode())
        elif "/status" in self.path:
            self._reply(200, json.dumps(self.api.merged(body)).encode())
        else:
            self._patch(body)

    def _patch(self, operations: list[Object]) -> None:
        try:
            self._reply(200, json.dumps(self.api.patched(operations)).encode())
        except json_patch.PatchError as error:
            self._reply(422, json.dumps({"message": f"test failed: {error}"}).encode())

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while not self.api.stopping.is_set() and not _is_gone(self.connection):
            try:
                line = self.api.feed.get(timeout=0.02)
            except queue.Empty:
                continue
            if line == b"":
                self.close_connection = True
                return
            self.wfile.write(b"%x\r\n%b\r\n" % (len(line or b""), line or b""))
            if line is None:
                return
        self.close_connection = True

    def _reply(self, status: int, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.send_response(status)
        for key, value in headers:
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _is_gone(peer: socket.socket) -> bool:
    """Tell whether the client has closed, without taking what it sent."""
    try:
        is_readable = bool(select.select([peer.fileno()], [], [], 0)[0])
        return is_readable and socket.socket.recv(peer, 1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True


def eventually(condition: Callable[[], bool], timeout_seconds: float = 30.0) -> None:
    """Wait until the condition holds; raises TimeoutError."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            message = "the awaited state did not come"
            raise TimeoutError(message)
        time.sleep(0.005)
