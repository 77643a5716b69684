"""A connection to an API server against a server on loopback that answers as it is told."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.api import Api
from common.api_types import (
    APPLY_PATCH,
    ApiError,
    BadConfigError,
    BrokenOffError,
    ConflictError,
    Event,
    GoneError,
    NoConfigError,
    NotFoundError,
    UnreachableError,
)
from tests.answering import NOON, Server, kubeconfig, running_server
from webhook import pki

PATH = "/api/v1/namespaces/a/secrets"


@pytest.fixture
def server() -> Iterator[Server]:
    """Give a running server."""
    with running_server() as made:
        yield made


@pytest.fixture
def api(server: Server, tmp_path: Path) -> Iterator[Api]:
    """Give a connection to it."""
    made = Api(str(kubeconfig(tmp_path, server)), agent="tester")
    yield made
    made.close()


def test_a_request_says_what_it_sends(server: Server, api: Api) -> None:
    """Method, query, type and body arrive; the server's clock comes back with the answer."""
    server.prepare({"kind": "Secret"})
    query = {"fieldManager": "me"}
    answer = api.ask("PATCH", PATH, query=query, body={"a": 1}, content_type=APPLY_PATCH)
    assert (answer.body, answer.now_seconds) == ({"kind": "Secret"}, NOON)
    ((path, headers),) = server.asked
    assert path == f"{PATH}?fieldManager=me"
    named = {key.lower(): value for key, value in headers.items()}
    assert named["content-type"] == APPLY_PATCH
    assert named["authorization"] == "Bearer secret"
    assert named["user-agent"].startswith("tester/")
    assert server.sent == [("PATCH", b'{"a":1}')]


def test_a_request_without_a_body_has_no_content_type(server: Server, api: Api) -> None:
    """An empty body of a type is refused by some servers."""
    server.prepare({"kind": "Secret"})
    api.request("GET", PATH)
    ((_, headers),) = server.asked
    assert "content-type" not in {key.lower() for key in headers}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NotFoundError), (409, ConflictError), (410, GoneError), (403, ApiError)],
)
def test_a_refusal_has_status_reason_and_message(
    server: Server, api: Api, status: int, kind: type[ApiError]
) -> None:
    """Sent once: whoever asks decides whether to ask again."""
    server.prepare({"reason": "Because", "message": "of this"}, status)
    with pytest.raises(ApiError) as raised:
        api.request("POST", PATH, body={})
    assert type(raised.value) is kind
    assert (raised.value.status, raised.value.reason) == (status, "Because")
    assert str(raised.value) == f"{status} Because: of this"
    assert raised.value.now_seconds == NOON
    assert len(server.asked) == 1


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b"[" * 9000])
def test_an_answer_that_is_no_json_object_is_an_error(
    server: Server, api: Api, body: bytes
) -> None:
    """A proxy's page, for one."""
    server.prepare(body)
    with pytest.raises(ApiError, match="no JSON object"):
        api.request("GET", PATH)


def test_an_answer_that_breaks_off_is_told(server: Server, api: Api) -> None:
    """Half an object is none."""
    server.lacking_bytes = 10
    with pytest.raises(BrokenOffError):
        api.request("GET", PATH)


def test_a_server_that_does_not_answer_in_time_is_unreachable(server: Server, api: Api) -> None:
    """The error says so in plain words."""
    server.lacking_bytes = 10
    server.release.clear()
    with pytest.raises(UnreachableError, match="no answer in time"):
        api.request("GET", PATH, timeout_seconds=0.05)


def test_a_server_that_is_gone_is_unreachable(tmp_path: Path) -> None:
    """No certificate is to blame."""
    with running_server() as server:
        file = kubeconfig(tmp_path, server)
    gone = Api(str(file))
    with pytest.raises(UnreachableError) as raised:
        gone.request("GET", PATH)
    assert not raised.value.is_certificate
    assert "refused" in raised.value.message


def test_without_a_kubeconfig_and_outside_a_pod_there_is_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error knows where it was looked for."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(NoConfigError) as raised:
        Api()
    assert raised.value.places == str(tmp_path / "none")


def in_a_pod(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a pod whose ServiceAccount's files are in a folder."""
    monkeypatch.setenv("KUBECONFIG", str(folder / "none"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    loader = "kubernetes.config.incluster_config"
    monkeypatch.setattr(f"{loader}.SERVICE_TOKEN_FILENAME", str(folder / "token"))
    monkeypatch.setattr(f"{loader}.SERVICE_CERT_FILENAME", str(folder / "ca.crt"))


def test_in_a_pod_the_service_account_is_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no kubeconfig; the address may be of IPv6."""
    in_a_pod(tmp_path, monkeypatch)
    now = datetime.now(UTC).timestamp()
    (tmp_path / "ca.crt").write_bytes(pki.new_authority(now, 9e5).certificate_pem)
    (tmp_path / "token").write_text("t")
    api = Api()
    assert api.host == "https://[fd00::1]:443"
    api.close()


def test_in_a_pod_without_a_token_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mount of the token may be switched off."""
    in_a_pod(tmp_path, monkeypatch)
    with pytest.raises(BadConfigError, match="token file does not exist"):
        Api()


def test_a_list_is_read_page_by_page(server: Server, api: Api) -> None:
    """Each page is asked for with the token of the one before it."""
    server.prepare({"metadata": {"continue": "next"}, "items": [1]})
    pages = api.list_pages(PATH, {"labelSelector": "a=b"}, page_items=2)
    assert next(pages)["items"] == [1]
    server.prepare({"metadata": {"resourceVersion": "7"}, "items": [2]})
    assert [page["items"] for page in pages] == [[2]]
    assert [path.partition("?")[2] for path, _ in server.asked] == [
        "labelSelector=a%3Db&limit=2",
        "labelSelector=a%3Db&limit=2&continue=next",
    ]


def test_a_watch_gives_events_until_the_server_ends_it(server: Server, api: Api) -> None:
    """Each with its version."""
    body = {"metadata": {"resourceVersion": "8"}}
    server.prepare(json.dumps({"type": "ADDED", "object": body}).encode() + b"\n")
    assert list(api.watch(PATH, version="7")) == [Event("ADDED", body, "8")]
    assert "resourceVersion=7&watch=true&allowWatchBookmarks=true" in server.asked[0][0]


def test_a_watch_refused_says_why(server: Server, api: Api) -> None:
    """Before the first event."""
    server.prepare({"message": "too old"}, 410)
    with pytest.raises(GoneError, match="too old"):
        api.watch(PATH, version="1")


def test_a_watch_ends_at_once_when_another_thread_says_so(server: Server, api: Api) -> None:
    """The reader waits for a server that is silent; it is not an error."""
    server.prepare(b'{"type":"ADDED","object":{}}\n')
    server.is_chunked = True
    server.release.clear()
    watch = api.watch(PATH)
    seen: list[Event] = []
    started = threading.Event()

    def read() -> None:
        for event in watch:
            seen.append(event)
            started.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert started.wait(10)
    watch.interrupt()
    reader.join(10)
    assert not reader.is_alive()
    assert len(seen) == 1


def test_a_watch_that_is_left_early_is_closed(server: Server, api: Api) -> None:
    """Its connection is not kept."""
    server.prepare(b'{"type":"ADDED","object":{}}\n' * 2)
    watch = api.watch(PATH)
    next(watch)
    watch.close()
    assert list(watch) == []


def test_threads_share_one_connection(server: Server, api: Api) -> None:
    """Every one of 200 requests of eight threads has its own answer."""
    server.prepare({"kind": "Secret"})
    answers: list[object] = []

    def ask() -> None:
        answers.extend(api.request("GET", PATH)["kind"] for _ in range(25))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["Secret"] * 200
