"""Create vLLM pods one after another from several clients, and keep what came back of each."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from common.names import POD_ANNOTATION_INJECTED
from tests.lab.api import ApiClient, Object

CLIENTS: Final = 3
PAUSE_SECONDS: Final = 0.02


@dataclass(slots=True)
class Load:
    """What became of the creates so far; `failed` and `bare` hold sentences about each."""

    done: int = 0
    failed: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, status: int, body: Object, seconds: float) -> None:
        """Keep one answer."""
        annotations = body.get("metadata", {}).get("annotations") or {}
        with self._lock:
            self.done += 1
            if status != http.client.CREATED:
                self.failed.append(f"{status} after {seconds:.2f} s: {body.get('message', body)}")
            elif POD_ANNOTATION_INJECTED not in annotations:
                self.bare.append(f"no record, after {seconds:.2f} s")

    def note_error(self, error: BaseException) -> None:
        """Keep a create that had no answer."""
        with self._lock:
            self.done += 1
            self.failed.append(repr(error))

    def await_more(self, count: int, seconds: float = 60.0) -> None:
        """Wait until so many more were created."""
        wanted, deadline = self.done + count, time.monotonic() + seconds
        while self.done < wanted:
            assert time.monotonic() < deadline, f"{wanted - self.done} creates are missing"
            time.sleep(0.02)


@contextmanager
def creating(client: ApiClient, path: str, make: Callable[[], Object]) -> Iterator[Load]:
    """Create pods at `path` for as long as the block lasts."""
    load, stop = Load(), threading.Event()
    threads = [
        threading.Thread(target=_create, args=(client, path, make, load, stop))
        for _ in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _create(
    client: ApiClient, path: str, make: Callable[[], Object], load: Load, stop: threading.Event
) -> None:
    with client.session(60.0) as session:
        while not stop.wait(PAUSE_SECONDS):
            began = time.monotonic()
            try:
                answer = session.send("POST", path, make())
            except (OSError, http.client.HTTPException) as error:
                load.note_error(error)
                continue
            load.note(answer.status, answer.body, time.monotonic() - began)
