"""
A proxy between one agent and the API server, with which a test loses and replaces answers.

It ends TLS with the API server's own certificate on a loopback address of the agent's namespace;
what is not spoilt by a fault goes to the real API server and back, watches piece by piece.
"""

import http.client
import json
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.lab.api import connect_in
from tests.lab.control_plane import ControlPlane
from tests.lab.netns import Namespace

UNSENT = "unsent"
UNANSWERED = "unanswered"
_PIECE_BYTES = 65536
_HOP = {"transfer-encoding", "connection", "content-length", "host", "keep-alive"}


@dataclass(slots=True)
class Fault:
    """
    What happens to the next ``times`` requests that fit.

    ``pattern`` is searched in "METHOD path"; ``what`` is UNSENT (cut before the API server sees
    it), UNANSWERED (the API server does it, the answer is lost) or an HTTP status to answer with.
    """

    pattern: str
    what: str | int
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)


class ApiProxy:
    """The proxy; a context manager."""

    def __init__(self, control_plane: ControlPlane, namespace: Namespace) -> None:
        """Listen in the namespace; nothing is spoilt yet."""
        self._control_plane = control_plane
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.seen: list[str] = []
        serving = control_plane.folder / "kube-apiserver"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(serving.with_suffix(".crt"), serving.with_suffix(".key"))
        with namespace.entered():
            self._server = _Server(self, context)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Return the base URL for the agent."""
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening; what is under way ends by itself."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def spoil(self, *faults: Fault) -> None:
        """Have these faults happen, the first that fits each time."""
        with self._lock:
            self._faults.extend(faults)

    def heal(self) -> None:
        """Have no more faults happen."""
        with self._lock:
            self._faults.clear()

    def is_spent(self) -> bool:
        """Return whether every fault has happened as often as it should."""
        with self._lock:
            return not any(fault.times for fault in self._faults)

    def fault_for(self, request: str) -> Fault | None:
        """Take note of a request and return the fault that it meets, used up by one."""
        with self._lock:
            self.seen.append(request)
            for fault in self._faults:
                if fault.times and re.search(fault.pattern, request):
                    fault.times -= 1
                    return fault
        return None

    def upstream(self) -> http.client.HTTPSConnection:
        """Return a new connection to the real API server; raises OSError."""
        end = self._control_plane.endpoint
        context = ssl.create_default_context(cafile=str(end.ca_file))
        connection = http.client.HTTPSConnection(end.host, end.port, context=context)
        plain = connect_in(end.netns, end.host, end.port, 5.0)
        try:
            connection.sock = context.wrap_socket(plain, server_hostname=end.host)
        except BaseException:
            plain.close()
            raise
        return connection


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.proxy.fault_for(f"{self.command} {self.path}")
        if fault is None:
            self._forward(body)
        elif isinstance(fault.what, int):
            self._answer(fault.what, fault.headers)
        else:
            if fault.what == UNANSWERED:
                with closing(self._ask(body)) as connection:
                    connection.getresponse().read()
            self.close_connection = True

    def do_PATCH(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def _ask(self, body: bytes) -> http.client.HTTPSConnection:
        connection = self.server.proxy.upstream()
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
        connection.request(self.command, self.path, body or None, headers)
        return connection

    def _forward(self, body: bytes) -> None:
        try:
            with closing(self._ask(body)) as connection, connection.getresponse() as answer:
                self._relay(answer)
        except (OSError, http.client.HTTPException):
            self.close_connection = True

    def _relay(self, answer: http.client.HTTPResponse) -> None:
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while piece := answer.read1(_PIECE_BYTES):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _answer(self, status: int, headers: Mapping[str, str]) -> None:
        said = {"kind": "Status", "code": status, "message": f"a test answers {status}"}
        body = json.dumps(said).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: ApiProxy, tls: ssl.SSLContext) -> None:
        self.proxy = proxy
        self._tls = tls
        super().__init__(("127.0.0.1", 0), _Request)

    def finish_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        with suppress(OSError), self._tls.wrap_socket(request, server_side=True) as secured:
            _Request(secured, client_address, self)

    def handle_error(self, *_: object) -> None:
        """Say nothing: connections are cut on purpose."""
