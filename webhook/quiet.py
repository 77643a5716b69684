"""What libraries and parts log, as our own lines: the kind of an event, never what was sent."""

import logging

from common.telemetry import Log
from webhook.review import place_of

OURS = "webhook"


class _Lines(logging.Handler):
    """Writes warnings and worse: exceptions by kind and place, libraries' texts without values."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        is_ours = record.name.partition(".")[0] == OURS
        text = record.getMessage() if is_ours else str(record.msg)
        where = place_of(error) if error else ""
        write = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        write("A part complained", part=record.name, text=text.strip(), err=where)


def quiet_libraries(log: Log) -> None:
    """Send what the standard library's logging gets to our own log."""
    root = logging.getLogger()
    root.handlers[:] = [_Lines(log)]
    root.setLevel(logging.WARNING)
