"""Background parts: each in a thread of its own, started again with back-off when it breaks off."""

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self

from common.telemetry import Log
from webhook.metrics import Metrics
from webhook.review import place_of

FIRST_WAIT_SECONDS = 1.0
MAX_WAIT_SECONDS = 60.0
JOIN_SECONDS = 2.0
"""How long the process waits for a part that was told to stop; the threads are daemons."""


class Part(Protocol):
    """Something that runs beside the server; `name` is a metric label."""

    name: str

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop; what it raises is logged by its kind, and it is run again."""


class Parts:
    """Runs parts as long as the context lasts."""

    def __init__(
        self,
        parts: Iterable[Part],
        metrics: Metrics,
        log: Log,
        first_wait_seconds: float = FIRST_WAIT_SECONDS,
    ) -> None:
        """Keep the parts; none runs yet."""
        self._stop = threading.Event()
        self._metrics = metrics
        self._log = log
        self._first_wait_seconds = first_wait_seconds
        self._threads = [
            threading.Thread(target=self._keep_running, args=(part,), name=part.name, daemon=True)
            for part in parts
        ]

    def __enter__(self) -> Self:
        """Start them."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tell them to stop and wait a little."""
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)

    def _keep_running(self, part: Part) -> None:
        wait_seconds = self._first_wait_seconds
        self._metrics.part_failures.labels(part.name)
        while not self._stop.is_set():
            try:
                part.run(self._stop)
            except Exception as error:  # noqa: BLE001 - a part must not end the server
                self._metrics.part_failures.labels(part.name).inc()
                self._log.error("A part broke off", part=part.name, err=place_of(error))
            else:
                return
            self._stop.wait(wait_seconds)
            wait_seconds = min(2 * wait_seconds, MAX_WAIT_SECONDS)
