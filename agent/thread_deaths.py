"""A thread that dies takes the process with it: what it watched would go unseen for ever."""

import threading
from collections.abc import Callable

from common.telemetry import Log


class ThreadDeaths:
    """Logs the death of any thread of this process, and has it stopped; the kubelet starts anew."""

    def __init__(self, log: Log, stop: Callable[[], None]) -> None:
        """Listen from now on; the last one made is the one that hears."""
        self._log = log
        self._stop = stop
        self.names: list[str] = []
        threading.excepthook = self._heard

    def _heard(self, died: threading.ExceptHookArgs) -> None:
        name = died.thread.name if died.thread else "unknown"
        self.names.append(name)
        trace = died.exc_traceback
        while trace and trace.tb_next:
            trace = trace.tb_next
        where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
        why = f"{died.exc_type.__name__}: {died.exc_value}"
        self._log.error("A thread died", thread=name, err=why, where=where)
        self._stop()
