"""Say what is going on during steps that take longer than a few seconds."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

TERMINAL_SECONDS = 1.0
LOG_SECONDS = 15.0


class Progress:
    """Write one line per step, and a sign of life while it lasts.

    A terminal shows the running step on a line that is overwritten every second; a log file or a
    CI console gets a line every 15 s.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        terminal: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write to `stream` (standard error unless given)."""
        self._clock = clock
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty() if terminal is None else terminal
        self._started = self._said = self._clock()
        self._open_line = False

    def line(self, text: str) -> None:
        """Say something that stays."""
        self._write(text + "\n")

    def start(self, text: str) -> None:
        """Say that a step begins; its clock starts now."""
        self._started = self._said = self._clock()
        self.line(text)

    def tick(self, text: str) -> None:
        """Give a sign of life for the running step, no more often than is useful."""
        now = self._clock()
        if now - self._said < (TERMINAL_SECONDS if self._terminal else LOG_SECONDS):
            return
        self._said = now
        message = f"  {text} ... {now - self._started:.0f} s"
        if self._terminal:
            self._write(message, open_line=True)
        else:
            self._write(message + "\n")

    def seconds(self) -> float:
        """Return the seconds since the running step began."""
        return self._clock() - self._started

    def _write(self, text: str, *, open_line: bool = False) -> None:
        start_over = "\r\x1b[K" if self._open_line else ""
        self._stream.write(start_over + text)
        self._stream.flush()
        self._open_line = open_line
