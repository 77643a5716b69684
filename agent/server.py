"""The small server of /healthz, /readyz and /metrics; imported after the gate is open."""

import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from agent.metrics import StatusCollector
from agent.status import Status

STALLED_SECONDS = 120.0
"""How long the loop may stand still (a dead server, a slow disk) before the agent is unwell."""
TEXT = "text/plain; charset=utf-8"


class StatusServer:
    """Serves a Status over HTTP from threads of its own."""

    def __init__(self, status: Status, address: str, port: int, *collectors: Collector) -> None:
        """Bind; raises OSError. Port 0 takes any free one; /metrics also has these collectors."""
        registry = CollectorRegistry()
        for collector in (StatusCollector(status), *collectors):
            registry.register(collector)
        self._routes: dict[str, Callable[[], tuple[int, str, bytes]]] = {
            "/healthz": lambda: _healthz(status),
            "/readyz": lambda: _readyz(status),
            "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(registry)),
        }
        self._server = _Server((address, port), self._request_class())
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="status-server", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening and end the thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _request_class(self) -> type[BaseHTTPRequestHandler]:
        routes = self._routes

        class _Request(BaseHTTPRequestHandler):
            timeout = 10  # a client that says nothing must not hold a thread for ever

            def do_GET(self) -> None:
                route = routes.get(self.path.partition("?")[0])
                status, kind, body = route() if route else (404, TEXT, b"not found\n")
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing: a scrape is no news."""

        return _Request


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], request_class: type[BaseHTTPRequestHandler]
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, request_class)

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that went away is no news."""


def _healthz(status: Status) -> tuple[int, str, bytes]:
    silent = time.monotonic() - status.alive_seconds
    if silent > STALLED_SECONDS:
        return 503, TEXT, f"the loop has not turned for {silent:.0f} s\n".encode()
    return 200, TEXT, b"ok\n"


def _readyz(status: Status) -> tuple[int, str, bytes]:
    if not status.is_published:
        return 503, TEXT, f"waiting for {status.waiting_for}\n".encode()
    return 200, TEXT, b"ok\n"
