"""A server on loopback that gives prepared answers: what stands for an API server in unit tests."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DATE = "Sat, 21 Nov 2026 12:00:00 GMT"
NOON = 1795262400.0


class Server(ThreadingHTTPServer):
    """Gives one prepared answer to whatever is asked, and keeps what was asked."""

    daemon_threads = True
    request_queue_size = 128  # with a short one the kernel drops what comes at once, for seconds

    def __init__(self) -> None:
        """Listen on loopback."""
        super().__init__(("127.0.0.1", 0), _Request)
        self.status, self.body, self.date = 200, b"{}", DATE
        self.later: list[bytes] = []
        self.lacking_bytes = 0
        self.is_chunked = False
        self.release = threading.Event()
        self.release.set()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.sent: list[tuple[str, bytes]] = []

    def prepare(self, body: object, status: int = 200, then: Sequence[object] = ()) -> None:
        """Answer with this, then with these, the last from then on: bytes as they are, or JSON."""
        self.status = status
        self.body, *self.later = (
            one if isinstance(one, bytes) else json.dumps(one).encode() for one in (body, *then)
        )


class _Request(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def _answer(self) -> None:
        server = self.server
        server.asked.append((self.path, dict(self.headers)))
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server.sent.append((self.command, sent))
        self.send_response_only(server.status)
        self.send_header("Date", server.date)
        if server.is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(server.body) + server.lacking_bytes))
        self.end_headers()
        piece = b"%x\r\n%b\r\n" % (len(server.body), server.body)
        self.wfile.write(piece if server.is_chunked else server.body)
        self.wfile.flush()
        if server.later:
            server.body = server.later.pop(0)
        server.release.wait(20)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def running_server() -> Iterator[Server]:
    """Give a running server; an answer that lacks bytes or is chunked ends on `release`."""
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        yield made
        made.release.set()
        made.shutdown()
        thread.join()


def kubeconfig(folder: Path, server: Server) -> Path:
    """Write a kubeconfig for it and return its path; the token is `secret`."""
    address = f"http://127.0.0.1:{server.server_address[1]}"
    known = {
        "clusters": [{"name": "c", "cluster": {"server": address}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file = folder / "config"
    file.write_text(json.dumps(known))
    return file
