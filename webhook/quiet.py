"""What the libraries log, as our own lines: the kind of an event and never what was sent."""

import logging

from common.telemetry import Log
from webhook.review import place_of

LIBRARIES = ("uvicorn", "uvicorn.error", "asyncio", "urllib3")


class _Lines(logging.Handler):
    """Writes warnings and worse; an exception as its kind and place, without its text."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        where = place_of(error) if error else ""
        self._log.warning("A library complained", library=record.name, text=record.msg, err=where)


def quiet_libraries(log: Log) -> None:
    """Send what the libraries log to our own log."""
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers[:] = [_Lines(log)] if "." not in name else []
        logger.propagate = "." in name
        logger.setLevel(logging.WARNING)
