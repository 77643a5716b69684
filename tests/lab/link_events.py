"""Link messages of a namespace with the time at which the kernel told them, by ``ip monitor``."""

import re
import subprocess
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from tests.lab.netns import Namespace

LINE = re.compile(r"^\[([0-9T:.-]+)\]\s*(?:\[LINK\])?\d+: ([^:@]+)[:@].* mtu (\d+) ")


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """One RTM_NEWLINK: the link, its MTU, when."""

    link: str
    mtu_bytes: int
    at: datetime


class LinkEvents:
    """Collects RTM_NEWLINK of a namespace until closed."""

    def __init__(self, namespace: Namespace) -> None:
        """Subscribe in the namespace, and wait until it is so."""
        self._events: list[LinkEvent] = []
        self._news = threading.Condition()
        command = ["nsenter", f"--net={namespace.path}", "ip", "-ts", "-o", "monitor", "link"]
        # a signal in these lines must not leave it behind, so it dies with its parent as well
        self._monitor = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command], stdout=subprocess.PIPE, text=True
        )
        self._thread = threading.Thread(target=self._collect, daemon=True)
        try:
            self._thread.start()
            self._await_subscription(namespace)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop collecting."""
        self._close()

    def _close(self) -> None:
        self._monitor.terminate()
        self._monitor.wait()
        self._thread.join()
        if self._monitor.stdout:
            self._monitor.stdout.close()

    def clear(self) -> None:
        """Forget what was seen."""
        with self._news:
            self._events.clear()

    def count(self, link: str) -> int:
        """Return how many messages there were about a link."""
        with self._news:
            return sum(event.link == link for event in self._events)

    def between(self, link: str, first_mtu: int, then_mtu: int, timeout_seconds: float) -> float:
        """Wait until the link had one MTU and then the other; return the seconds between."""
        found: list[float] = []

        def is_seen() -> bool:
            found[:] = _between(self._events, link, first_mtu, then_mtu)
            return bool(found)

        with self._news:
            if not self._news.wait_for(is_seen, timeout_seconds):
                raise AssertionError(f"{link} did not go from {first_mtu} to {then_mtu}")
        return found[0]

    def _await_subscription(self, namespace: Namespace) -> None:
        """Change a link that nobody watches until the change is told."""
        for number in range(1, 100):
            namespace.set_mtu("lo", 65536 - number)
            with self._news:
                if self._news.wait_for(lambda: bool(self._events), 0.1):
                    break
        namespace.set_mtu("lo", 65536)
        self.clear()

    def _collect(self) -> None:
        for line in self._monitor.stdout or ():
            if match := LINE.match(line):
                at, link, mtu = match.groups()
                with self._news:
                    self._events.append(LinkEvent(link, int(mtu), datetime.fromisoformat(at)))
                    self._news.notify_all()


def _between(events: list[LinkEvent], link: str, first_mtu: int, then_mtu: int) -> list[float]:
    began: datetime | None = None
    for event in events:
        if event.link != link:
            continue
        if began is None and event.mtu_bytes == first_mtu:
            began = event.at
        elif began is not None and event.mtu_bytes == then_mtu:
            return [(event.at - began).total_seconds()]
    return []
