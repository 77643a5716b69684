"""Post reviews to a server past the API server, and read what they cost it."""

import http.client
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.webhook.contenders import Place
from tests.lab.netns import Namespace
from tests.lab.webhook_pods import SERVING_PORT

CONNECTIONS: Final = 4
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Cost:
    """What a number of reviews cost a server: CPU of all its threads, RSS before and after."""

    reviews: int
    cpu_seconds: float
    seconds: float
    rss_mib: tuple[float, ...]

    @property
    def reviews_per_core(self) -> float:
        """Return how many reviews one second of one core does."""
        return self.reviews / self.cpu_seconds


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far, user and system, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def seconds_since_exec(pid: int) -> float:
    """Return how long a process has been there."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return uptime - int(fields[19]) / _TICKS_A_SECOND


def rss_mib(pid: int) -> float:
    """Return a process's resident memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def post(inside: Namespace, place: Place, review: bytes, count: int, parts: int = 1) -> Cost:
    """
    Post a review again and again over connections that stay open.

    Args:
        inside: the namespace to post from.
        parts: RSS is read after each of so many parts.
    """
    links = [_Link(inside, place, review) for _ in range(CONNECTIONS)]
    with closing(_All(links)):
        sizes = [rss_mib(place.pid)]
        before, began = cpu_seconds(place.pid), time.monotonic()
        for _ in range(parts):
            _share(links, count // parts)
            sizes.append(rss_mib(place.pid))
        took, used = time.monotonic() - began, cpu_seconds(place.pid) - before
    return Cost(count // parts * parts, used, took, tuple(sizes))


def _share(links: "list[_Link]", count: int) -> None:
    failures: list[BaseException] = []

    def work(link: _Link, mine: int) -> None:
        try:
            for _ in range(mine):
                link.post()
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            failures.append(error)

    shares = [count // len(links) + (n < count % len(links)) for n in range(len(links))]
    threads = [threading.Thread(target=work, args=pair) for pair in zip(links, shares, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class _All:
    """Closes every connection."""

    def __init__(self, links: "list[_Link]") -> None:
        self._links = links

    def close(self) -> None:
        """Close them."""
        for link in self._links:
            link.close()


class _Link:
    """One TLS connection to a server, opened in a namespace; its first answer is looked at."""

    def __init__(self, inside: Namespace, place: Place, review: bytes) -> None:
        context = ssl.create_default_context(cadata=place.ca_bundle.decode("ascii"))
        self._connection = _Connection(place.address, SERVING_PORT, context=context, timeout=60)
        with inside.entered():
            raw = socket.create_connection((place.address, SERVING_PORT), timeout=60)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.sock = context.wrap_socket(raw, server_hostname=place.server_name)
        self._path, self._review = place.path, review
        self.close: Callable[[], None] = self._connection.close
        answer = self.post()
        if b'"patch":' not in answer:
            self.close()
            raise AssertionError(f"{place.path} does not patch: {answer[:300]!r}")

    def post(self) -> bytes:
        """Post the review once and return the answer."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self._connection.request("POST", f"{self._path}?timeout=3s", self._review, headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != _OK:
            raise AssertionError(f"{answer.status}: {body[:300]!r}")
        return body


class _Connection(http.client.HTTPSConnection):
    """Never opened again: a server that closes it has not kept it alive."""

    auto_open = 0
