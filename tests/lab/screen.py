"""What the demo prints: aligned text, times, colour only on a terminal that wants it."""

import os
import sys
import textwrap
import time

WIDTH = 96
_COLOURS = {"head": "1;36", "good": "32", "warn": "33", "bad": "31", "dim": "2"}
_MARGIN = " " * 10


class Screen:
    """Writes the story, each line with the seconds since it began."""

    def __init__(self) -> None:
        """Start the clock."""
        self._began = time.monotonic()
        self._is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def head(self, text: str) -> None:
        """Begin a chapter."""
        self._write("\n" + self._paint(text, "head"))

    def line(self, text: str, colour: str = "") -> None:
        """Say what was just seen."""
        seconds = time.monotonic() - self._began
        stamp = self._paint(f"{seconds:6.1f} s", "dim")
        first, *rest = _wrapped(text, WIDTH - len(_MARGIN), "  ")
        self._write(f"{stamp}  {self._paint(first, colour)}")
        for one in rest:
            self._write(_MARGIN + self._paint(one, colour))

    def command(self, text: str) -> None:
        """Show a command that is run now."""
        self.line(f"$ {text}", "warn")

    def quote(self, text: str) -> None:
        """Show a program's output, its long lines wrapped."""
        for one in text.splitlines():
            indent = " " * (len(one) - len(one.lstrip()) + 4)
            for part in _wrapped(one, WIDTH - len(_MARGIN) - 2, indent):
                self._write(self._paint(f"{_MARGIN}  {part}".rstrip(), "dim"))

    def _paint(self, text: str, colour: str) -> str:
        if not colour or not self._is_coloured:
            return text
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"

    def _write(self, text: str) -> None:
        print(text, flush=True)


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    """Break between words; names with hyphens stay whole."""
    found = textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)
    return found or [""]
