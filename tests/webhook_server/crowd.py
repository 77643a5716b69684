"""Many callers at once, each over connections of its own, as the API server's pool has them."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from tests.webhook_server.caller import Caller, calling, encoded
from tests.webhook_server.running import Webhook


@dataclass(slots=True)
class Crowd:
    """
    Calls without a pause until told to stop.

    Attributes:
        answers: how many there were, by status.
        closed: how many of them were the last of their connection.
        failures: what went wrong: no answer, or no new connection.
    """

    webhook: Webhook
    callers: int
    pause_seconds: float = 0.0
    answers: Counter[int] = field(default_factory=Counter)
    closed: int = 0
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        """Begin."""
        self._threads = [threading.Thread(target=self._call) for _ in range(self.callers)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self.stop()

    def stop(self) -> None:
        """Let each caller finish its call."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, answers: int, seconds: float = 60.0) -> None:
        """Wait until so many answers have come."""
        end = time.monotonic() + seconds
        while self.answers.total() < answers and time.monotonic() < end:
            time.sleep(0.01)
        assert self.answers.total() >= answers

    def _call(self) -> None:
        while not self._stop.is_set():
            try:
                with calling(self.webhook) as caller:
                    self._use(caller)
            except (OSError, EOFError) as error:
                with self._lock:
                    self.failures.append(repr(error))
                return

    def _use(self, caller: Caller) -> None:
        """Use one connection until it is closed in order."""
        body = encoded()
        while not self._stop.is_set():
            answer = caller.post(body)
            with self._lock:
                self.answers[answer.status] += 1
                self.closed += answer.closes
            if answer.closes:
                return
            if self.pause_seconds:
                self._stop.wait(self.pause_seconds)
