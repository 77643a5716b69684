"""
Log lines: one constant past-tense message and named fields, as JSON or as text.

The standard library's logging costs 8 ms to import, which the agent would pay between exec and
gate open; this is what it needs of it.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

Field = str | int | float | bool | None

VERSION: Final = "0.1.0"
"""The version of all parts; pyproject.toml and the chart carry the same (a test holds them)."""


class Log:
    """
    Writes one line a message to a stream; never raises because of the stream.

    Args:
        layout: ``json`` (one object a line) or ``text``.
        stream: where to; standard error by default.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        layout: str = "text",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Keep the layout and the stream."""
        self._is_json = layout == "json"
        self._stream = stream
        self._clock = clock

    def info(self, message: str, **fields: Field) -> None:
        """Write that something changed, or a verdict."""
        self._write("info", message, fields)

    def warning(self, message: str, **fields: Field) -> None:
        """Write that something needs a person's eye but not at once."""
        self._write("warning", message, fields)

    def error(self, message: str, **fields: Field) -> None:
        """Write that something failed."""
        self._write("error", message, fields)

    def _write(self, level: str, message: str, fields: dict[str, Field]) -> None:
        now = self._clock()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e3):03d}Z"
        if self._is_json:
            line = json.dumps({"time": stamp, "level": level, "message": message, **fields})
        else:
            pairs = "".join(f" {key}={_plain(value)}" for key, value in fields.items())
            line = f"{stamp} {level:<7} {message}{pairs}"
        stream = self._stream or sys.stderr
        try:
            stream.write(line + "\n")
            stream.flush()
        except (OSError, ValueError):
            return  # a closed or full log must not stop the agent


def _plain(value: Field) -> str:
    text = str(value)
    return json.dumps(text) if not text or any(char in text for char in ' "=\n') else text
