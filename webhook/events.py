"""
Tell owners of pods by Events, off the request path: a bounded queue and one thread.

What finds no room is dropped and counted; an API server that is away costs nobody a wait. Needs
`create`, `get` and `patch` on events, and `get` on the kinds whose owners are looked for.
"""

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from common.api_types import JSON, MERGE_PATCH, ApiError, ConflictError, Json, UnreachableError
from common.telemetry import Log
from webhook import notices, owners, pods
from webhook.connection import Requests
from webhook.notices import Notice, Result
from webhook.owners import Owner

QUEUED, REMEMBERED = 256, 4096
PAUSE_SECONDS = 0.1
"""Between two Events: news of a whole cluster at once must not crowd the API server."""
_TICK_SECONDS, _REQUEST_SECONDS = 1.0, 5.0


class Events:
    """The background part that posts Events; `tell` and `failed_safe` never wait, never raise."""

    name = "events"

    def __init__(
        self,
        api: Requests,
        reporter: str,
        count: Callable[[Result], object],
        log: Log,
        *,
        wall_clock: Callable[[], float] = time.time,
        pace: float = 1.0,
    ) -> None:
        """Set up; `reporter` is this process, `count` hears what became of each notice."""
        self._api, self._reporter, self._count, self._log = api, reporter, count, log
        self._wall_clock, self._pace = wall_clock, pace
        self._queue: queue.Queue[Notice] = queue.Queue(QUEUED)
        self._told: OrderedDict[tuple[str, Owner], float] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Return how many notices are queued."""
        return self._queue.qsize()

    def failed_safe(self, pod: Json, namespace: str, failure: str, *, is_dry_run: bool) -> None:
        """Note that a review left its pod as it came; a dry run has no side effect."""
        if is_dry_run:
            return
        self.tell(notices.left_alone(pod, owners.of_pod(pod, namespace), failure))

    def tell(self, notice: Notice) -> None:
        """Queue a notice, unless its owner was told the same within the hour."""
        if self._is_fresh((notice.reason.value, notice.owner)):
            return
        try:
            self._queue.put_nowait(notice)
        except queue.Full:
            self._count(Result.DROPPED)

    def run(self, stop: threading.Event) -> None:
        """Post what is queued until told to stop."""
        while not stop.is_set():
            try:
                notice = self._queue.get(timeout=_TICK_SECONDS * self._pace)
            except queue.Empty:
                continue
            self._count(self._post(notice))
            stop.wait(PAUSE_SECONDS * self._pace)

    def _post(self, notice: Notice) -> Result:
        key = (notice.reason.value, notice.owner)
        if self._is_fresh(key):
            return Result.FRESH
        try:
            result = self._create_or_renew(notice, self._chain(notice.owner))
        except ApiError as error:
            self._log.warning("Could not post an Event", err=str(error))
            return Result.FAILED
        self._remember(key)
        return result

    def _create_or_renew(self, notice: Notice, chain: list[Owner]) -> Result:
        """Create the Event, or tell it again where it is older than an hour."""
        if not pods.is_object_name(chain[-1].namespace):  # what was reviewed need not be sound
            return Result.FAILED
        now = self._wall_clock()
        event = notices.event(notice, chain, self._reporter, now)
        collection = f"/api/v1/namespaces/{chain[-1].namespace}/events"
        path = f"{collection}/{event['metadata']['name']}"
        try:
            self._send("POST", collection, event)
        except ConflictError:
            change = notices.again(self._send("GET", path), notice, chain, now)
            if change is None:
                return Result.FRESH
            with suppress(ConflictError):  # another replica has just told it
                self._send("PATCH", path, change)
        return Result.TOLD

    def _chain(self, owner: Owner) -> list[Owner]:
        """Return the owners from the pod's controller up, as far as they may be read."""
        chain = [owner]
        while len(chain) < owners.MAX_CHAIN and (path := owners.path_of(chain[-1])):
            try:
                above = owners.controller(self._send("GET", path), owner.namespace)
            except UnreachableError:
                raise
            except ApiError:  # gone, or not ours to read
                break
            if above is None:
                break
            chain.append(above)
        return chain

    def _send(self, method: str, path: str, body: Json | None = None) -> Json:
        return self._api.request(
            method,
            path,
            body=body,
            content_type=MERGE_PATCH if method == "PATCH" else JSON,
            timeout_seconds=_REQUEST_SECONDS,
        )

    def _is_fresh(self, key: tuple[str, Owner]) -> bool:
        last = self._told.get(key)
        return last is not None and 0 <= self._wall_clock() - last < notices.AGAIN_SECONDS

    def _remember(self, key: tuple[str, Owner]) -> None:
        self._told.pop(key, None)
        self._told[key] = self._wall_clock()
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
