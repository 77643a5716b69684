"""
Make the Node say what the agent found, and open the gate.

Level-triggered: each step compares the Node as last seen with what is wanted and writes the
difference, in this order: labels, annotation and gate in one patch, then the condition, then the
events. Whatever a crash or an outage leaves undone is done by a later step; a missing permission
for one of the three does not keep the other two from being done.
"""

import threading
import time
from collections.abc import Callable

from agent.cluster.backoff import Backoff
from agent.cluster.client import ClusterClient
from agent.cluster.errors import ClusterError, ConflictError, ForbiddenError, StaleError
from agent.node import NodeView, Wanted
from agent.node_patch import condition_patch, condition_status, event_body, node_patch
from agent.state import Outcome
from common.node_patches import Operation
from common.record import dataclass

_EVENTS_LIMIT = 16  # events that wait while the API server is away


@dataclass(frozen=True, slots=True)
class Published:
    """
    What was written since the last completed step.

    ``wrote`` holds "node", "status" and "event", once for each request; ``opened`` the keys of
    the gate taints that were taken away; ``refused`` what a permission is missing for; ``wanted``
    what the last step was to make the Node say.
    """

    view: NodeView
    wrote: tuple[str, ...]
    opened: tuple[str, ...]
    refused: tuple[ForbiddenError, ...]
    wanted: Wanted


class Publisher:
    """
    Writes one Node.

    ``see`` and ``announce`` may be called from any thread, ``step`` from one at a time.
    """

    def __init__(
        self, client: ClusterClient, name: str, clock: Callable[[], float] = time.time
    ) -> None:
        """Know nothing of the Node yet; ``clock`` gives seconds since the epoch."""
        self._client = client
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._view: NodeView | None = None
        self._events: list[Operation] = []
        self._wrote: list[str] = []
        self._opened: list[str] = []
        self._removing: set[str] = set()  # sent, and the answer may have been lost
        self._unsaid: tuple[str, str, str] | None = None  # a verdict whose event is not yet made

    def see(self, view: NodeView | None) -> None:
        """Take in the Node from the watch; None: it is gone. An older one is passed over."""
        with self._lock:
            if view is None or self._view is None or not _is_older(view, self._view):
                self._view = view

    @property
    def view(self) -> NodeView | None:
        """Return the Node as it was last seen, None when it must be read."""
        return self._view

    def announce(self, reason: str, message: str, *, is_warning: bool) -> None:
        """Have an event posted by the next step; the oldest give way when too many wait."""
        event = event_body(self._name, reason, message, self._clock(), is_warning=is_warning)
        with self._lock:
            self._events = [*self._events, event][-_EVENTS_LIMIT:]

    def step(self, wanted: Wanted) -> Published:
        """
        Write what differs; no request at all when nothing does and the Node was seen.

        Raises ClusterError, but for missing permissions; the next step reads the Node again.
        """
        refused: list[ForbiddenError] = []
        try:
            view = self._view or self._client.get_node(self._name)
            for write in (self._write_node, self._write_status, self._post_events):
                try:
                    view = write(view, wanted)
                except ForbiddenError as error:
                    refused.append(error)
        except ClusterError:
            with self._lock:
                self._view = None
            raise
        self.see(view)
        done = Published(view, tuple(self._wrote), tuple(self._opened), tuple(refused), wanted)
        self._wrote, self._opened = [], []
        return done

    def _write_node(self, view: NodeView, wanted: Wanted) -> NodeView:
        operations = node_patch(view, wanted, self._clock())
        if wanted.open_gate:
            self._removing.update(view.gate_taints(wanted.taint_keys))
        if operations:
            try:
                view = self._client.patch_node(self._name, operations)
            except (StaleError, ForbiddenError):
                self._removing.clear()
                raise
            self._wrote.append("node")
        left = view.gate_taints(wanted.taint_keys) if wanted.open_gate else ()
        self._opened.extend(sorted(self._removing.difference(left)))
        self._removing.clear()
        if left:
            message = f"patch nodes {self._name}: still tainted with {', '.join(left)}"
            raise ConflictError(message)
        return view

    def _write_status(self, view: NodeView, wanted: Wanted) -> NodeView:
        patch = condition_patch(view, wanted, self._clock())
        verdict = (view.uid, condition_status(wanted), wanted.reason)
        if patch is not None:
            old = view.condition
            if wanted.outcome and (not old or (old.status, old.reason) != verdict[1:]):
                self._unsaid = verdict
            view = self._client.patch_status(self._name, patch)
            self._wrote.append("status")
        if self._unsaid == verdict:
            self._unsaid = None
            is_warning = wanted.outcome in (Outcome.DEGRADED, Outcome.FAILED)
            self.announce(wanted.reason, wanted.message, is_warning=is_warning)
        return view

    def _post_events(self, view: NodeView, _wanted: Wanted) -> NodeView:
        while self._events:
            event = self._events[0]
            self._client.create_event(event)
            self._wrote.append("event")
            with self._lock:
                self._events = [one for one in self._events if one is not event]
        return view


def publish(
    publisher: Publisher,
    wanted: Callable[[], Wanted],
    wait: Callable[[float], bool],
    on_problem: Callable[[ClusterError], None],
) -> Published | None:
    """
    Step until all that is permitted is written, and return what was; None when told to stop.

    ``wanted`` is asked before each try, so that a verdict that changes during an outage counts;
    ``wait`` sleeps that many seconds and returns whether to stop (``threading.Event.wait``).
    """
    backoff = Backoff()
    while True:
        try:
            done = publisher.step(wanted())
        except ClusterError as error:
            on_problem(error)
            if wait(backoff.next(error)):
                return None
        else:
            for refusal in done.refused:
                on_problem(refusal)
            return done


def _is_older(view: NodeView, than: NodeView) -> bool:
    """Return whether this is an earlier state of the same Node: versions grow (KEP-5504)."""
    versions = view.resource_version, than.resource_version
    if view.uid != than.uid or not all(v.isascii() and v.isdigit() for v in versions):
        return False
    return int(versions[0]) < int(versions[1])
