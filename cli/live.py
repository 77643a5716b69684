"""
`nodes --watch`: the list, then what changes, until the person ends it.

On a terminal the whole picture is drawn again in place; into a pipe or a file each changed row is
one more line. Requests happen in a thread of their own, because ages go on while nothing comes.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from cli.document import row_line
from cli.fleet import Choice, Fleet, Row, fleet
from cli.follow import Event, Found, Listing, Lost, News
from cli.node import Node, read_node
from cli.table import NARROW, WIDE, clean, head_of, line_of, paint, table, widths_of
from cli.troubles import explanation, summary
from common.record import dataclass

TICK_SECONDS = 1.0
GATHER_SECONDS = 0.1
"""News of this long is shown in one go: a thousand Nodes can change at once."""

_LEAST = {"NAME": 12, "OUTCOME": 9, "MTU": 4, "GATE": 11}
"""Columns of a pipe, which later rows have to fit: widths are set by the first ones."""


class View:
    """What is known of the nodes now; fed with news."""

    def __init__(self, gate_keys: tuple[str, ...]) -> None:
        """Know nothing."""
        self._gate_keys = gate_keys
        self._nodes: dict[str, Node] = {}
        self._clock_ahead_seconds = 0.0
        self.trouble = ""

    def take(self, news: News) -> None:
        """Take in what happened."""
        match news:
            case Listing():
                read = [read_node(raw, self._gate_keys) for raw in news.nodes]
                self._nodes = {node.name: node for node in read}
                self._clock_ahead_seconds = news.now_seconds - time.time()
            case Event():
                node = read_node(news.node, self._gate_keys)
                if news.kind == "DELETED":
                    self._nodes.pop(node.name, None)
                else:
                    self._nodes[node.name] = node
            case Lost():
                self.trouble = news.message
            case Found():
                self.trouble = ""

    def fleet(self, choice: Choice) -> Fleet:
        """Judge them by the server's clock."""
        return fleet(self._nodes.values(), choice, time.time() + self._clock_ahead_seconds)


class Output(Protocol):
    """Where a watch shows what it sees."""

    def show(self, shown: Fleet, trouble: str) -> None:
        """Show the state; ``trouble`` says why it may be old, "" when it is not."""


@dataclass(frozen=True, slots=True)
class Screen:
    """A terminal, drawn over in place; ``size`` gives its columns and lines now."""

    write: Callable[[str], object]
    size: Callable[[], tuple[int, int]]
    is_wide: bool
    is_coloured: bool

    def show(self, shown: Fleet, trouble: str) -> None:
        """Draw as much as the terminal's lines hold, the table first."""
        width, height = self.size()
        lines = self._lines(shown, trouble, width, height - 1)[: max(1, height - 1)]
        text = "".join(f"{line}\x1b[K\n" for line in lines)
        self.write(f"\x1b[?7l\x1b[H{text}\x1b[J\x1b[?7h")  # long lines end at the edge: no wrap

    def _lines(self, shown: Fleet, trouble: str, width: int, height: int) -> list[str]:
        now = time.strftime("%H:%M:%S", time.gmtime(shown.now_seconds))
        first, *others = summary(shown, width - len(f"{now} UTC  "))
        head = [f"{now} UTC  {first}", *others]
        if trouble:
            head.append(paint(clean(trouble)[:width], "bad", is_coloured=self.is_coloured))
        rows = table(shown, is_wide=self.is_wide, width=width, is_coloured=self.is_coloured)
        room = max(2, height - len(head))
        if len(rows) > room:
            hidden = len(rows) - room + 1
            return [*head, *rows[: room - 1], f"... {hidden} more rows than the terminal has lines"]
        words = explanation(shown, width=width, is_coloured=self.is_coloured)
        return [*head, *rows, *words[: room - len(rows)]]


class Lines:
    """A pipe or a file: the titles, every row once, then a line for each row that changed."""

    def __init__(
        self,
        write: Callable[[str], object],
        complain: Callable[[str], object],
        *,
        is_wide: bool = False,
        is_json: bool = False,
    ) -> None:
        """Begin with nothing shown."""
        self._write, self._complain = write, complain
        self._columns = WIDE if is_wide else NARROW
        self._is_json = is_json
        self._widths: tuple[int, ...] = ()
        self._seen: Mapping[str, tuple[Row, object]] = {}
        self._trouble = ""

    def show(self, shown: Fleet, trouble: str) -> None:
        """Write what differs from the last time, ages aside."""
        if trouble != self._trouble:
            self._trouble = trouble
            self._complain(clean(trouble) or "the API server answers again")
        if not self._widths:
            found = widths_of(self._columns, shown.rows, shown.now_seconds, None)
            self._widths = tuple(
                max(width, _LEAST.get(column.title, 0))
                for column, width in zip(self._columns, found, strict=True)
            )
            if not self._is_json:
                self._write(f"{head_of(self._columns, self._widths)}\n")
        current = {row.node.name: (row, _essence(row)) for row in shown.rows}
        for name, (row, essence) in current.items():
            if name not in self._seen or self._seen[name][1] != essence:
                self._write(f"{self._line(row, shown)}\n")
        for name, (row, _) in self._seen.items():
            if name not in current:
                gone = row_line(row, is_gone=True) if self._is_json else f"{clean(name)}  gone"
                self._write(f"{gone}\n")
        self._seen = current

    def _line(self, row: Row, shown: Fleet) -> str:
        if self._is_json:
            return row_line(row)
        return line_of(self._columns, self._widths, row, shown.now_seconds, is_cut=False)


def _essence(row: Row) -> object:
    """Return all that makes a row differ from its last state; time alone does not."""
    node = row.node
    signs = tuple(one.sign for one in row.stale)
    said = (row.outcome, row.reason, row.message, row.since_seconds, signs)
    return (*said, node.mtu_bytes, node.gate_taints, node.mode, node.state and node.state.boot_id)


def run(news: Iterator[News], take: Callable[[News], object], show: Callable[[], object]) -> None:
    """Show what is known, then whatever comes, for ever; KeyboardInterrupt ends it."""
    box: queue.SimpleQueue[News | Exception] = queue.SimpleQueue()
    threading.Thread(target=_fetch, args=(news, box), daemon=True).start()
    while True:
        show()
        for one in _gathered(box):
            if isinstance(one, Exception):
                raise one
            take(one)


def _fetch(news: Iterator[News], box: "queue.SimpleQueue[News | Exception]") -> None:
    try:
        for one in news:
            box.put(one)
    except Exception as error:  # noqa: BLE001 - the main thread raises it
        box.put(error)


def _gathered(box: "queue.SimpleQueue[News | Exception]") -> Iterator[News | Exception]:
    """Yield what comes within a tick, and what came with it."""
    try:
        yield box.get(timeout=TICK_SECONDS)
        time.sleep(GATHER_SECONDS)
        while True:
            yield box.get_nowait()
    except queue.Empty:
        return
