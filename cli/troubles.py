"""
What a person should know beside the table: why nodes are not fine, and what was left out. Pure.

Nodes with the same trouble share one paragraph, so that a thousand nodes can be read, too.
"""

import textwrap
from collections.abc import Iterable, Sequence

from cli.fleet import Fleet, Outcome, Row
from cli.table import OUTCOME_COLOUR, clean, paint
from common.wording import wrapped

PARAGRAPHS = 12
NAMED = 3
WIDTH = 80

_Key = tuple[Outcome, str, tuple[str, ...], tuple[str, ...]]


def explanation(fleet: Fleet, *, width: int = WIDTH, is_coloured: bool = False) -> list[str]:
    """Return a paragraph for each kind of trouble in the table's order, the worst wait first."""
    groups: dict[_Key, list[Row]] = {}
    for row in fleet.rows:
        if needs_words(row):
            groups.setdefault(_key(row), []).append(row)
    lines: list[str] = []
    for rows in list(groups.values())[:PARAGRAPHS]:
        lines += ["", *_paragraph(rows, width, is_coloured=is_coloured)]
    more = sum(len(rows) for rows in list(groups.values())[PARAGRAPHS:])
    if more:
        lines += ["", f"{_nodes(more)} more with other troubles: -o wide says why."]
    return lines


def summary(fleet: Fleet, width: int = WIDTH) -> list[str]:
    """Return how many nodes stand where, and how many were left out."""
    if not fleet.rows:
        return textwrap.wrap(_nothing(fleet), width)
    fine = sum(row.is_fine for row in fleet.rows)
    closed = sum(not row.is_open for row in fleet.rows)
    stale = sum(bool(row.stale) for row in fleet.rows)
    said = f"{_nodes(len(fleet.rows))}: {fine} fine, {closed} with a closed gate, {stale} stale."
    if fleet.left_out:
        said += f" Left out: {_nodes(fleet.left_out)} without any sign of tunegate (see --all)."
    return textwrap.wrap(said, width)


def _nothing(fleet: Fleet) -> str:
    if not fleet.left_out:
        return "No node to show."
    return (
        f"No sign of tunegate on any of {_nodes(fleet.left_out)}: is its DaemonSet installed in "
        "this cluster? --all lists them."
    )


def needs_words(row: Row) -> bool:
    """Return whether a row's table line leaves a question open."""
    is_as_asked = row.outcome in (Outcome.TUNED, Outcome.OFF)
    is_foreign = not row.node.is_known
    return not (row.is_open and not row.stale and (is_as_asked or is_foreign))


def _key(row: Row) -> _Key:
    signs = tuple(one.sign.value for one in row.stale)
    return row.outcome, row.reason, signs, row.node.gate_taints


def _paragraph(rows: Sequence[Row], width: int, *, is_coloured: bool) -> Iterable[str]:
    first = rows[0]
    names = ", ".join(clean(row.node.name) for row in rows[:NAMED])
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    head = wrapped(f"{names}{more}: {_standing(first)}", width)
    yield from (paint(line, _colour(first), is_coloured=is_coloured) for line in head)
    for label, text in _sentences(first):
        yield from wrapped(f"{label}{clean(text)}", width, "  ", "    ")


def _standing(row: Row) -> str:
    """Return e.g. "failed (BlackHole), gate closed"."""
    is_told = row.reason and row.outcome is not Outcome.TUNED
    parts = [f"{row.outcome} ({clean(row.reason)})" if is_told else str(row.outcome)]
    if row.stale:
        parts.append(f"stale ({', '.join(one.sign for one in row.stale)})")
    if not row.is_open:
        parts.append("gate closed")
    return ", ".join(parts)


def _colour(row: Row) -> str | None:
    is_doubtful = row.stale and row.outcome is Outcome.TUNED
    return "warn" if is_doubtful else OUTCOME_COLOUR.get(row.outcome)


def _sentences(row: Row) -> Iterable[tuple[str, str]]:
    if row.message and not (row.stale and row.outcome is Outcome.TUNED):
        yield "", row.message
    for one in row.stale:
        yield "stale: ", one.message
    if not row.is_open:
        yield "gate held by ", ", ".join(row.node.gate_taints)
        if row.outcome is Outcome.TUNED and not row.stale:
            yield "", "Its agent takes that away within seconds; if it stays, read its pod's log."


def _nodes(number: int) -> str:
    return f"{number} node" if number == 1 else f"{number} nodes"
