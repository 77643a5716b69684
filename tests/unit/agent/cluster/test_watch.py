"""The watch through everything that a stream can do."""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.cluster.client import ClusterClient
from agent.cluster.credentials import Credentials
from agent.cluster.errors import ClusterError, GoneError, UnreachableError
from agent.cluster.watch import NodeWatch
from agent.node import NodeView
from tests.unit.agent.cluster.fake_api import FakeApi, Fault, eventually, node, serve


@dataclass(slots=True)
class Seen:
    """What a watch has told."""

    views: list[NodeView | None] = field(default_factory=list)
    problems: list[ClusterError] = field(default_factory=list)


@pytest.fixture
def told() -> Seen:
    """Collect what the watch tells."""
    return Seen()


@pytest.fixture
def watch(client: ClusterClient, told: Seen) -> Iterator[NodeWatch]:
    """Give a watch that is stopped in the end."""
    one = NodeWatch(client, "n1", told.views.append, told.problems.append)
    yield one
    one.stop()
    assert not one.is_alive


def at(version: int, uid: str = "uid-1") -> dict[str, object]:
    """Return the Node at a resource version."""
    one = node()
    one["metadata"] |= {"resourceVersion": str(version), "uid": uid}
    return one


def watches(api: FakeApi) -> list[str]:
    """Return the paths of the watches that were opened."""
    return [path for _, path in api.requests if "watch=1" in path]


def test_it_reads_once_then_watches_from_there(api: FakeApi, watch: NodeWatch, told: Seen) -> None:
    """One GET, one watch of this one Node, with bookmarks and an end."""
    watch.start()
    eventually(lambda: len(watches(api)) == 1)
    (path,) = watches(api)
    for part in (
        "fieldSelector=metadata.name%3Dn1",
        "resourceVersion=10",
        "allowWatchBookmarks=true",
    ):
        assert part in path
    assert 270 <= int(path.split("timeoutSeconds=")[1]) <= 300
    assert [view.resource_version for view in told.views if view] == ["10"]


def test_changes_are_told_and_bookmarks_only_remembered(
    api: FakeApi, watch: NodeWatch, told: Seen
) -> None:
    """The next watch begins where the bookmark was."""
    watch.start("10")
    api.emit("MODIFIED", at(11))
    api.emit("BOOKMARK", at(99))
    api.feed.put(None)
    eventually(lambda: len(watches(api)) == 2)
    assert "resourceVersion=99" in watches(api)[1]
    assert [view.resource_version for view in told.views if view] == ["11"]
    assert told.problems == []
    assert api.accepted == 1


def test_a_deleted_node_is_told_as_none_and_its_successor_as_itself(
    api: FakeApi, watch: NodeWatch, told: Seen
) -> None:
    """The successor has another uid."""
    watch.start("10")
    api.emit("DELETED", at(11))
    api.emit("ADDED", at(12, "uid-2"))
    eventually(lambda: len(told.views) == 2)
    assert told.views[0] is None
    assert told.views[1] is not None
    assert told.views[1].uid == "uid-2"


def test_a_node_that_is_not_there_yet_is_awaited(
    api: FakeApi, watch: NodeWatch, told: Seen
) -> None:
    """The agent may be faster than the Node's creation."""
    api.node = None
    watch.start()
    eventually(lambda: len(watches(api)) == 1)
    assert told.views == [None]
    api.emit("ADDED", at(12))
    eventually(lambda: len(told.views) == 2)


@pytest.mark.parametrize("in_stream", [True, False])
def test_410_reads_the_node_anew(
    api: FakeApi, watch: NodeWatch, told: Seen, *, in_stream: bool
) -> None:
    """It comes as a status or as an event; it is no problem worth telling."""
    if in_stream:
        api.emit("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})
    else:
        api.faults = [Fault(status=410)]
    watch.start("1")
    eventually(lambda: len(watches(api)) == 2)
    assert "resourceVersion=10" in watches(api)[1]
    assert [view.resource_version for view in told.views if view] == ["10"]
    assert told.problems == []


@pytest.mark.parametrize(
    "line", [b"not json\n", b"[]\n", b'{"type":"MODIFIED"}\n', b'"x"\n', b"\n"]
)
def test_garbage_in_the_stream_is_told_and_survived(
    api: FakeApi, watch: NodeWatch, told: Seen, line: bytes
) -> None:
    """The watch goes on from the last good event."""
    watch.start("10")
    api.emit("MODIFIED", at(11))
    api.feed.put(line)
    eventually(lambda: len(watches(api)) == 2)
    assert "resourceVersion=11" in watches(api)[1]
    assert told.problems


def test_a_line_torn_by_the_end_of_the_stream_is_not_taken(
    api: FakeApi, watch: NodeWatch, told: Seen
) -> None:
    """Half an event is no event."""
    watch.start("10")
    api.feed.put(b'{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"11"')
    api.feed.put(None)
    eventually(lambda: len(watches(api)) == 2)
    assert told.views == []
    assert "resourceVersion=10" in watches(api)[1]


def test_a_stream_cut_in_the_middle_is_told_and_taken_up_again(
    api: FakeApi, watch: NodeWatch, told: Seen
) -> None:
    """A reset is a problem; the resource version is kept."""
    watch.start("10")
    api.emit("MODIFIED", at(11))
    api.feed.put(b'{"type":"MODI')
    api.feed.put(b"")
    eventually(lambda: len(watches(api)) == 2)
    assert "resourceVersion=11" in watches(api)[1]
    assert isinstance(told.problems[0], UnreachableError)


def test_an_outage_is_ridden_out(api: FakeApi, watch: NodeWatch, told: Seen) -> None:
    """Refused, refused, refused, back: the change made meanwhile is told."""
    api.faults = [Fault(drop=True), Fault(status=503), Fault(status=403), Fault(status=401)]
    watch.start("10")
    api.emit("MODIFIED", at(11))
    eventually(lambda: len(told.views) == 1)
    assert [problem.status for problem in told.problems] == [0, 503, 403, 401]


def test_a_server_that_ends_every_watch_at_once_is_not_hammered(
    api: FakeApi, watch: NodeWatch
) -> None:
    """The tries grow apart though none of them is an error."""
    for _ in range(1000):
        api.feed.put(None)
    watch.start("10")
    eventually(lambda: len(watches(api)) >= 2)
    before = len(watches(api))
    time.sleep(1.0)
    assert len(watches(api)) <= before + 8


def test_a_half_open_stream_is_noticed(api: FakeApi, client: ClusterClient) -> None:
    """A server that neither speaks nor ends in time is given up."""
    stream = client.node_stream("n1")
    stream.grace_seconds = 0.1
    with pytest.raises(UnreachableError, match="timed out"):
        list(stream.events("10", timeout_seconds=1))
    stream.close()


def test_the_next_watch_waits_no_longer_for_its_answer(api: FakeApi) -> None:
    """The patience with the first one's stream does not stay with the kept connection."""
    stream = ClusterClient(api.credentials, timeout_seconds=2).node_stream("n1")
    api.feed.put(None)
    assert not list(stream.events("10", timeout_seconds=60))
    api.faults = [Fault(hang_seconds=60)]
    api.feed.put(None)
    with pytest.raises(UnreachableError, match="timed out"):
        list(stream.events("10", timeout_seconds=60))
    assert api.accepted == 1
    stream.close()


def test_too_old_is_raised_as_gone(api: FakeApi, client: ClusterClient) -> None:
    """The caller reads again then."""
    api.faults = [Fault(status=410)]
    stream = client.node_stream("n1")
    with pytest.raises(GoneError):
        list(stream.events("1"))
    stream.close()


@pytest.mark.parametrize("pause_seconds", [0.0, 0.001, 0.01, 0.05, 0.2])
def test_stop_is_prompt_at_any_moment(
    api: FakeApi, client: ClusterClient, pause_seconds: float
) -> None:
    """While connecting, shaking hands, reading or waiting: no thread and no socket is left."""
    client.close()
    before = len(list(Path("/proc/self/fd").iterdir()))
    threads = threading.active_count()
    watch = NodeWatch(client, "n1", lambda _view: None, lambda _error: None)
    watch.start("10")
    time.sleep(pause_seconds)
    watch.stop()
    assert not watch.is_alive
    api.cut_connections()
    eventually(lambda: threading.active_count() <= threads)
    api.connections.clear()
    eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)


def test_stop_is_prompt_while_a_silent_peer_is_being_greeted(tmp_path: Path, api: FakeApi) -> None:
    """A peer that accepts and says nothing holds nobody up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        files = api.credentials
        credentials = Credentials(
            "127.0.0.1", silent.getsockname()[1], files.token_file, files.ca_file
        )
        client = ClusterClient(credentials, timeout_seconds=30)
        watch = NodeWatch(client, "n1", lambda _view: None, lambda _error: None)
        watch.start("10")
        silent.accept()[0].close()
        time.sleep(0.2)
        watch.stop()
        assert not watch.is_alive


def test_a_server_that_restarts_is_watched_again(tmp_path: Path) -> None:
    """The same port, another process: the watch finds it within its back-off."""
    api = FakeApi(node(), tmp_path)
    told = Seen()
    with serve(api):
        client = ClusterClient(api.credentials, timeout_seconds=20)
        watch = NodeWatch(client, "n1", told.views.append, told.problems.append)
        watch.start("10")
        eventually(lambda: len(watches(api)) == 1)
    with serve(api, api.port):
        eventually(lambda: len(watches(api)) >= 2)
        api.emit("MODIFIED", at(11))
        eventually(lambda: len(told.views) == 1)
        watch.stop()
        client.close()
    assert told.problems
