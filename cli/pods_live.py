"""
`pods --watch`: the pods, then what changes, until the person ends it.

Kept of a pod is its row alone, so memory does not grow with the pods' size.
"""

import json
from collections.abc import Callable, Iterator, Mapping

from cli.cluster import events_of, worded
from cli.follow import CHANGES, Event, Found, Listing, Lost, News, Query
from cli.pod_rows import PodRow, in_order, line_of, pod_object, text
from cli.table import clean
from common.api import Api
from common.api_types import ApiError, Json

PAGE_ITEMS = 250
GONE = "DELETED"


class PodSource:
    """Pods as rows, which `cli.follow` follows as it does Nodes."""

    def __init__(
        self,
        api: Api,
        path: str,
        query: Mapping[str, str],
        row_of: Callable[[Json], PodRow | None],
        now_seconds: float,
    ) -> None:
        """Set up; `row_of` gives None for a pod that is not to be shown."""
        self._api, self._path, self._query = api, path, query
        self._row_of, self._now_seconds = row_of, now_seconds

    def list_nodes(self, _query: Query, /) -> Listing:
        """Return the rows of all pods, read page by page; raises ClusterError, InputError."""
        rows: list[PodRow] = []
        version = ""
        try:
            for page in self._api.list_pages(self._path, self._query, PAGE_ITEMS):
                made = map(self._row_of, page.get("items") or ())
                rows += [row for row in made if row is not None]
                version = str((page.get("metadata") or {}).get("resourceVersion", ""))
        except ApiError as error:
            raise worded(self._api.host, error) from error
        return Listing(tuple(rows), version, self._now_seconds)

    def watch_nodes(self, _query: Query, version: str, /) -> Iterator[Event]:
        """Return what changes, as rows; raises ClusterError, GoneError."""
        try:
            watch = self._api.watch(self._path, self._query, version)
        except ApiError as error:
            raise worded(self._api.host, error) from error
        return map(self._event, events_of(watch))

    def _event(self, event: Event) -> Event:
        if event.kind not in CHANGES or not isinstance(event.node, dict):
            return event
        row = None if event.kind == GONE else self._row_of(event.node)
        metadata = event.node.get("metadata") or {}
        key = f"{metadata.get('namespace')}/{metadata.get('name')}"
        return Event(event.kind if row else GONE, row or key, event.version)


class Pods:
    """What is known of the pods now; fed with news."""

    def __init__(self) -> None:
        """Know nothing."""
        self._rows: dict[str, PodRow] = {}
        self.trouble = ""

    def take(self, news: News) -> None:
        """Take in what happened."""
        match news:
            case Listing():
                rows = (row for row in news.nodes if isinstance(row, PodRow))
                self._rows = {key_of(row): row for row in rows}
            case Event(node=PodRow() as row):
                self._rows[key_of(row)] = row
            case Event(kind=kind, node=str(key)) if kind == GONE:
                self._rows.pop(key, None)
            case Lost():
                self.trouble = news.message
            case Found():
                self.trouble = ""

    def rows(self) -> list[PodRow]:
        """Return the rows in order."""
        return in_order(self._rows.values())


def key_of(row: PodRow) -> str:
    """Return what tells a row from the others."""
    return f"{row.audited.namespace}/{row.audited.name}"


class Screen:
    """A terminal, drawn over in place."""

    def __init__(
        self,
        write: Callable[[str], object],
        size: Callable[[], tuple[int, int]],
        clock: Callable[[], float],
        *,
        is_coloured: bool,
    ) -> None:
        """Draw nothing yet."""
        self._write, self._size, self._clock = write, size, clock
        self._is_coloured = is_coloured

    def show(self, rows: list[PodRow], trouble: str) -> None:
        """Draw as much as the terminal's lines hold."""
        width, height = self._size()
        lines = [*([clean(trouble)[:width]] if trouble else [])]
        lines += text(rows, self._clock(), width, is_coloured=self._is_coloured)
        drawn = "".join(f"{line}\x1b[K\n" for line in lines[: max(1, height - 1)])
        self._write(f"\x1b[?7l\x1b[H{drawn}\x1b[J\x1b[?7h")


class Lines:
    """A pipe or a file: a line for each row, and one more whenever it changes."""

    def __init__(
        self,
        write: Callable[[str], object],
        complain: Callable[[str], object],
        clock: Callable[[], float],
        *,
        is_json: bool,
    ) -> None:
        """Begin with nothing shown."""
        self._write, self._complain, self._clock = write, complain, clock
        self._is_json = is_json
        self._seen: dict[str, PodRow] = {}
        self._trouble = ""

    def show(self, rows: list[PodRow], trouble: str) -> None:
        """Write what differs from the last time."""
        if trouble != self._trouble:
            self._trouble = trouble
            self._complain(clean(trouble) or "the API server answers again")
        now = {key_of(row): row for row in rows}
        for key, row in now.items():
            if self._seen.get(key) != row:
                self._write(self._line(row, is_gone=False))
        for key in self._seen.keys() - now.keys():
            self._write(self._line(self._seen[key], is_gone=True))
        self._seen = now

    def _line(self, row: PodRow, *, is_gone: bool) -> str:
        if self._is_json:
            return f"{json.dumps({**pod_object(row), 'gone': is_gone}, separators=(',', ':'))}\n"
        return f"{clean(key_of(row))}  gone\n" if is_gone else f"{line_of(row, self._clock())}\n"
