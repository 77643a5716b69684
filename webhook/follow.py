"""
Follow a collection for ever: a list in pages, then a watch from its version, whatever happens.

What is kept is what a reader makes of each object, so memory does not grow with their size. A watch
that ends in order goes on from the last version seen; 410 Gone means list again; a server that does
not answer is asked again after 1, 2, 4, ... 30 s. Source: Kubernetes API concepts, "Efficient
detection of changes", "Retrieving large results sets in chunks", "410 Gone responses".
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from common.api_types import ApiError, GoneError, Json
from common.telemetry import Log
from webhook import pods
from webhook.connection import Collections, OpenWatch
from webhook.review import place_of

CHANGED, DELETED = ("ADDED", "MODIFIED"), "DELETED"
FIRST_WAIT_SECONDS, LAST_WAIT_SECONDS = 1.0, 30.0
PAGE_ITEMS = 50
"""Pods of a page are in memory at the same time, as decoded JSON of some 50 KiB each."""
_JOIN_SECONDS = 0.05

T = TypeVar("T")


class Kept(Generic[T]):
    """
    What is kept of a collection: one value an object, as made by `read`.

    `read` gets an object and what was kept of it before; None keeps nothing. Reading never waits;
    only `learn` may be called by another thread than the one that follows.
    """

    def __init__(
        self,
        read: Callable[[Json, T | None], T | None],
        key: Callable[[Json], str] = lambda raw: pods.text(pods.metadata(raw).get("name")),
    ) -> None:
        """Keep nothing yet."""
        self._read, self._key = read, key
        self._items: dict[str, T] = {}
        self._listed: set[str] | None = None
        self.is_complete = False
        """Whether everything there was has been seen once."""

    def get(self, key: str) -> T | None:
        """Return what is kept under a key."""
        return self._items.get(key)

    def values(self) -> Iterable[T]:
        """Return all that is kept now."""
        return self._items.copy().values()

    def put(self, raw: Json) -> None:
        """Take in an object as it is now."""
        key = self._key(raw)
        made = self._read(raw, self._items.get(key))
        if made is None:
            self._items.pop(key, None)
            return
        self._items[key] = made
        if self._listed is not None:
            self._listed.add(key)

    def learn(self, raw: Json) -> None:
        """Take in an object that was asked for by itself, unless it is known by now."""
        made = self._read(raw, None)
        if made is not None:
            self._items.setdefault(self._key(raw), made)

    def drop(self, raw: Json) -> None:
        """Forget an object that is gone."""
        self._items.pop(self._key(raw), None)

    def begin(self) -> None:
        """Note that a list of everything begins; a list that broke off counts for nothing."""
        self._listed = set()

    def end(self) -> None:
        """Forget what the list that ends here did not have."""
        listed, self._listed = self._listed or set(), None
        for key in self._items.keys() - listed:
            self._items.pop(key, None)
        self.is_complete = True


class Follower:
    """A thread that keeps a Kept up to date."""

    def __init__(  # noqa: PLR0913 - what a test replaces stands last
        self,
        source: Collections,
        path: str,
        kept: Kept[T],
        log: Log,
        *,
        query: Mapping[str, str] | None = None,
        changed: Callable[[], object] = lambda: None,
        pace: float = 1.0,
    ) -> None:
        """Set up; `changed` is called after a list and each change, `pace` scales the waits."""
        self._source, self._path, self._query = source, path, query
        self._kept, self._log, self._changed, self._pace = kept, log, changed, pace
        self._version = ""
        self._ending = threading.Event()
        self._watch: OpenWatch | None = None
        self._thread = threading.Thread(target=self._run, name=f"follow {path}", daemon=True)
        self.problem = ""
        """Why what is kept may be old; "" while it is not."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Return whether it goes on following."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End it and wait for its end."""
        self._ending.set()
        while self._thread.is_alive():
            watch = self._watch
            if watch is not None:
                watch.interrupt()
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        pause = 0.0
        while not self._ending.is_set():
            try:
                self._version = self._version or self._list()
                self._follow()
                pause = FIRST_WAIT_SECONDS  # a proxy may end every watch at once
            except GoneError:
                self._version, pause = "", FIRST_WAIT_SECONDS
            except ApiError as error:
                self._tell(str(error))
                pause = min(max(FIRST_WAIT_SECONDS, pause * 2), LAST_WAIT_SECONDS)
            self._ending.wait(pause * self._pace)

    def _list(self) -> str:
        """Take in everything there is and return the version to watch from."""
        version = ""
        self._kept.begin()
        for page in self._source.list_pages(self._path, self._query, PAGE_ITEMS):
            self._put_all(page)
            version = pods.text(pods.metadata(page).get("resourceVersion"))
            if self._ending.is_set():
                return version
            del page  # or it would be in memory beside the next one
        self._kept.end()
        self._changed()
        return version

    def _follow(self) -> None:
        """Take in changes until the watch ends."""
        watch = self._watch = self._source.watch(self._path, self._query, self._version)
        self._tell("")
        try:
            for event in watch:
                self._version = event.version or self._version
                if event.kind in CHANGED:
                    self._put(event.body)
                elif event.kind == DELETED:
                    self._kept.drop(event.body)
                else:
                    continue
                self._changed()
        finally:
            self._watch = None
            watch.close()

    def _put_all(self, page: Json) -> None:
        for item in pods.objects(page.get("items")):
            self._put(item)

    def _put(self, raw: Json) -> None:
        try:
            self._kept.put(raw)
        except Exception as error:  # noqa: BLE001 - one odd object must not hide the others
            self._log.error("Passed over an object", path=self._path, err=place_of(error))

    def _tell(self, problem: str) -> None:
        """Note what is wrong, and say it once."""
        if problem and problem != self.problem:
            self._log.warning("Could not follow a collection", path=self._path, err=problem)
        self.problem = problem
