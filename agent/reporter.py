"""
The thread that makes the Node say what the loop found; an API server that is away blocks only it.

It reads the Node while the first pass runs, so that the first patch can leave as soon as there is
a verdict. The watch begins after the first completed write.
"""

import threading
from collections.abc import Callable

from agent.cluster.backoff import Backoff
from agent.cluster.client import ClusterClient
from agent.cluster.errors import ClusterError, ConflictError, InvalidError
from agent.cluster.gate import Published, Publisher, publish
from agent.cluster.watch import NodeWatch
from agent.facts import NodeFacts
from agent.node import NodeView, Wanted
from common.telemetry import Log

_RACES_UNTOLD = 3  # lost in a row: on a new node others write taints, too

OnPublished = Callable[[Published, Wanted], None]
OnFacts = Callable[[NodeFacts | None], None]


class Reporter:
    """Publishes the last wanted value, for ever, until it is closed."""

    def __init__(
        self,
        client: ClusterClient,
        node_name: str,
        first: Wanted,
        log: Log,
        on_published: OnPublished,
        on_facts: OnFacts,
    ) -> None:
        """
        Begin to read the Node.

        Args:
            client: the API server.
            node_name: the Node to report on.
            first: what the Node shall say when another boot's verdict still stands on it.
            log: where problems are told.
            on_published: called on the reporter's thread after each completed write.
            on_facts: told what the Node says of itself whenever it was read, None when it could
                not be; called from the reporter's threads.
        """
        self._client = client
        self._name = node_name
        self._first = first
        self._log = log
        self._on_published = on_published
        self._on_facts = on_facts
        self._publisher = Publisher(client, self._name)
        self._watch = NodeWatch(client, self._name, self._saw, self._problem)
        self._wanted: Wanted | None = None
        self._problems_told: set[str] = set()
        self._races = 0
        self._backoff = Backoff(first_seconds=1.0)
        self._retry_seconds: float | None = None
        self._telling = threading.Lock()
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._first_done = threading.Event()
        self._is_watching = False
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._thread.start()

    def want(self, wanted: Wanted) -> None:
        """Have the Node say this from now on."""
        self._wanted = wanted
        self._news.set()

    def announce(self, reason: str, message: str, *, is_warning: bool) -> None:
        """Have an event posted."""
        self._publisher.announce(reason, message, is_warning=is_warning)
        self._news.set()

    def await_first(self, timeout_seconds: float) -> None:
        """Wait until the Node says what was first wanted, or for so long."""
        self._first_done.wait(timeout_seconds)

    def close(self) -> None:
        """End the thread and the watch; nothing more is written."""
        self._stopping.set()
        self._news.set()
        self._thread.join(timeout=10)
        if self._is_watching:  # now only: the thread may just have begun it
            self._watch.stop()
        self._client.close()

    def _run(self) -> None:
        self._read_first()
        while not self._stopping.is_set():
            self._news.wait(self._pause_seconds())
            self._news.clear()
            wanted = self._wanted
            if wanted is None or self._stopping.is_set():
                continue
            done = publish(self._publisher, self._latest, self._stopping.wait, self._not_written)
            if done:
                self._completed(done)

    def _latest(self) -> Wanted:
        return self._wanted or self._first

    def _pause_seconds(self) -> float | None:
        """Return when to look by itself: a retry, or whether a heartbeat is due; None for never."""
        beat_seconds = self._wanted.beat_seconds / 4 if self._wanted else 0.0
        waits = [wait for wait in (self._retry_seconds, beat_seconds) if wait]
        return min(waits, default=None)

    def _read_first(self) -> None:
        """Read the Node, however long that takes; take back at once what another boot said."""
        backoff = Backoff()
        while not self._stopping.is_set():
            try:
                self._take_back(self._client.get_node(self._name))
            except ClusterError as error:
                self._problem(error)
                self._on_facts(None)
                self._stopping.wait(backoff.next(error))
            else:
                return

    def _take_back(self, view: NodeView) -> None:
        self._publisher.see(view)
        if is_stale(view, self._first.boot_id) and self._wanted is None:
            view = self._publisher.step(self._first).view
        self._tell(view)  # last: what another boot said is taken back before any write

    def _not_written(self, error: ClusterError) -> None:
        """Tell why a write failed; of lost races only a row is worth a word."""
        is_race = isinstance(error, ConflictError | InvalidError)
        self._races = self._races + 1 if is_race else 0
        if not is_race or self._races > _RACES_UNTOLD:
            self._problem(error)

    def _completed(self, done: Published) -> None:
        self._races = 0
        if done.refused:
            self._retry_seconds = self._backoff.next(done.refused[0])
        else:
            self._retry_seconds = None
            self._backoff.reset()
            if self._problems_told:
                self._problems_told = set()
                self._log.info("Reached the API server again", node=self._name)
        self._tell(done.view)
        self._on_published(done, done.wanted)  # by now something else may be wanted
        self._first_done.set()
        if not self._is_watching and not self._stopping.is_set():
            self._is_watching = True
            self._watch.start(done.view.resource_version)

    def _saw(self, view: NodeView | None) -> None:
        self._tell(view)
        self._news.set()

    def _tell(self, view: NodeView | None) -> None:
        """Take in the Node and tell its facts; what the watch saw meanwhile is newer, and stays."""
        with self._telling:
            self._publisher.see(view)
            if newest := self._publisher.view:
                self._on_facts(newest.facts)

    def _problem(self, error: ClusterError) -> None:
        text = str(error)
        if text not in self._problems_told:
            self._problems_told.add(text)
            self._log.warning("Could not reach or change the Node", node=self._name, err=text)


def is_stale(view: NodeView, boot_id: str) -> bool:
    """Return whether the Node carries a verdict of another boot, or of none that is recorded."""
    if view.recorded_boot_id:
        return view.recorded_boot_id != boot_id
    # the record goes first, so a crash between the two writes leaves the condition alone
    return view.condition is not None and view.condition.status in ("True", "False")
