"""
A server that behaves as vLLM does where a preStop hook looks: its own process, run as a script.

Its socket is bound before it "loads" and listens only then; /metrics is a recorded answer, with the
gauges set to what is really in flight; /stream/N and /v1/completions answer in pieces; SIGTERM ends
everything at once, but the first one is swallowed while loading. The only argument is a JSON
object, see Behaviour. The first line that it prints is its port, the last one says how it ended.
"""

import json
import os
import re
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

DATA = Path(__file__).parents[1] / "data" / "vllm"
GAUGE = re.compile(r"^vllm:num_requests_(running|waiting|swapped)(\{.*\})? \S+$", re.MULTILINE)
REASON = re.compile(r"^(vllm:num_requests_waiting_by_reason\{.*capacity.*\}) \S+$", re.MULTILINE)
PIECE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Behaviour:
    """
    What this server is like.

    Attributes:
        scrape: the recorded answer; "" for no answer but 404.
        live: its gauges tell what is in flight; otherwise they stay as recorded.
        slots: requests that one engine runs at once; more of them wait.
        health: status of /health.
        metrics: status of /metrics.
        chunked, moved: how /metrics is sent; `moved` sends to /metrics/ first.
        padding: lines of other series before the gauges.
        slow_answers: the first answers that take longer than anybody waits.
        certificate: a file with certificate and key, for HTTPS.
        imports_seconds, loading_seconds: time until there is a handler, and until it listens.
    """

    scrape: str = "idle-0.32.0.txt"
    live: bool = True
    slots: int = 4
    health: int = 200
    metrics: int = 200
    chunked: bool = False
    moved: bool = False
    padding: int = 0
    slow_answers: int = 0
    slow_seconds: float = 7.0
    certificate: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    imports_seconds: float = 0.0
    loading_seconds: float = 0.0


class Engines:
    """Requests in flight, and the text that tells of them."""

    def __init__(self, behaviour: Behaviour) -> None:
        """Read the recorded answer."""
        self._behaviour = behaviour
        self._text = (DATA / behaviour.scrape).read_text() if behaviour.scrape else ""
        self._engines = max(
            len(re.findall(r"^vllm:num_requests_running\b.* ", self._text, re.MULTILINE)), 1
        )
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(behaviour.slots * self._engines)
        self.in_flight = 0
        self.idle_scrapes = 0
        self.was_used = False

    def run(self, work: Callable[[], None]) -> None:
        """Do one request as soon as a slot is free."""
        with self._lock:
            self.in_flight += 1
            self.was_used = True
        try:
            with self._slots:
                work()
        finally:
            with self._lock:
                self.in_flight -= 1

    def text(self) -> str:
        """Return the answer to /metrics as it is now."""
        with self._lock:
            now, used = self.in_flight, self.was_used
            self.idle_scrapes += not now
        text = "vllm:other_total 1.0\n" * self._behaviour.padding + self._text
        if not self._behaviour.live:
            return text
        running = min(now, self._behaviour.slots * self._engines)
        waiting = now - running
        if used and not GAUGE.search(text) and "vllm:" in text:
            text += (
                'vllm:num_requests_running{engine="0"} 0\nvllm:num_requests_waiting{engine="0"} 0\n'
            )
        # old engines swap out what does not run
        counts = {"running": running, "waiting": waiting, "swapped": 0}
        if "num_requests_swapped" in text:
            counts |= {"waiting": 0, "swapped": waiting}
        seen: dict[str, int] = {}

        def share(found: re.Match[str]) -> str:
            """Give the last engine everything: a sum is wanted, not the first line."""
            kind = found[1]
            seen[kind] = seen.get(kind, 0) + 1
            value = counts[kind] if seen[kind] == self._engines else 0
            return f"vllm:num_requests_{kind}{found[2] or ''} {value:.1f}"

        return GAUGE.sub(share, REASON.sub(rf"\1 {waiting:.1f}", text))


class Handler(BaseHTTPRequestHandler):
    """Answers as vLLM's front end does."""

    protocol_version = "HTTP/1.1"
    behaviour: ClassVar[Behaviour]
    engines: ClassVar[Engines]
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Answer one request."""
        if self.path == "/state":
            engines = self.engines
            shown = {"in_flight": engines.in_flight, "idle_scrapes": engines.idle_scrapes}
            self._send(200, json.dumps(shown))
            return
        if self.path == "/asked":
            self._send(200, json.dumps(self.asked))
            return
        self.asked.append(self.path)
        if len(self.asked) <= self.behaviour.slow_answers:
            time.sleep(self.behaviour.slow_seconds)
        if self.path == "/health":
            self._send(self.behaviour.health, "")
        elif self.path.startswith("/stream/"):
            self.engines.run(lambda: self._stream(int(self.path.rpartition("/")[2])))
        elif self.path == "/metrics" and self.behaviour.moved:
            self._send(307, "", location="/metrics/")
        elif self.path.rstrip("/") == "/metrics" and self.behaviour.scrape:
            self._send(self.behaviour.metrics, self.engines.text())
        else:
            self._send(404, "")

    def do_POST(self) -> None:
        """Answer /v1/completions with one token for each of `max_tokens`, as a stream if asked."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/completions":
            self._send(404, "")
            return
        tokens = int(asked.get("max_tokens", 16))
        if asked.get("stream"):
            self.engines.run(lambda: self._stream(tokens, _completion, b"data: [DONE]\n\n"))
        else:
            self.engines.run(lambda: time.sleep(tokens * PIECE_SECONDS))
            self._send(200, json.dumps({"choices": [{"index": 0, "text": " x" * tokens}]}))

    def _send(self, status: int, text: str, location: str = "") -> None:
        body = text.encode()
        self.send_response(status)
        # Prometheus takes no answer without its kind
        kind = "application/json" if text.startswith("{") else "text/plain; version=0.0.4"
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        if location:
            self.send_header("Location", location)
        if self.behaviour.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            # pieces end in the middle of lines and of names
            for start in range(0, len(body), 999):
                self._piece(body[start : start + 999])
            self._piece(b"")
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(
        self,
        pieces: int,
        content: Callable[[int], bytes] = b"data: %d\n\n".__mod__,
        end: bytes = b"",
    ) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(pieces):
            self._piece(content(number))
            time.sleep(PIECE_SECONDS)
        if end:
            self._piece(end)
        self._piece(b"")

    def _piece(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, *_words: object) -> None:
        """Keep the log for what tests read."""


def _completion(number: int) -> bytes:
    """Return one event of a streamed completion."""
    event = {"object": "text_completion", "choices": [{"index": 0, "text": f" {number}"}]}
    return f"data: {json.dumps(event)}\n\n".encode()


class BoundServer(ThreadingHTTPServer):
    """Binds in its constructor, listens later."""

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        """Bind to an address of either kind."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)

    def server_activate(self) -> None:
        """Wait for `listen`."""

    def listen(self) -> None:
        """Take connections from now on."""
        self.socket.listen(128)


def serve(behaviour: Behaviour) -> None:
    """Bind, import, load, serve."""
    server = BoundServer(behaviour.host, behaviour.port)
    print(server.server_address[1], "importing", sep="\n", flush=True)
    time.sleep(behaviour.imports_seconds)
    terms: list[int] = []

    def while_loading(number: int, _frame: object) -> None:
        """Swallow the first SIGTERM, as KeyboardInterrupt is swallowed in vLLM."""
        terms.append(number)
        if len(terms) > 1:
            end("ended while loading")
        os.write(1, b"swallowed a SIGTERM\n")

    signal.signal(signal.SIGTERM, while_loading)
    print("handler installed", flush=True)
    until = time.monotonic() + behaviour.loading_seconds
    while time.monotonic() < until:
        time.sleep(0.05)
    signal.signal(signal.SIGTERM, lambda *_: end("ended while serving"))
    Handler.behaviour, Handler.engines = behaviour, Engines(behaviour)
    if behaviour.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(behaviour.certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.listen()
    print("listening", flush=True)
    server.serve_forever()


def end(how: str) -> None:
    """Say how it ended, and let go of every request, as vLLM does."""
    os.write(1, f"{how}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    serve(Behaviour(**json.loads(sys.argv[1])))
