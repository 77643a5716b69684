"""The client against a real HTTPS server that misbehaves."""

import json
import socket
from pathlib import Path

import pytest

from agent.cluster.client import ClusterClient
from agent.cluster.credentials import Credentials
from agent.cluster.errors import (
    ClusterError,
    ConflictError,
    CredentialsError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    RefusedError,
    ServerError,
    StaleError,
    ThrottledError,
    UnauthorizedError,
    UnreachableError,
)
from tests.lab.pki import Authority
from tests.unit.agent.cluster.fake_api import FakeApi, Fault, serve

FORBIDDEN = json.dumps(
    {"message": 'nodes "n1" is forbidden: User "x" cannot patch resource "nodes/status" in ...'}
).encode()


def test_requests_share_one_connection(api: FakeApi, client: ClusterClient) -> None:
    """A join pays for one handshake."""
    assert client.get_node("n1").uid == "uid-1"
    client.patch_node("n1", [{"op": "add", "path": "/metadata/labels/x", "value": "y"}])
    client.create_event({"reason": "Tuned"})
    assert api.accepted == 1
    assert api.events == [{"reason": "Tuned"}]


def test_the_hook_hears_of_every_request(
    api: FakeApi, client: ClusterClient, seen: list[tuple[str, int]]
) -> None:
    """What the metrics count is what went over the wire."""
    client.get_node("n1")
    api.faults = [Fault(status=409)]
    with pytest.raises(ConflictError):
        client.patch_status("n1", {})
    assert seen == [("get", 200), ("patch", 409)]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidError),
        (404, NotFoundError),
        (405, RefusedError),
        (409, ConflictError),
        (422, InvalidError),
        (429, ThrottledError),
        (500, ServerError),
        (503, ServerError),
        (302, ServerError),
    ],
)
def test_each_status_has_its_error(
    api: FakeApi, client: ClusterClient, status: int, kind: type[ClusterError]
) -> None:
    """The caller decides by type, never by number."""
    api.faults = [Fault(status=status, body=b'{"message":"because"}')]
    with pytest.raises(kind, match=r"get nodes n1.*because") as caught:
        client.get_node("n1")
    assert caught.value.status == status


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_what_another_writer_causes_means_read_again(
    api: FakeApi, client: ClusterClient, status: int
) -> None:
    """All of them are one kind of error."""
    api.faults = [Fault(status=status)]
    with pytest.raises(StaleError):
        client.get_node("n1")


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("soon", 0.0), ("²", 0.0), ("-1", 0.0)]
)
def test_retry_after_is_passed_on(
    api: FakeApi, client: ClusterClient, header: str, seconds: float
) -> None:
    """A server that asks for patience says how much, or garbage."""
    api.faults = [Fault(status=429, headers=(("Retry-After", header),))]
    with pytest.raises(ThrottledError) as caught:
        client.get_node("n1")
    assert caught.value.retry_after_seconds == seconds


def test_a_missing_permission_is_named_as_a_rule(api: FakeApi, client: ClusterClient) -> None:
    """The reader can paste it into the role."""
    api.faults = [Fault(status=403, body=FORBIDDEN)]
    with pytest.raises(ForbiddenError) as caught:
        client.patch_status("n1", {})
    assert str(caught.value).startswith(
        'ServiceAccount may not patch nodes/status: add verb "patch" on resource "nodes/status" '
        '(apiGroup "") to ClusterRole tunegate-agent'
    )


@pytest.mark.parametrize("status", [403, 422])
def test_an_admission_refusal_is_not_called_a_missing_rule(
    api: FakeApi, client: ClusterClient, status: int
) -> None:
    """RBAC advice would lead astray there, and reading again would not help."""
    api.faults = [Fault(status=status, body=b'{"message":"p denied request: not your node"}')]
    with pytest.raises(ForbiddenError, match="not your node") as caught:
        client.patch_status("n1", {})
    assert "add verb" not in str(caught.value)


def test_a_rotated_token_is_read_anew(api: FakeApi, client: ClusterClient) -> None:
    """The kubelet replaces the token within the hour."""
    client.get_node("n1")
    (api.folder / "token").write_text("second", encoding="ascii")
    client.get_node("n1")
    assert api.tokens == ["first", "second"]


def test_401_is_tried_once_more_with_the_token_of_now(api: FakeApi, client: ClusterClient) -> None:
    """The token may have been replaced between reading it and sending it."""

    def rotate() -> None:
        (api.folder / "token").write_text("second", encoding="ascii")

    api.faults = [Fault(status=401, before=rotate)]
    assert client.get_node("n1").uid == "uid-1"
    assert api.tokens == ["first", "second"]
    api.faults = [Fault(status=401), Fault(status=401)]
    with pytest.raises(UnauthorizedError):
        client.get_node("n1")


def test_a_stale_kept_connection_is_replaced(
    api: FakeApi, client: ClusterClient, seen: list[tuple[str, int]]
) -> None:
    """API servers close idle connections after 90 s; nobody should notice."""
    client.get_node("n1")
    api.cut_connections()
    view = client.patch_node("n1", [{"op": "add", "path": "/metadata/labels/x", "value": "y"}])
    assert view.labels["x"] == "y"
    assert api.accepted == 2
    assert seen == [("get", 200), ("patch", 200)]


def test_a_kept_connection_dropped_after_the_request_is_retried_once(
    api: FakeApi, client: ClusterClient
) -> None:
    """The server went away with our request in hand; a second drop is an error."""
    client.get_node("n1")
    api.faults = [Fault(drop=True)]
    assert client.get_node("n1").uid == "uid-1"
    api.faults = [Fault(drop=True), Fault(drop=True)]
    with pytest.raises(UnreachableError):
        client.get_node("n1")


def test_a_fresh_connection_that_is_dropped_is_not_retried(
    api: FakeApi, client: ClusterClient
) -> None:
    """Trying again at once is for connections that had time to grow stale."""
    api.faults = [Fault(drop=True)]
    with pytest.raises(UnreachableError):
        client.get_node("n1")
    assert len(api.requests) == 1


def test_a_silent_server_times_out(api: FakeApi) -> None:
    """No request hangs the agent."""
    api.faults = [Fault(hang_seconds=60)]
    client = ClusterClient(api.credentials, timeout_seconds=0.5)
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1 port \d+: .*timed out"):
        client.get_node("n1")
    client.close()


def test_a_server_that_comes_back_is_reached_again(api: FakeApi, client: ClusterClient) -> None:
    """Nothing of the outage sticks to the client."""
    api.faults = [Fault(drop=True)]
    with pytest.raises(UnreachableError):
        client.get_node("n1")
    assert client.get_node("n1").uid == "uid-1"


def test_nobody_listening_is_unreachable(tmp_path: Path) -> None:
    """A refused connection names the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    Authority.create(tmp_path)
    (tmp_path / "token").write_text("t", encoding="ascii")
    credentials = Credentials("127.0.0.1", port, f"{tmp_path}/token", f"{tmp_path}/ca.crt")
    with pytest.raises(UnreachableError, match=f"port {port}: .*refused"):
        ClusterClient(credentials).get_node("n1")


def test_a_server_of_another_ca_is_not_talked_to(api: FakeApi, client: ClusterClient) -> None:
    """The token never goes to a stranger."""
    Authority.create(api.folder / "other")
    (api.folder / "other" / "ca.crt").replace(api.folder / "ca.crt")
    with pytest.raises(UnreachableError, match="certificate verify failed"):
        client.get_node("n1")
    assert api.requests == []


def test_a_ca_that_is_renewed_is_seen(api: FakeApi, client: ClusterClient, tmp_path: Path) -> None:
    """A long-lived agent survives a new cluster CA."""
    client.get_node("n1")
    fresh = FakeApi(api.node, tmp_path / "fresh")
    with serve(fresh):
        (fresh.folder / "ca.crt").replace(api.folder / "ca.crt")
        (fresh.folder / "tls.pem").replace(api.folder / "tls.pem")
        api.cut_connections()
        assert client.get_node("n1").uid == "uid-1"


def test_an_unusable_ca_file_is_named(api: FakeApi, client: ClusterClient) -> None:
    """The message holds the path."""
    (api.folder / "ca.crt").write_text("garbage", encoding="ascii")
    with pytest.raises(CredentialsError, match=r"CA file .*ca\.crt"):
        client.get_node("n1")


@pytest.mark.parametrize("token", ["", "\n", "two words", "line\nbreak", "tök"])
def test_a_file_without_a_token_is_named(api: FakeApi, client: ClusterClient, token: str) -> None:
    """Garbage never reaches a header."""
    (api.folder / "token").write_text(token, encoding="utf-8")
    with pytest.raises(CredentialsError, match=r"token file .*token"):
        client.get_node("n1")


@pytest.mark.parametrize("body", [b"", b"<html>", b"{"])
def test_an_answer_that_is_not_json_is_the_servers_fault(
    api: FakeApi, client: ClusterClient, body: bytes
) -> None:
    """A proxy in the way is reported as such."""
    api.faults = [Fault(status=200, body=body)]
    with pytest.raises(ServerError, match="not JSON"):
        client.get_node("n1")


def test_an_event_that_is_there_already_counts_as_posted(
    api: FakeApi, client: ClusterClient
) -> None:
    """It was sent twice because the first answer got lost."""
    api.faults = [Fault(status=409)]
    client.create_event({"reason": "Tuned"})


def test_a_connection_that_the_server_ends_is_replaced_without_a_retry(
    api: FakeApi, client: ClusterClient
) -> None:
    """It said so: the next request begins a new one."""
    api.faults = [Fault(status=409, headers=(("Connection", "close"),))]
    with pytest.raises(ConflictError):
        client.get_node("n1")
    assert client.get_node("n1").uid == "uid-1"
    assert (api.accepted, len(api.requests)) == (2, 2)


def test_an_answer_of_unclear_length_is_no_answer(api: FakeApi, client: ClusterClient) -> None:
    """What cannot be read is not guessed at; the next request begins anew."""
    api.faults = [Fault(status=200, headers=(("Transfer-Encoding", "chunked"),), body=b"{}")]
    with pytest.raises(UnreachableError, match="length is unclear"):
        client.get_node("n1")
    assert client.get_node("n1").uid == "uid-1"
