"""What is no review, sent straight to the real server: answered, forgotten, and told nothing."""

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.netns import Namespace
from tests.lab.objects import vllm_pod
from tests.lab.process import LabProcess
from tests.lab.webhook_lab import WebhookLab
from tests.lab.webhook_objects import DNS_NAME
from tests.lab.webhook_pods import PROGRAM
from tests.webhook_lab.stage import await_

pytestmark = [pytest.mark.lab, pytest.mark.api]

PORT, STATUS_PORT = 9543, 9570
JSON = "application/json"
LIMIT_BYTES = 7 * 1024 * 1024
GROWTH_KIB = 8 * 1024


@dataclass(frozen=True, slots=True)
class Server:
    """One process of the webhook outside every Service."""

    namespace: Namespace
    process: LabProcess
    context: ssl.SSLContext

    def connect(self) -> http.client.HTTPSConnection:
        """Return a connection whose socket is inside the namespace."""
        connection = http.client.HTTPSConnection("127.0.0.1", PORT, timeout=30)
        with self.namespace.entered():
            plain = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
            plain.connect()
        connection.sock = self.context.wrap_socket(plain.sock, server_hostname=DNS_NAME)
        return connection

    def post(self, body: bytes, content_type: str = JSON) -> tuple[int, bytes]:
        """Send one body to /mutate and return status and answer."""
        connection = self.connect()
        try:
            connection.request("POST", "/mutate", body, {"Content-Type": content_type})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def rss_kib(self) -> int:
        """Return its resident memory."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        line = next(line for line in text.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1])


@pytest.fixture(scope="module")
def server(lab: WebhookLab) -> Iterator[Server]:
    """Give a server with short deadlines."""
    settings = lab.environment(
        server_port=PORT, status_port=STATUS_PORT, limits_header_seconds=5, limits_body_seconds=5
    )
    process = lab.cp.spawn("alone", [PROGRAM, "run"], settings)
    context = ssl.create_default_context(cadata=lab.ca_bundle.decode())
    made = Server(lab.cp, process, context)
    await_(lambda: _answers(made), "the server answers")
    yield made
    process.kill()


def review(**fields: object) -> bytes:
    """Return a good review of a vLLM pod with these fields of its request over it."""
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "namespace": "default",
        "object": vllm_pod("sent"),
    }
    document = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
    return json.dumps(document | {"request": request | fields}).encode()


DEEP = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
REFUSED: dict[str, tuple[bytes, str, int]] = {
    "no JSON": (b"{", JSON, 400),
    "nothing": (b"", JSON, 400),
    "no object": (b"[]", JSON, 400),
    "no text": (b"\xff\xfe\x00", JSON, 400),
    "a depth of 10,000": (DEEP, JSON, 400),
    "another version": (review().replace(b"k8s.io/v1", b"k8s.io/v1beta1"), JSON, 400),
    "no UID": (review(uid=None), JSON, 400),
    "a UID that is no text": (review(uid=7), JSON, 400),
    "another content type": (review(), "text/plain", 415),
    "7 MiB and one byte": (b" " * (LIMIT_BYTES + 1), JSON, 413),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_review_is_refused_in_one_line(server: Server, what: str) -> None:
    """The API server takes that for a failed call; nothing of our inside is shown."""
    body, content_type, wanted = REFUSED[what]
    status, answer = server.post(body, content_type)
    assert status == wanted
    assert len(answer.splitlines()) == 1
    assert b"Traceback" not in answer
    assert _answers(server)


def test_a_chunked_review_is_answered(server: Server) -> None:
    """Its length is not known before its end; it is a review like any other."""
    connection = server.connect()
    body = review()
    chunks = iter((body[:100], body[100:]))
    connection.request("POST", "/mutate", chunks, {"Content-Type": JSON}, encode_chunked=True)
    answer = connection.getresponse()
    assert json.loads(answer.read())["response"]["patchType"] == "JSONPatch"
    connection.close()


def test_a_chunked_body_has_the_same_limit(server: Server) -> None:
    """An endless one ends with it."""
    connection = server.connect()
    chunks = (b" " * 65536 for _ in range(LIMIT_BYTES // 65536 + 1))
    headers = {"Content-Type": JSON}
    connection.request("POST", "/mutate", chunks, headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_duplicate_keys_are_read_as_the_last_one(server: Server) -> None:
    """As the API server's own decoder does; the answer carries the UID that stands last."""
    body = review().replace(b'"uid":', b'"uid": "first", "uid":', 1)
    _, answer = server.post(body)
    assert json.loads(answer)["response"]["uid"].startswith("705ab4f5")


@pytest.mark.parametrize(
    "fields",
    [
        {"object": None},
        {"object": []},
        {"object": {"spec": {"containers": {"a": 1}}}},
        {"object": {"metadata": 3, "spec": "x"}},
        {"operation": "DELETE"},
        {"resource": {"group": "", "version": "v1", "resource": "secrets"}},
        {"subResource": "ephemeralcontainers"},
    ],
    ids=str,
)
def test_a_review_of_something_odd_is_allowed_as_it_is(
    server: Server, fields: dict[str, object]
) -> None:
    """It is a review, so it is answered with its UID; there is nothing to add."""
    status, answer = server.post(review(**fields))
    response = json.loads(answer)["response"]
    assert status == 200
    assert (response["allowed"], response.get("patch")) == (True, None)
    assert response["uid"].startswith("705ab4f5")


@pytest.mark.parametrize("begin", [b"POST /mutate HTTP/1.1\r\n", b"headers"], ids=["head", "body"])
def test_who_drips_is_told_and_ended(server: Server, begin: bytes) -> None:
    """A byte now and then does not hold a connection: the deadline is for the whole of it."""
    connection = server.connect()
    if begin == b"headers":
        begin = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    connection.sock.sendall(begin)
    answer = _drip(connection.sock, lambda: connection.sock.sendall(b"x"))
    assert b" 408 " in answer.splitlines()[0]
    connection.close()


def test_memory_stays_as_it_is_after_all_of_that(server: Server) -> None:
    """What was refused is forgotten."""
    _send_all(server, 2)
    before = server.rss_kib()
    _send_all(server, 8)
    assert server.rss_kib() - before < GROWTH_KIB
    assert "Traceback" not in server.process.log_text()


def _send_all(server: Server, rounds: int) -> None:
    for _ in range(rounds):
        for body, content_type, _status in REFUSED.values():
            server.post(body, content_type)


def _answers(server: Server) -> bool:
    try:
        status, answer = server.post(review())
    except OSError:
        return False
    return status == 200 and json.loads(answer)["response"]["allowed"]


def _drip(sock: ssl.SSLSocket, send: Callable[[], None]) -> bytes:
    """Send a byte now and then until an answer is there, and return that."""
    sock.settimeout(0.2)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            return sock.recv(4096)
        except TimeoutError:
            send()
    raise AssertionError("no answer in 30 s")
