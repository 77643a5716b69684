"""What the demo prints: aligned text, times, colour only on a terminal that wants it."""

import os
import sys
import time

WIDTH = 96
_COLOURS = {"head": "1;36", "good": "32", "warn": "33", "dim": "2"}


class Screen:
    """Writes the story, each line with the seconds since it began."""

    def __init__(self) -> None:
        """Start the clock."""
        self._began = time.monotonic()
        self._is_coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def head(self, text: str) -> None:
        """Begin a chapter."""
        self._write("\n" + self._paint(text, "head"))

    def line(self, text: str, colour: str = "") -> None:
        """Say what was just seen."""
        seconds = time.monotonic() - self._began
        stamp = self._paint(f"{seconds:6.1f} s", "dim")
        self._write(f"{stamp}  {self._paint(text, colour)}")

    def command(self, text: str) -> None:
        """Show a command that is run now."""
        self.line(f"$ {text}", "warn")

    def quote(self, text: str) -> None:
        """Show output of a program, cut at the screen's width."""
        for one in text.splitlines():
            self._write(self._paint(f"            {one}"[:WIDTH], "dim"))

    def _paint(self, text: str, colour: str) -> str:
        if not colour or not self._is_coloured:
            return text
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"

    def _write(self, text: str) -> None:
        print(text, flush=True)
