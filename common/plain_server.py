"""A small plain-HTTP server for probes and metrics, in threads of its own."""

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from common.listening import listen

TEXT = "text/plain; charset=utf-8"
MAX_CONNECTIONS = 64
"""Each has a thread; kubelet and Prometheus need two."""
Answer = tuple[int, str, bytes]
"""Status, content type, body."""
Routes = Mapping[str, Callable[[], Answer]]


class PlainServer:
    """Answers GET by path until closed; 404 for every other path."""

    def __init__(self, routes: Routes, address: str, port: int) -> None:
        """Listen as `listening.listen` does, and begin; raises OSError."""
        self._server = _Server((address, port), _request_class(routes))
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="plain-server", daemon=True
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


def _request_class(routes: Routes) -> type[BaseHTTPRequestHandler]:
    class _Request(BaseHTTPRequestHandler):
        timeout = 10  # a client that says nothing must not hold a thread for ever

        def do_GET(self) -> None:
            route = routes.get(self.path.partition("?")[0])
            status, kind, body = _answered(route) if route else (404, TEXT, b"not found\n")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: a scrape is no news."""

    return _Request


def _answered(route: Callable[[], Answer]) -> Answer:
    try:
        return route()
    except Exception as error:  # noqa: BLE001 - a dropped connection would tell a probe nothing
        return 500, TEXT, f"failed: {type(error).__name__}\n".encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], request_class: type[BaseHTTPRequestHandler]
    ) -> None:
        super().__init__(address, request_class, bind_and_activate=False)
        self._room = threading.Semaphore(MAX_CONNECTIONS)
        self.socket.close()
        self.socket = listen(*address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's own
        """Answer in a thread of its own; drop what is one too many."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's own
        """Answer, then make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that went away is no news."""
