"""The API server's edge against a server on loopback that answers as it should not."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.cluster import Cluster
from cli.errors import CliError, ClusterError, GoneError, InputError
from cli.follow import Event, Query
from tests.answering import NOON, Server, kubeconfig, running_server


@pytest.fixture
def server() -> Iterator[Server]:
    """Give a running server."""
    with running_server() as made:
        yield made


@pytest.fixture
def cluster(server: Server, tmp_path: Path) -> Iterator[Cluster]:
    """Give a connection to it."""
    made = Cluster(str(kubeconfig(tmp_path, server)))
    yield made
    made.close()


def refusal(cluster: Cluster) -> CliError:
    """Return what a LIST raises."""
    with pytest.raises(CliError) as raised:
        cluster.list_nodes(Query())
    return raised.value


def test_a_list_says_who_asks_and_what_for(server: Server, cluster: Cluster) -> None:
    """One request, compressed, answered from memory; the server's clock comes with it."""
    server.prepare({"metadata": {"resourceVersion": "7"}, "items": [{"a": 1}]})
    listing = cluster.list_nodes(Query("pool in (a,b)", "gpu-1"))
    assert (listing.nodes, listing.version, listing.now_seconds) == (({"a": 1},), "7", NOON)
    ((path, headers),) = server.asked
    assert path.startswith("/api/v1/nodes?resourceVersion=0&labelSelector=pool+in+%28a%2Cb%29&")
    assert path.endswith("&fieldSelector=metadata.name%3Dgpu-1")
    named = {key.lower(): value for key, value in headers.items()}
    assert named["authorization"] == "Bearer secret"
    assert named["accept-encoding"] == "gzip"
    assert named["user-agent"].startswith("tunegate/")


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"", b"[]", b"{}", b"[" * 9000])
def test_what_is_no_api_server_is_told(server: Server, cluster: Cluster, body: bytes) -> None:
    """A proxy's page, for one."""
    server.prepare(body)
    assert "does not answer as a Kubernetes API server" in str(refusal(cluster))


def test_an_answer_that_breaks_off_is_told(server: Server, cluster: Cluster) -> None:
    """Half a list is none."""
    server.prepare({"metadata": {}, "items": []})
    server.lacking_bytes = 10
    assert "broke off its answer" in str(refusal(cluster))


def test_without_a_servers_clock_ones_own_will_do(server: Server, cluster: Cluster) -> None:
    """A date that is none."""
    server.date = "noon"
    server.prepare({"metadata": {}, "items": None})
    assert cluster.list_nodes(Query()).now_seconds > 0


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (400, InputError, "cannot read the request: because"),
        (401, ClusterError, "Log in again"),
        (403, ClusterError, "not allowed to list nodes"),
        (404, ClusterError, "answered 404: because"),
        (410, GoneError, "because"),
        (429, ClusterError, "answered 429: because"),
        (503, ClusterError, "answered 503: because"),
    ],
)
def test_each_refusal_has_its_words(
    server: Server, cluster: Cluster, status: int, error: type[CliError], words: str
) -> None:
    """And the class that its exit code comes from; one request each."""
    server.prepare({"message": "because"}, status)
    raised = refusal(cluster)
    assert type(raised) is error
    assert words in str(raised)
    assert len(server.asked) == 1


def test_a_refusal_without_words_is_told_as_such(server: Server, cluster: Cluster) -> None:
    """Not every proxy speaks JSON."""
    server.prepare(b"<html>", 502)
    assert str(refusal(cluster)).endswith("answered 502: no reason given")


def test_a_missing_right_names_verb_and_subject(server: Server, cluster: Cluster) -> None:
    """As the API server words it."""
    said = 'nodes is forbidden: User "system:serviceaccount:a:b" cannot watch resource "nodes"'
    server.prepare({"message": said}, 403)
    text = str(refusal(cluster))
    assert "not allowed to watch nodes" in text
    assert text.endswith("--serviceaccount=a:b")


def watched(server: Server, cluster: Cluster, *lines: object) -> Iterator[Event]:
    """Watch a server that sends these lines and ends."""
    server.prepare(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    return cluster.watch_nodes(Query(), "7")


def test_a_watch_gives_each_event_with_its_version(server: Server, cluster: Cluster) -> None:
    """Bookmarks have one, too; a line that is no event has none."""
    node = {"metadata": {"resourceVersion": "8"}}
    lines = [{"type": "ADDED", "object": node}, {"type": "BOOKMARK", "object": node}, [], {}]
    found = list(watched(server, cluster, *lines))
    assert found[:2] == [Event("ADDED", node, "8"), Event("BOOKMARK", node, "8")]
    assert [one.version for one in found[2:]] == ["", ""]
    ((path, _),) = server.asked
    assert "resourceVersion=7&watch=true&allowWatchBookmarks=true" in path


def test_a_half_line_at_the_end_of_a_watch_is_passed_over(server: Server, cluster: Cluster) -> None:
    """The server was killed while it wrote; the watch goes on from the version before."""
    server.prepare(b'{"type":"ADDED","object":{}}\n{"type":"ADD')
    assert len(list(cluster.watch_nodes(Query(), "7"))) == 1


@pytest.mark.parametrize(("code", "error"), [(410, GoneError), (500, ClusterError)])
def test_an_error_in_a_watch_ends_it(
    server: Server, cluster: Cluster, code: int, error: type[CliError]
) -> None:
    """410 is the one that means listing again."""
    status = {"type": "ERROR", "object": {"code": code, "message": "because"}}
    with pytest.raises(CliError, match="because") as raised:
        list(watched(server, cluster, status))
    assert type(raised.value) is error


def test_a_watch_that_is_cut_is_told(server: Server, cluster: Cluster) -> None:
    """It did not end in order."""
    server.lacking_bytes = 10
    with pytest.raises(ClusterError, match="the watch broke off"):
        list(watched(server, cluster, {"type": "ADDED", "object": {}}))
