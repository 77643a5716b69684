"""
A dashboard's panels drawn from what a real Prometheus answers, about as Grafana shows them.

No Grafana: it is in no package registry that this project builds from. What is drawn comes from the
very expressions of the dashboards.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from docs.dashboards.panels import WIDTH, Dashboard, Panel, Row
from tests.monitoring.pictures.canvas import Canvas, Font, Point, cut, width_of
from tests.monitoring.pictures.units import written

COLUMN, LINE, GAP, MARGIN = 62, 34, 8, 12
HEAD = 46
PAGE, CARD, EDGE, INK, SOFT, GRID = (
    *("#f4f5f5", "#ffffff", "#dcdee1", "#24292e", "#6b737c", "#e9ebee"),
)
NAMED: Final = {
    "green": "#56a64b",
    "yellow": "#e0a30b",
    "red": "#d33c44",
    "blue": "#3274d9",
    "text": "#8e98a4",
}
PALETTE: Final = (
    *("#56a64b", "#e0a30b", "#3274d9", "#e07b1a", "#d33c44", "#8f5bc4", "#2f9e9e"),
    *("#b8860b", "#7a8a99", "#c2528b", "#4b6b2f", "#205a9e"),
)
Sample = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One series with its name."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Data:
    """What a Prometheus answers, asked as Grafana asks it."""

    over_time: Callable[[str], list[Sample]]
    now: Callable[[str], list[Sample]]
    start: float
    end: float


def draw(dashboard: Dashboard, data: Data, path: Path) -> None:
    """Draw one dashboard into a PNG."""
    places = _placed(dashboard.parts)
    height = max(y + h for _, _, y, _, h in places) * LINE + HEAD + MARGIN
    width = WIDTH * COLUMN + 2 * MARGIN
    canvas = Canvas(width, height, PAGE)
    canvas.text(MARGIN + 2, 29, dashboard.title, Font(INK, 18, bold=True))
    minutes = (data.end - data.start) / 60
    said = f"{minutes:.0f} minutes of a lab"
    canvas.text(width - MARGIN, 29, said, Font(SOFT, anchor="end"))
    for part, x, y, w, h in places:
        box = Box(MARGIN + x * COLUMN, HEAD + y * LINE, w * COLUMN - GAP, h * LINE - GAP)
        if isinstance(part, Row):
            canvas.text(box.x + 2, box.y + 19, part.title, Font(INK, 13, bold=True))
        else:
            _panel(canvas, box, part, data)
    canvas.save(path)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    x: float
    y: float
    width: float
    height: float


def _placed(parts: Sequence[Panel | Row]) -> list[tuple[Panel | Row, int, int, int, int]]:
    made = []
    x = y = tallest = 0
    for part in parts:
        width, height = (WIDTH, 1) if isinstance(part, Row) else (part.width, part.height)
        if x + width > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        made.append((part, x, y, width, height))
        x, tallest = x + width, max(tallest, height)
    return made


def _panel(canvas: Canvas, box: Box, panel: Panel, data: Data) -> None:
    if panel.kind == "stat":
        _stat(canvas, box, panel, data)
        return
    canvas.box(box.x, box.y, box.width, box.height, CARD, EDGE)
    canvas.text(box.x + 10, box.y + 18, panel.title, Font(INK, 12, bold=True))
    inner = Box(box.x + 10, box.y + 28, box.width - 20, box.height - 36)
    (_table if panel.kind == "table" else _timeseries)(canvas, inner, panel, data)


def _stat(canvas: Canvas, box: Box, panel: Panel, data: Data) -> None:
    found = data.now(panel.queries[0].expr)
    value = float(found[0]["value"][1]) if found else math.nan
    names = {number: (words, color) for number, words, color in panel.names}
    words, color = names.get(value, ("", ""))
    words = words or ("No data" if not found else written(value, panel.unit, panel.decimals))
    color = color or _step(panel, value)
    canvas.box(box.x, box.y, box.width, box.height, NAMED[color])
    canvas.text(box.x + 10, box.y + 18, panel.title, Font(CARD, 12, bold=True))
    middle, size = box.x + box.width / 2, min(34.0, box.width / (len(words) * 0.68))
    big = Font(CARD, size, "middle", bold=True)
    canvas.text(middle, box.y + box.height * 0.68, words, big)


def _step(panel: Panel, value: float) -> str:
    reached = [color for start, color in panel.steps if start is None or value >= start]
    return reached[-1] if reached else "text"


def _table(canvas: Canvas, box: Box, panel: Panel, data: Data) -> None:
    head, rows = _joined(panel, data)
    widths = [max(width_of(one, 11) for one in column) for column in zip(head, *rows, strict=True)]
    stretch = box.width / sum(widths)
    line = min(24.0, box.height / (len(rows) + 1))
    size = min(11.0, line * 0.62)
    for number, cells in enumerate([head, *rows]):
        x, y = box.x, box.y + number * line
        canvas.line([(box.x, y + line), (box.x + box.width, y + line)], GRID, 1)
        for cell, width in zip(cells, widths, strict=True):
            color = SOFT if number == 0 else _cell_color(panel, cell)
            words = cut(cell, size, width * stretch)
            canvas.text(x + 4, y + line * 0.7, words, Font(color, size, bold=number == 0))
            x += width * stretch


def _cell_color(panel: Panel, cell: str) -> str:
    named = {words: NAMED[color] for _, words, color in panel.names}
    outcomes = {"tuned": "green", "degraded": "yellow", "failed": "red", "pending": "blue"}
    return named.get(cell) or NAMED.get(outcomes.get(cell, ""), INK)


def _joined(panel: Panel, data: Data) -> tuple[list[str], list[list[str]]]:
    """Return head and rows: the queries joined by the labels of the first, as `merge` does."""
    answers = [data.now(query.expr) for query in panel.queries]
    labels = sorted({key for one in answers[0] for key in one["metric"]})
    keys = labels if len(answers) == 1 else [key for key in labels if _shared(key, answers)]
    units = dict(panel.units)
    shown = [query for query in panel.queries if query.legend]
    rows = []
    for first in sorted(answers[0], key=lambda one: [one["metric"].get(key, "") for key in labels]):
        row = [first["metric"].get(key, "") for key in labels]
        for query, answer in zip(panel.queries, answers, strict=True):
            if not query.legend:
                continue
            found = [
                one
                for one in answer
                if all(one["metric"].get(k) == first["metric"].get(k) for k in keys)
            ]
            unit = units.get(query.legend, panel.unit if panel.unit != "short" else "none")
            row.append(_value(panel, found, unit))
        rows.append(row)
    return [*labels, *(query.legend for query in shown)], rows


def _agree(one: Sample, other: Sample, keys: Sequence[str]) -> bool:
    return all(one["metric"].get(key) == other["metric"].get(key) for key in keys)


def _shared(key: str, answers: Sequence[Sequence[Sample]]) -> bool:
    return all(key in one["metric"] for answer in answers for one in answer)


def _value(panel: Panel, found: Sequence[Sample], unit: str) -> str:
    if not found:
        return ""
    value = float(found[0]["value"][1])
    names: Mapping[float, str] = {number: words for number, words, _ in panel.names}
    return names.get(value) or written(value, unit, panel.decimals)


def _timeseries(canvas: Canvas, box: Box, panel: Panel, data: Data) -> None:
    lines = [line for query in panel.queries for line in _lines(query.expr, query.legend, data)]
    legend_height = 18.0
    plot = Box(box.x + 62, box.y + 4, box.width - 66, box.height - 24 - legend_height)
    if not lines:
        middle = box.x + box.width / 2, box.y + box.height / 2
        canvas.text(*middle, "No data", Font(SOFT, 13, "middle"))
        return
    stacks = _stacked(lines) if panel.stacked else [line.points for line in lines]
    top, bottom = _range(panel, stacks)
    _grid(canvas, plot, panel, (bottom, top), data)
    colors = _colors(panel, lines)
    below: Sequence[Point] = ()
    for points, color in zip(stacks, colors, strict=True):
        drawn = [_at(plot, data, (bottom, top), one) for one in points]
        base = list(below) or [_at(plot, data, (bottom, top), (t, bottom)) for t, _ in points]
        canvas.area([*drawn, *reversed(base)], color, 0.35 if panel.stacked else 0.06)
        canvas.line(drawn, color)
        below = drawn if panel.stacked else ()
    for start, color in panel.steps[1:]:
        if start is not None and bottom <= start <= top:
            ends = [
                _at(plot, data, (bottom, top), (when, start)) for when in (data.start, data.end)
            ]
            canvas.line(ends, NAMED[color], 1)
    _legend(canvas, Box(box.x, box.y + box.height - 10, box.width, 18), lines, colors)


def _lines(expression: str, legend: str, data: Data) -> list[Line]:
    made = []
    for one in data.over_time(expression):
        name = legend
        for key, value in one["metric"].items():
            name = name.replace(f"{{{{{key}}}}}", value)
        points = tuple((float(t), float(v)) for t, v in one["values"] if math.isfinite(float(v)))
        if points:
            made.append(Line(name, points))
    return sorted(made, key=lambda line: line.name)


def _stacked(lines: Sequence[Line]) -> list[tuple[tuple[float, float], ...]]:
    times = sorted({t for line in lines for t, _ in line.points})
    sums = dict.fromkeys(times, 0.0)
    made = []
    for line in lines:
        values = dict(line.points)
        sums = {t: sums[t] + values.get(t, 0.0) for t in times}
        made.append(tuple(sums.items()))
    return made


def _range(panel: Panel, stacks: Sequence[Sequence[tuple[float, float]]]) -> tuple[float, float]:
    """Return the ends of the axis, top first."""
    values = [value for points in stacks for _, value in points]
    bottom = min(0.0, *values) if panel.minimum is None else panel.minimum
    if panel.maximum is not None:
        return panel.maximum, bottom
    step = _round_step(max(values) - bottom, panel.unit, is_whole=panel.decimals == 0)
    return bottom + step * max(1, math.ceil(max(values) * 1.02 / step)), bottom


def _round_step(span: float, unit: str, *, is_whole: bool) -> float:
    """Return the distance of the lines: one, two or five of a round number, at most five lines."""
    base = 1.0
    if unit == "bytes":
        base = 1024.0 ** max(0, math.floor(math.log(max(span, 1), 1024)))
    rough = (span or 1.0) / base / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * many for many in (1, 2, 5, 10) if size * many >= rough) * base
    return max(step, 1.0) if is_whole else step


def _grid(canvas: Canvas, plot: Box, panel: Panel, bounds: tuple[float, float], data: Data) -> None:
    bottom, top = bounds
    scale = _round_step((top - bottom) * 0.98, panel.unit, is_whole=panel.decimals == 0)
    for number in range(math.ceil((top - bottom) / scale) + 1):
        value = bottom + number * scale
        if value > top * 1.001:
            break
        _, y = _at(plot, data, bounds, (data.start, value))
        canvas.line([(plot.x, y), (plot.x + plot.width, y)], GRID, 1)
        label = written(value, panel.unit, panel.decimals)
        canvas.text(plot.x - 6, y + 4, label, Font(SOFT, 10, "end"))
    seconds = data.end - data.start
    every = 60.0 if seconds <= 600 else 300.0
    for number in range(int(seconds // every) + 1):
        x, _ = _at(plot, data, bounds, (data.start + number * every, bottom))
        canvas.line([(x, plot.y), (x, plot.y + plot.height)], GRID, 1)
        minute = f"{number * every / 60:.0f} min"
        canvas.text(x, plot.y + plot.height + 14, minute, Font(SOFT, 10, "middle"))


def _at(plot: Box, data: Data, bounds: tuple[float, float], point: Point) -> Point:
    bottom, top = bounds
    x = plot.x + (point[0] - data.start) / (data.end - data.start) * plot.width
    share = (point[1] - bottom) / ((top - bottom) or 1)
    return x, plot.y + (1 - share) * plot.height


def _colors(panel: Panel, lines: Sequence[Line]) -> list[str]:
    fixed = dict(panel.fixed)
    return [
        NAMED[fixed[line.name]] if line.name in fixed else PALETTE[number % len(PALETTE)]
        for number, line in enumerate(lines)
    ]


def _legend(canvas: Canvas, box: Box, lines: Sequence[Line], colors: Sequence[str]) -> None:
    """Name the series; where there is no room for all, those that are ever above 0."""
    size, shown = 10.0, list(zip(lines, colors, strict=True))
    needed = sum(width_of(line.name, size) + 24 for line in lines)
    if needed > box.width:
        lively = [pair for pair in shown if any(value for _, value in pair[0].points)]
        shown = lively or shown[:1]
    rest = len(lines) - len(shown)
    needed = sum(width_of(line.name, size) + 24 for line, _ in shown) + (80 if rest else 0)
    room = (box.width - (80 if rest else 0)) / len(shown)
    x = box.x + 2
    for line, color in shown:
        words = line.name if needed <= box.width else cut(line.name, size, room - 20)
        canvas.box(x, box.y + 2, 10, 3, color)
        canvas.text(x + 14, box.y + 8, words, Font(INK, size))
        x += width_of(words, size) + 24 if needed <= box.width else room
    if rest:
        canvas.text(x, box.y + 8, f"and {rest} at 0", Font(SOFT, size))
