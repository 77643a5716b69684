"""
Reads the PersistentVolumes that this node's mounts are named after, one GET each, when needed.

Never on the loop's thread and never before the gate is open: a mount is judged without its volume
first, and again when that was read.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping

from agent.cluster.client import ClusterClient
from agent.cluster.errors import ClusterError, NotFoundError
from agent.volumes import Volume

RETRY_SECONDS = 60.0


class VolumeReader:
    """Remembers what was read of the volumes in use; implements ports.Volumes."""

    def __init__(
        self,
        client: ClusterClient,
        is_allowed: Callable[[], bool],
        on_read: Callable[[], None],
    ) -> None:
        """
        Read nothing yet.

        Args:
            client: the API server, by a connection of its own.
            is_allowed: whether requests may be made yet.
            on_read: called on the reader's thread when something new is known.
        """
        self._client = client
        self._is_allowed = is_allowed
        self._on_read = on_read
        self._known: dict[str, Volume | None] = {}
        self._problem = ""
        self._retry_seconds = 0.0
        self._is_reading = False
        self._thread: threading.Thread | None = None

    def known(self, names: Collection[str]) -> tuple[Mapping[str, Volume], str]:
        """Return the volumes of these names that were read, and why others could not be."""
        is_reading = self._is_reading  # first: what the thread finds from now on must not be lost
        known = {name: self._known[name] for name in names if name in self._known}
        missing = [name for name in names if name not in known]
        if not is_reading:
            self._known = known  # what is mounted again later is read again
        if missing and not is_reading and self._is_allowed() and self._is_due():
            self._is_reading = True
            self._thread = threading.Thread(
                target=self._read, args=(missing,), name="volume-reader", daemon=True
            )
            self._thread.start()
        return {name: volume for name, volume in known.items() if volume}, self._problem

    def close(self) -> None:
        """Wait for a request that is under way, and close the connection."""
        if self._thread:
            self._thread.join(timeout=10)
        self._client.close()

    def _is_due(self) -> bool:
        return time.monotonic() >= self._retry_seconds

    def _read(self, names: Collection[str]) -> None:
        found: dict[str, Volume | None] = {}
        problem = ""
        for name in names:
            try:
                found[name] = self._client.get_volume(name)
            except NotFoundError:
                found[name] = None  # a pod's inline volume
            except ClusterError as error:
                problem = str(error)
                self._retry_seconds = time.monotonic() + RETRY_SECONDS
                break
        is_news = bool(found) or problem != self._problem
        self._known = {**self._known, **found}
        self._problem = problem
        self._is_reading = False  # whoever is told now may ask for more
        if is_news:
            self._on_read()
