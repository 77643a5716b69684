"""The thread that knows the Node: watches it for ever, through every kind of outage."""

import threading
import time
from collections.abc import Callable

from agent.cluster.backoff import Backoff
from agent.cluster.client import ClusterClient
from agent.cluster.errors import ClusterError, NotFoundError, StaleError
from agent.cluster.stream import BOOKMARK, DELETED, NodeEvent
from agent.node import NodeView

_STEADY_SECONDS = 5.0  # a watch that lived this long was a good one
_STOP_SECONDS = 10.0

OnNode = Callable[[NodeView | None], None]
OnProblem = Callable[[ClusterError], None]


class NodeWatch:
    """
    Tells of every change of one Node, from a thread of its own.

    ``on_node`` gets the Node, or None when it is gone; ``on_problem`` gets what went wrong before
    each new try. Both are called on the watch's thread and must neither block nor raise.
    """

    def __init__(
        self, client: ClusterClient, name: str, on_node: OnNode, on_problem: OnProblem
    ) -> None:
        """Prepare; nothing happens before ``start``."""
        self._client = client
        self._name = name
        self._on_node = on_node
        self._on_problem = on_problem
        self._stopping = threading.Event()
        self._stream = client.node_stream(name)
        self._version: str | None = None
        self._thread = threading.Thread(target=self._run, name="node-watch", daemon=True)

    def start(self, resource_version: str | None = None) -> None:
        """Watch from this version on; without one, read the Node first and tell of it."""
        self._version = resource_version
        self._thread.start()

    def stop(self) -> None:
        """End the watch and its thread, promptly."""
        self._stopping.set()
        self._stream.abort()
        if self._thread.ident is not None:
            self._thread.join(_STOP_SECONDS)
        self._stream.close()

    @property
    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        backoff = Backoff(first_seconds=0.05)
        while not self._stopping.is_set():
            began = time.monotonic()
            error = self._follow()
            if time.monotonic() - began > _STEADY_SECONDS:
                backoff.reset()
            self._stopping.wait(backoff.next(error))

    def _follow(self) -> ClusterError | None:
        """Follow one watch to its end; return what ended it, None when the server did."""
        try:
            version = self._read() if self._version is None else self._version
            for event in self._stream.events(version):
                self._take(event)
        except StaleError as error:
            self._version = None
            return error
        except ClusterError as error:
            if not self._stopping.is_set():
                self._on_problem(error)
            return error
        return None

    def _read(self) -> str:
        """Read the Node, tell of it, and return the version to watch from ("": from nothing)."""
        try:
            view = self._client.get_node(self._name)
        except NotFoundError:
            self._on_node(None)
            self._version = ""
        else:
            self._on_node(view)
            self._version = view.resource_version
        return self._version

    def _take(self, event: NodeEvent) -> None:
        self._version = event.view.resource_version
        if event.kind != BOOKMARK and not self._stopping.is_set():
            self._on_node(None if event.kind == DELETED else event.view)
