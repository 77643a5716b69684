"""An API server in memory: objects by path, pages, watches, conflicts, and being away."""

import copy
import itertools
import queue
import threading
from collections.abc import Iterator, Mapping

from common.api_types import (
    ApiError,
    ConflictError,
    Event,
    GoneError,
    NotFoundError,
    UnreachableError,
)
from webhook.decisions import Json


class FakeWatch:
    """Events from a queue; an exception in it is raised, None ends the watch."""

    def __init__(self, api: "FakeApi", path: str) -> None:
        """Begin with what happens from now on."""
        self.events: queue.Queue[Event | ApiError | None] = queue.Queue()
        self._api, self._path = api, path

    def __iter__(self) -> Iterator[Event]:
        """Yield until it ends."""
        while (event := self.events.get()) is not None:
            if isinstance(event, ApiError):
                raise event
            yield event

    def interrupt(self) -> None:
        """End it."""
        self.events.put(None)

    def close(self) -> None:
        """Hear no more."""
        self._api.watches[self._path].remove(self)


class FakeApi:
    """Objects of any kind by the path of their collection; `down` makes it answer nobody."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._lock = threading.RLock()
        self._versions = itertools.count(1)
        self._objects: dict[str, dict[str, Json]] = {}
        self.deleted: dict[str, list[tuple[int, Json]]] = {}
        self.watches: dict[str, list[FakeWatch]] = {}
        self.down = False
        self.oldest = 0
        """Watches and pages from an older version are gone."""
        self.refusals: list[ApiError] = []
        """What the next requests are answered with."""
        self.requests: list[tuple[str, str]] = []

    def _enter(self, method: str, path: str) -> None:
        self.requests.append((method, path))
        if self.down:
            raise UnreachableError("fake", "connection refused")
        if self.refusals:
            raise self.refusals.pop(0)

    def put(self, collection: str, raw: Json) -> Json:
        """Create or replace an object, as somebody else would."""
        with self._lock:
            kept = copy.deepcopy(raw)
            version = next(self._versions)
            kept.setdefault("metadata", {})["resourceVersion"] = str(version)
            found = self._objects.setdefault(collection, {})
            kind = "MODIFIED" if kept["metadata"]["name"] in found else "ADDED"
            found[kept["metadata"]["name"]] = kept
            self._send(collection, Event(kind, copy.deepcopy(kept), str(version)))
            return copy.deepcopy(kept)

    def delete(self, collection: str, name: str) -> None:
        """Delete an object, as somebody else would."""
        with self._lock:
            gone = self._objects[collection].pop(name)
            version = next(self._versions)
            self.deleted.setdefault(collection, []).append((version, gone))
            self._send(collection, Event("DELETED", gone, str(version)))

    def get(self, path: str) -> Json:
        """Return an object as it is."""
        collection, _, name = path.rpartition("/")
        with self._lock:
            return copy.deepcopy(self._objects[collection][name])

    def names(self, collection: str) -> set[str]:
        """Return what is there."""
        with self._lock:
            return set(self._objects.get(collection, {}))

    def end_watches(self, how: ApiError | None = None) -> None:
        """End all watches, in order or by an error."""
        with self._lock:
            for watch in itertools.chain.from_iterable(self.watches.values()):
                watch.events.put(how)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "",
        timeout_seconds: float = 0,
    ) -> Json:
        """Answer one request."""
        del query, content_type, timeout_seconds
        with self._lock:
            self._enter(method, path)
            body = body or {}
            if method == "POST":
                name = body["metadata"]["name"]
                if name in self._objects.get(path, {}):
                    raise ConflictError(409, "AlreadyExists", f"{name} already exists")
                return self.put(path, body)
            collection, _, name = path.rpartition("/")
            if name not in self._objects.get(collection, {}):
                raise NotFoundError(404, "NotFound", f"{name} not found")
            there = self._objects[collection][name]
            if method == "GET":
                return copy.deepcopy(there)
            wanted = body.get("metadata", {}).get("resourceVersion")
            if wanted not in (None, there["metadata"]["resourceVersion"]):
                raise ConflictError(409, "Conflict", "the object has been modified")
            made = _merged(there, body)
            assert isinstance(made, dict)
            return self.put(collection, made)

    def list_pages(
        self, path: str, query: Mapping[str, str] | None = None, page_items: int = 500
    ) -> Iterator[Json]:
        """Yield what was there when the list began."""
        del query
        with self._lock:
            self._enter("LIST", path)
            items = copy.deepcopy(list(self._objects.get(path, {}).values()))
            version = str(next(self._versions))
        for first in range(0, max(len(items), 1), page_items):
            with self._lock:
                if first:
                    self._enter("LIST", path)
                if int(version) < self.oldest:
                    raise GoneError(410, "Expired", "the continue token is too old")
            yield {
                "metadata": {"resourceVersion": version},
                "items": items[first : first + page_items],
            }

    def watch(
        self, path: str, query: Mapping[str, str] | None = None, version: str = ""
    ) -> FakeWatch:
        """Open a watch that begins with what has happened since."""
        del query
        with self._lock:
            self._enter("WATCH", path)
            if int(version) < self.oldest:
                raise GoneError(410, "Expired", "too old resource version")
            opened = FakeWatch(self, path)
            for event in self._since(path, int(version)):
                opened.events.put(event)
            self.watches.setdefault(path, []).append(opened)
            return opened

    def _since(self, path: str, version: int) -> list[Event]:
        found = []
        for raw in self._objects.get(path, {}).values():
            number = int(raw["metadata"]["resourceVersion"])
            if number > version:
                found.append((number, Event("MODIFIED", copy.deepcopy(raw), str(number))))
        for number, raw in self.deleted.get(path, []):
            if number > version:
                found.append((number, Event("DELETED", raw, str(number))))
        return [event for _, event in sorted(found, key=lambda one: one[0])]

    def _send(self, collection: str, event: Event) -> None:
        for watch in self.watches.get(collection, []):
            watch.events.put(event)


def _merged(there: object, patch: object) -> object:
    """Return a JSON merge patch's result (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    made = dict(there) if isinstance(there, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = _merged(made.get(key), value)
    return made
