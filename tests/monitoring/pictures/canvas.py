"""Shapes and words as SVG; made a PNG by Debian's rsvg-convert."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

FACE: Final = "DejaVu Sans"
CHARACTER: Final = 0.58
"""Mean width of a character, in parts of the font's size."""
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Font:
    """How words look; `anchor` is SVG's start, middle or end."""

    color: str
    size: float = 11
    anchor: str = "start"
    bold: bool = False


class Canvas:
    """One picture; coordinates are in pixels from the top left."""

    def __init__(self, width: int, height: int, background: str) -> None:
        """Begin with this background."""
        self._width, self._height = width, height
        self._parts: list[str] = []
        self.box(0, 0, width, height, background)

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, line: str = "none"
    ) -> None:
        """Draw a rectangle."""
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
            f' fill="{fill}" stroke="{line}"/>'
        )

    def text(self, x: float, y: float, words: str, font: Font) -> None:
        """Write words with their baseline at y."""
        weight = ' font-weight="bold"' if font.bold else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-family="{FACE}" font-size="{font.size:.1f}"'
            f' text-anchor="{font.anchor}" fill="{font.color}"{weight}>{escape(words)}</text>'
        )

    def line(self, points: Sequence[Point], color: str, width: float = 1.4) -> None:
        """Draw a line through points."""
        self._parts.append(
            f'<polyline points="{_listed(points)}" fill="none" stroke="{color}"'
            f' stroke-width="{width}" stroke-linejoin="round"/>'
        )

    def area(self, points: Sequence[Point], color: str, opacity: float) -> None:
        """Fill the polygon of these points."""
        self._parts.append(
            f'<polygon points="{_listed(points)}" fill="{color}" fill-opacity="{opacity}"/>'
        )

    def save(self, path: Path) -> None:
        """Write the PNG."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self._width}"'
            f' height="{self._height}">'
        )
        drawn = "\n".join((head, *self._parts, "</svg>"))
        subprocess.run(
            ["rsvg-convert", "--format=png", f"--output={path}"],
            input=drawn.encode(),
            check=True,
        )


def width_of(words: str, size: float) -> float:
    """Return about how many pixels some words take."""
    return len(words) * size * CHARACTER


def cut(words: str, size: float, width: float) -> str:
    """Return the words, cut so that they fit."""
    room = max(int(width / (size * CHARACTER)), 1)
    return words if len(words) <= room else f"{words[: room - 1]}…"


def _listed(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
