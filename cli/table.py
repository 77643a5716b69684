"""
A fleet as a table for people: within the terminal's width, in colour only where that is wanted.

Pure. What comes from the cluster is printed without control characters: a node could otherwise
write to the reader's terminal.
"""

from collections.abc import Callable, Sequence

from cli.fleet import Fleet, Outcome, Row, age
from common.record import dataclass

GAP = "  "
NONE = "-"
MIN_NAME, MIN_WHY = 20, 8
_COLOURS = {"bold": "1", "dim": "2", "bad": "31", "good": "32", "warn": "33"}
OUTCOME_COLOUR = {
    Outcome.TUNED: "good",
    Outcome.DEGRADED: "warn",
    Outcome.FAILED: "bad",
    Outcome.PENDING: "warn",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, a row's text at a time, and its colour, None for plain."""

    title: str
    text: Callable[[Row, float], str]
    colour: Callable[[Row], str | None] = lambda _: None
    is_number: bool = False


def _gate(row: Row, now_seconds: float) -> str:
    if row.is_open:
        return "open"
    waited = row.waiting_seconds
    return "closed" if waited is None else f"closed {age(now_seconds - waited)}"


def _since(row: Row, now_seconds: float) -> str:
    return NONE if row.since_seconds is None else age(now_seconds - row.since_seconds)


def _why(row: Row, _: float) -> str:
    reason = "" if row.outcome is Outcome.TUNED else clean(row.reason)
    return ",".join(filter(None, (reason, *(one.sign for one in row.stale)))) or NONE


def _links(row: Row, _: float) -> str:
    mtus = row.node.state.link_mtus if row.node.state else {}
    return ",".join(f"{clean(name)}={mtu}" for name, mtu in mtus.items()) or NONE


def _ready(row: Row, _: float) -> str:
    return clean(row.node.ready.status) if row.node.ready else NONE


NARROW: Sequence[Column] = (
    Column("NAME", lambda row, _: clean(row.node.name)),
    Column("OUTCOME", lambda row, _: row.outcome, lambda row: OUTCOME_COLOUR.get(row.outcome)),
    Column("MTU", lambda row, _: str(row.node.mtu_bytes or NONE), is_number=True),
    Column("SINCE", _since, is_number=True),
    Column(
        "STALE",
        lambda row, _: "yes" if row.stale else "no",
        lambda row: "warn" if row.stale else None,
    ),
    Column("GATE", _gate, lambda row: None if row.is_open else "bad"),
    Column("WHY", _why),
)
"""What fits 80 columns; `WHY` gives way first, then the middle of long names."""

WIDE: Sequence[Column] = (
    *NARROW[:-1],
    Column("READY", _ready),
    Column("MODE", lambda row, _: clean(row.node.mode) or NONE),
    Column("LINKS", _links),
    Column("TAINTS", lambda row, _: ",".join(map(clean, row.node.gate_taints)) or NONE),
    Column("WHY", _why),
    Column("MESSAGE", lambda row, _: clean(row.message) or NONE),
)
"""All of it on one line a node; never cut."""


def clean(text: str) -> str:
    """Return the text on one line and without anything that is not printable."""
    spaced = " ".join(text.split())
    return "".join(char if char.isprintable() else "?" for char in spaced)


def paint(text: str, colour: str | None, *, is_coloured: bool) -> str:
    """Return the text in a colour when the output takes colours."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if colour and is_coloured else text


def widths_of(
    columns: Sequence[Column], rows: Sequence[Row], now_seconds: float, width: int | None
) -> tuple[int, ...]:
    """
    Return the columns' widths, made to fit ``width`` where one is given; 0 drops the column.

    Only `WHY` (the last) and the name (the first) give way.
    """
    texts = ([column.text(row, now_seconds) for row in rows] for column in columns)
    found = [
        max(len(column.title), *map(len, column_texts), 0)
        for column, column_texts in zip(columns, texts, strict=True)
    ]
    over = sum(found) + len(GAP) * (len(found) - 1) - width if width else 0
    if over <= 0:
        return tuple(found)
    if found[-1] - over >= MIN_WHY:
        found[-1] -= over
        return tuple(found)
    over -= found[-1] + len(GAP)
    found[-1] = 0
    found[0] = max(MIN_NAME, found[0] - max(0, over))
    return tuple(found)


def line_of(
    columns: Sequence[Column],
    widths: Sequence[int],
    row: Row,
    now_seconds: float,
    *,
    is_coloured: bool = False,
    is_cut: bool = True,
) -> str:
    """Return one row's line, its cells padded, and cut, to these widths."""
    cells: list[str] = []
    for column, width in zip(columns, widths, strict=True):
        if width:
            text = column.text(row, now_seconds)
            text = _cut(text, width, keep_end=column is columns[0]) if is_cut else text
            padded = text.rjust(width) if column.is_number else text.ljust(width)
            cells.append(paint(padded, column.colour(row), is_coloured=is_coloured))
    return GAP.join(cells).rstrip()


def head_of(columns: Sequence[Column], widths: Sequence[int], *, is_coloured: bool = False) -> str:
    """Return the line of titles."""
    cells = [
        column.title.rjust(width) if column.is_number else column.title.ljust(width)
        for column, width in zip(columns, widths, strict=True)
        if width
    ]
    return paint(GAP.join(cells).rstrip(), "bold", is_coloured=is_coloured)


def table(
    fleet: Fleet, *, is_wide: bool = False, width: int | None = None, is_coloured: bool = False
) -> list[str]:
    """Return the titles and a line for each row."""
    columns = WIDE if is_wide else NARROW
    now = fleet.now_seconds
    widths = widths_of(columns, fleet.rows, now, None if is_wide else width)
    lines = [line_of(columns, widths, row, now, is_coloured=is_coloured) for row in fleet.rows]
    return [head_of(columns, widths, is_coloured=is_coloured), *lines]


def _cut(text: str, width: int, *, keep_end: bool) -> str:
    """Return the text in at most this many characters; names differ at both ends."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2 if keep_end else 0
    return f"{text[: width - 1 - tail]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - tail :]}"
