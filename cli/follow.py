"""
Follow Nodes for ever: one LIST, then a watch from its version, whatever happens in between.

A watch that ends in order goes on from the last version seen; 410 Gone means list again; a server
that does not answer is asked again after 1, 2, 4, ... 10 s. Source: Kubernetes API concepts,
"Efficient detection of changes" and "410 Gone responses".
"""

import time
from collections.abc import Callable, Iterator
from typing import Protocol

from cli.errors import ClusterError, GoneError
from common.record import dataclass

CHANGES = ("ADDED", "MODIFIED", "DELETED")
FIRST_WAIT_SECONDS, LAST_WAIT_SECONDS = 1.0, 10.0


@dataclass(frozen=True, slots=True)
class Query:
    """Which Nodes to ask for: a label selector as kubectl takes it, or one name; both may be ""."""

    selector: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """One LIST: raw Nodes, the version to watch from, and the server's clock (epoch seconds)."""

    nodes: tuple[object, ...]
    version: str
    now_seconds: float


@dataclass(frozen=True, slots=True)
class Event:
    """One watch event: ADDED, MODIFIED, DELETED or BOOKMARK, its raw object and its version."""

    kind: str
    node: object
    version: str


class Source(Protocol):
    """What can be followed; cli.cluster.Cluster is one."""

    def list_nodes(self, query: Query, /) -> Listing:
        """Return all there is; raises ClusterError."""

    def watch_nodes(self, query: Query, version: str, /) -> Iterator[Event]:
        """Return what changes from a version on; raises ClusterError, GoneError."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The server does not answer; what is shown may be old. The message says why."""

    message: str


@dataclass(frozen=True, slots=True)
class Found:
    """The server answers again."""


News = Listing | Event | Lost | Found


def follow(
    source: Source, query: Query, first: Listing, wait: Callable[[float], object] = time.sleep
) -> Iterator[News]:
    """Yield what happens after a first LIST, for ever."""
    version, pause, is_lost = first.version, 0.0, False
    while True:
        try:
            if not version:
                listing = source.list_nodes(query)
                yield listing
                version = listing.version
            events = source.watch_nodes(query, version)
            if is_lost:
                yield Found()
            pause, is_lost = 0.0, False
            for event in events:
                version = event.version or version
                if event.kind in CHANGES:
                    yield event
            wait(FIRST_WAIT_SECONDS)  # a proxy may end every watch at once
        except GoneError:
            version = ""
            wait(FIRST_WAIT_SECONDS)
        except ClusterError as error:
            is_lost = True
            yield Lost(str(error))
            pause = min(max(FIRST_WAIT_SECONDS, pause * 2), LAST_WAIT_SECONDS)
            wait(pause)
