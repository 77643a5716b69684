"""
vLLM pods as rows: what became of each, for people and for scripts. Pure.

Fields of the JSON and their meanings are promised in docs/cli.md; times are RFC 3339 in UTC.
"""

import json
import statistics
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from cli.table import GAP, NONE, clean, paint
from common.record import dataclass
from webhook.auditor import AUDITED, NEEDING, Audited, State
from webhook.owners import Owner, cure

TITLES: Final = ("NAMESPACE", "POD", "OWNER", "STATE", "INJECTED", "NODE", "READY", "WHY")
_COLOURS: Final = {State.MISSED: "bad", State.FAILED_SAFE: "bad", State.INJECTED: "good"}
_ORDER: Final = (State.MISSED, State.FAILED_SAFE, State.INJECTED, State.COMPLETE, State.LEFT_ALONE)
_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class PodRow:
    """One pod; ``owner`` is its controller, a Deployment where its label tells one."""

    audited: Audited
    owner: Owner

    @property
    def seconds_to_ready(self) -> float | None:
        """Return how long it took from scheduled to Ready, None while it is not Ready."""
        scheduled, ready = self.audited.scheduled_seconds, self.audited.ready_seconds
        return None if scheduled is None or ready is None else max(0.0, ready - scheduled)

    @property
    def is_fine(self) -> bool:
        """Return whether nobody has to do anything about its injection."""
        return self.audited.state not in NEEDING


def in_order(rows: Iterable[PodRow]) -> list[PodRow]:
    """Return the rows, those on top that a person has to do something about."""

    def place(row: PodRow) -> tuple[object, ...]:
        one = row.audited
        return _ORDER.index(one.state), one.namespace, one.name

    return sorted(rows, key=place)


def text(
    rows: Sequence[PodRow], now_seconds: float, width: int | None, *, is_coloured: bool
) -> Iterator[str]:
    """Yield the table, what to do about it, and a summary; ``width`` cuts lines, None does not."""
    if rows:
        yield from _table(rows, now_seconds, width, is_coloured=is_coloured)
        yield ""
        yield from _todo([row for row in rows if not row.is_fine])
    yield from textwrap.wrap(summary(rows), width or 100)


def _table(
    rows: Sequence[PodRow], now_seconds: float, width: int | None, *, is_coloured: bool
) -> Iterator[str]:
    cells = [_cells(row, now_seconds) for row in rows]
    widths = [max(map(len, column)) for column in zip(TITLES, *cells, strict=True)]
    yield paint(_line(TITLES, widths, width), "bold", is_coloured=is_coloured)
    for row, texts in zip(rows, cells, strict=True):
        colour = _COLOURS.get(row.audited.state) if not row.is_fine else None
        yield paint(_line(texts, widths, width), colour, is_coloured=is_coloured)


def _cells(row: PodRow, now_seconds: float) -> tuple[str, ...]:
    one = row.audited
    injected = () if one.state is State.MISSED else one.features
    return tuple(
        clean(cell) or NONE
        for cell in (
            one.namespace,
            one.name,
            str(row.owner),
            one.state,
            ",".join(injected),
            one.node,
            ready_text(row, now_seconds),
            why(row),
        )
    )


def line_of(row: PodRow, now_seconds: float) -> str:
    """Return one row by itself, for a pipe."""
    return GAP.join(_cells(row, now_seconds))


def _line(cells: Sequence[str], widths: Sequence[int], width: int | None) -> str:
    padded = (cell.ljust(size) for cell, size in zip(cells, widths, strict=True))
    line = GAP.join(padded).rstrip()
    too_long = width is not None and len(line) > width
    return f"{line[: (width or 1) - 1]}\N{HORIZONTAL ELLIPSIS}" if too_long else line


def why(row: PodRow) -> str:
    """Return why a pod is in its state, "" where there is nothing to say."""
    one = row.audited
    if one.state is State.MISSED:
        return f"runs without {','.join(one.features)}: {one.why}"
    return one.why


def ready_text(row: PodRow, now_seconds: float) -> str:
    """Return how long it took to become Ready, or has waited so far, or that it is unscheduled."""
    taken = row.seconds_to_ready
    if taken is not None:
        return duration(taken)
    if row.audited.scheduled_seconds is None:
        return "unscheduled" if row.audited.ready_seconds is None else ""
    return f"not for {duration(now_seconds - row.audited.scheduled_seconds)}"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: 45s, 5m40s, 2h05m, 26h00m."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"


def _todo(rows: Sequence[PodRow]) -> Iterator[str]:
    """Yield a line for each owner whose pods need somebody."""

    def owner_of(row: PodRow) -> tuple[str, str]:
        return row.owner.namespace, str(row.owner)

    for (namespace, owner), found in groupby(sorted(rows, key=owner_of), key=owner_of):
        group = list(found)
        yield f"{clean(owner)} in {clean(namespace)}: {clean(cure_of(group[0]))}"
    if rows:
        yield ""


def cure_of(row: PodRow) -> str:
    """Return what to do about a pod that needs it, "" for one that does not."""
    return "" if row.is_fine else cure([row.owner], row.audited.name)


def summary(rows: Sequence[PodRow]) -> str:
    """Return one sentence about all of them."""
    serving = [row for row in rows if row.audited.state in AUDITED]
    if not serving:
        return "No vLLM pod is there."
    counts = {state: sum(row.audited.state is state for row in serving) for state in AUDITED}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    times = [taken for row in serving if (taken := row.seconds_to_ready) is not None]
    middle = (
        f"; median from scheduled to Ready {duration(statistics.median(times))}" if times else ""
    )
    plural = "" if len(serving) == 1 else "s"
    return f"{len(serving)} vLLM pod{plural}: {told}{middle}."


def rows_json(rows: Sequence[PodRow], now_seconds: float) -> str:
    """Return the whole list as one object."""
    shown = {"asOf": _moment(now_seconds), "pods": [pod_object(row) for row in rows]}
    return json.dumps(shown, indent=2)


def pod_object(row: PodRow) -> dict[str, object]:
    """Return one row as a JSON object."""
    one = row.audited
    return {
        "namespace": one.namespace,
        "name": one.name,
        "owner": {"kind": row.owner.kind, "name": row.owner.name},
        "isFine": row.is_fine,
        "state": one.state.value,
        "injected": [] if one.state is State.MISSED else [each.value for each in one.features],
        "missing": [each.value for each in one.features] if one.state is State.MISSED else [],
        "why": one.why,
        "cure": cure_of(row),
        "node": one.node or None,
        "scheduled": _moment(one.scheduled_seconds),
        "ready": _moment(one.ready_seconds),
        "secondsToReady": row.seconds_to_ready,
    }


def _moment(when_seconds: float | None) -> str | None:
    if when_seconds is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when_seconds))
