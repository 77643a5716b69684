"""
What namespaces and StorageClasses say to tunegate, read without waiting.

Each replica watches them. What is not known yet reads as empty, and is asked for in the background,
so that the next pod of a new namespace finds it.
"""

import queue
import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from common.api_types import ApiError
from common.telemetry import Log
from webhook import pods
from webhook.connection import Connection
from webhook.follow import Follower, Kept
from webhook.marks import marks
from webhook.policy import Namespace

_MISSES: Final = 64
_ASKED: Final = 1024
_TICK_SECONDS: Final = 1.0


class Marks:
    """A background part that keeps the labels and annotations of ours of one collection."""

    def __init__(
        self, api: Connection, path: str, name: str, log: Log, *, pace: float = 1.0
    ) -> None:
        """Keep nothing yet; `name` is the part's."""
        self._api, self._path, self.name = api, path, name
        self._log, self._pace = log, pace
        self._kept: Kept[Namespace] = Kept(lambda raw, _: marks(raw))
        self._misses: queue.Queue[str] = queue.Queue(_MISSES)
        self._asked: OrderedDict[str, None] = OrderedDict()

    @property
    def is_complete(self) -> bool:
        """Return whether all there were have been seen once."""
        return self._kept.is_complete

    def get(self, name: str) -> Namespace:
        """Return what is known of one; empty where nothing is. Never waits."""
        found = self._kept.get(name)
        if found is not None or not pods.is_object_name(name):
            return found or Namespace()
        with suppress(queue.Full):  # the list or the watch will bring it
            self._misses.put_nowait(name)
        return Namespace(name)

    def run(self, stop: threading.Event) -> None:
        """Follow the collection, and ask for what was missed, until told to stop."""
        follower = Follower(self._api, self._path, self._kept, self._log, pace=self._pace)
        follower.start()
        try:
            while not stop.is_set():
                if not follower.is_alive():
                    raise RuntimeError(f"the thread that follows {self._path} has died")
                if not self._ask_for_one():
                    stop.wait(_TICK_SECONDS * self._pace)
        finally:
            follower.close()

    def _ask_for_one(self) -> bool:
        """Ask for what was missed first, if anything was; return whether no request failed."""
        try:
            name = self._misses.get(timeout=_TICK_SECONDS * self._pace)
        except queue.Empty:
            return True
        if self._kept.get(name) is not None or name in self._asked:
            return True
        self._asked[name] = None  # once each: the watch brings what changes
        if len(self._asked) > _ASKED:
            self._asked.popitem(last=False)
        try:
            self._kept.learn(self._api.request("GET", f"{self._path}/{name}"))
        except ApiError:
            self._asked.pop(name, None)
            return False
        return True


class Namespaces(Marks):
    """The namespaces' marks; needs `get`, `list` and `watch` on namespaces."""

    def __init__(self, api: Connection, log: Log, *, pace: float = 1.0) -> None:
        """Keep nothing yet."""
        super().__init__(api, "/api/v1/namespaces", "namespaces", log, pace=pace)


class StorageClasses(Marks):
    """The StorageClasses' marks; needs `get`, `list` and `watch` on storageclasses."""

    def __init__(self, api: Connection, log: Log, *, pace: float = 1.0) -> None:
        """Keep nothing yet."""
        super().__init__(
            api, "/apis/storage.k8s.io/v1/storageclasses", "storage-classes", log, pace=pace
        )

    def annotations(self, name: str) -> Mapping[str, str]:
        """Return the annotations of one that are ours; never waits."""
        return self.get(name).annotations
