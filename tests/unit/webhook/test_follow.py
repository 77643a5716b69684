"""Collections that are followed, whatever the API server does, and the marks read from them."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from common.api_types import ApiError, BrokenOffError, GoneError
from common.telemetry import Log
from tests.unit.webhook.fake_api import FakeApi
from webhook.decisions import Json
from webhook.follow import PAGE_ITEMS, Follower, Kept
from webhook.namespaces import Marks, Namespaces, StorageClasses
from webhook.policy import Namespace

PATH = "/api/v1/namespaces"
PACE = 0.005
LOG = Log("json", io.StringIO())


def namespace(name: str, label: str = "x") -> Json:
    """Return a Namespace with a label of ours and one of somebody else."""
    marks = {"tunegate.io/inject": label, "theirs": "y"}
    return {"metadata": {"name": name, "labels": marks, "annotations": {"theirs": "long" * 1000}}}


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; raises TimeoutError."""
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.001)


def labels() -> Kept[str]:
    """Return what keeps the label's value of each object."""
    return Kept(lambda raw, _: raw["metadata"]["labels"].get("tunegate.io/inject"))


@contextmanager
def following(api: FakeApi, kept: Kept[str]) -> Iterator[Follower]:
    """Give a follower that runs."""
    follower = Follower(api, PATH, kept, LOG, pace=PACE)
    follower.start()
    try:
        yield follower
    finally:
        follower.close()
    assert not follower.is_alive()
    assert all(watches == [] for watches in api.watches.values())


def test_what_is_there_and_what_changes_is_kept() -> None:
    """Page by page, then by the watch; one list for ever."""
    api, kept = FakeApi(), labels()
    count = 2 * PAGE_ITEMS + 1
    for number in range(count):
        api.put(PATH, namespace(f"n-{number}"))
    with following(api, kept):
        eventually(lambda: kept.is_complete)
        assert len(list(kept.values())) == count
        api.put(PATH, namespace("n-0", "new"))
        api.put(PATH, namespace("late"))
        api.delete(PATH, "n-1")
        eventually(lambda: kept.get("n-0") == "new" and kept.get("n-1") is None)
        assert kept.get("late") == "x"
    assert sum(request == ("LIST", PATH) for request in api.requests) == 3


@pytest.mark.parametrize("how", [None, BrokenOffError("fake", "reset")])
def test_a_watch_that_ends_goes_on_where_it_was(how: ApiError | None) -> None:
    """In order or not, without a second list, and nothing in between is missed."""
    api, kept = FakeApi(), labels()
    api.put(PATH, namespace("a"))
    with following(api, kept):
        eventually(lambda: bool(api.watches.get(PATH)))
        api.down = True
        api.end_watches(how)
        api.put(PATH, namespace("b"))
        api.delete(PATH, "a")
        api.down = False
        eventually(lambda: kept.get("b") == "x" and kept.get("a") is None)
    assert sum(verb == "LIST" for verb, _ in api.requests) == 1


def test_a_version_that_is_gone_means_list_again() -> None:
    """What went away meanwhile is forgotten."""
    api, kept = FakeApi(), labels()
    api.put(PATH, namespace("a"))
    with following(api, kept):
        eventually(lambda: bool(api.watches.get(PATH)))
        api.down = True
        api.end_watches()
        eventually(lambda: not api.watches[PATH])
        api.put(PATH, namespace("b"))
        api.delete(PATH, "a")
        api.deleted.clear()
        api.oldest = 4
        api.down = False
        eventually(lambda: kept.get("b") == "x" and kept.get("a") is None)
    assert sum(verb == "LIST" for verb, _ in api.requests) == 2


def test_a_list_that_broke_off_empties_nothing() -> None:
    """Half a list is no news of what is gone; the problem is told meanwhile."""
    api, kept = FakeApi(), labels()
    for number in range(PAGE_ITEMS + 1):
        api.put(PATH, namespace(f"n-{number}"))
    with following(api, kept) as follower:
        eventually(lambda: bool(api.watches.get(PATH)))
        api.refusals = [ApiError(500, "InternalError", "etcd")] * 3
        api.end_watches(GoneError(410, "Expired", "too old"))
        eventually(lambda: not api.refusals)
        assert len(list(kept.values())) == PAGE_ITEMS + 1
        eventually(lambda: bool(api.watches[PATH]) and not follower.problem)


def test_without_rights_it_goes_on_asking() -> None:
    """A role may be given later; until then nothing is known, and why is told."""
    api, kept = FakeApi(), labels()
    original = api.list_pages
    api.list_pages = refused  # type: ignore[method-assign]  # a role that lacks a rule
    with following(api, kept) as follower:
        eventually(lambda: "forbidden" in follower.problem)
        assert not kept.is_complete
        api.list_pages = original  # type: ignore[method-assign]  # see above
        eventually(lambda: kept.is_complete)


def refused(*_: object, **__: object) -> Iterator[Json]:
    """Answer a list as an API server does where a role lacks it."""
    raise ApiError(403, "Forbidden", "namespaces is forbidden")


def test_an_object_that_cannot_be_read_hides_no_other() -> None:
    """It is passed over."""
    api, kept = FakeApi(), labels()
    api.put(PATH, {"metadata": {"name": "odd", "labels": None}})
    api.put(PATH, namespace("a"))
    with following(api, kept):
        eventually(lambda: kept.is_complete)
        assert (kept.get("odd"), kept.get("a")) == (None, "x")


@contextmanager
def running(marks: Marks) -> Iterator[None]:
    """Run a part in its thread."""
    stop = threading.Event()
    thread = threading.Thread(target=marks.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_marks_are_read_without_waiting_and_without_what_is_not_ours() -> None:
    """A namespace may hold a quarter of a megabyte of annotations."""
    api = FakeApi()
    namespaces = Namespaces(api, LOG, pace=PACE)
    api.put(PATH, namespace("a", "disabled"))
    assert namespaces.get("a") == Namespace("a")
    assert namespaces.get("") == Namespace()
    with running(namespaces):
        eventually(lambda: namespaces.is_complete)
        assert namespaces.get("a") == Namespace("a", {"tunegate.io/inject": "disabled"}, {})


def test_what_is_missed_is_asked_for_in_the_background() -> None:
    """A list that is refused leaves the single object, once each."""
    api = FakeApi()
    namespaces = Namespaces(api, LOG, pace=PACE)
    api.put(PATH, namespace("a", "disabled"))
    original = api.list_pages
    api.list_pages = refused  # type: ignore[method-assign]  # get is allowed, list is not
    with running(namespaces):
        assert namespaces.get("a") == Namespace("a")
        eventually(lambda: namespaces.get("a").labels == {"tunegate.io/inject": "disabled"})
        gets = [request for request in api.requests if request[0] == "GET"]
        assert gets == [("GET", f"{PATH}/a")]
        api.list_pages = original  # type: ignore[method-assign]  # see above
        eventually(lambda: namespaces.is_complete)


@pytest.mark.parametrize("name", ["", "a/secrets/b", "../x", "A", "x" * 10_000, "a?watch=1"])
def test_what_is_no_name_is_not_asked_for(name: str) -> None:
    """A review may come from anybody: it names no path, and fills no queue."""
    api = FakeApi()
    namespaces = Namespaces(api, LOG, pace=PACE)
    with running(namespaces):
        assert namespaces.get(name) == Namespace()
        eventually(lambda: namespaces.is_complete)
        api.put(PATH, namespace("a"))
        eventually(lambda: bool(namespaces.get("a").labels))
    assert {path for verb, path in api.requests if verb == "GET"} <= {f"{PATH}/a"}


def test_many_misses_are_bounded() -> None:
    """While the thread waits for an answer, ten thousand names cost neither memory nor time."""
    api = FakeApi()
    namespaces = Namespaces(api, LOG, pace=PACE)
    for number in range(10_000):
        assert namespaces.get(f"n-{number}") == Namespace(f"n-{number}")
    with running(namespaces):
        eventually(lambda: len(asked_for(api)) >= 64 and namespaces.is_complete)
    assert asked_for(api) == [f"{PATH}/n-{number}" for number in range(64)]


def asked_for(api: FakeApi) -> list[str]:
    """Return the objects that were asked for by name."""
    return [path for verb, path in api.requests.copy() if verb == "GET"]


def test_a_storage_classs_annotations_are_read_by_name() -> None:
    """Those of ours; an unknown class has none."""
    api = FakeApi()
    classes = StorageClasses(api, LOG, pace=PACE)
    path = "/apis/storage.k8s.io/v1/storageclasses"
    ours = {"tunegate.io/nfs-options": "enabled"}
    api.put(path, {"metadata": {"name": "models", "annotations": {**ours, "theirs": "x"}}})
    with running(classes):
        eventually(lambda: classes.annotations("models") == ours)
        assert classes.annotations("other") == {}
