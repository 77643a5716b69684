"""What the process knows about itself, for /metrics, /healthz and /readyz: plain counts."""

import os
import threading
import time
from collections import Counter

from agent.readahead import ReadAheadChange
from agent.state import Change, LinkMtuChange, Outcome, Report
from common.record import dataclass, field


def seconds_since_exec() -> float:
    """Return how long ago this process was started, from proc_pid_stat(5) field 22."""
    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        started_ticks = int(file.read().rpartition(")")[2].split()[19])
    started_seconds = started_ticks / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started_seconds


def kind_of(change: Change) -> str:
    """Return a change's kind, a metric's label value."""
    if isinstance(change, ReadAheadChange):
        return "readahead"
    return "link" if isinstance(change, LinkMtuChange) else "sysctl"


@dataclass(slots=True)
class Status:
    """
    Counts and the last report; any thread may add, the metrics read.

    ``gate_opened_seconds`` is the time from exec to the first open gate, None before.
    ``closed_since_seconds`` is the monotonic time since when a gate taint is known to stand, None
    while none does; a process that has not read its Node yet takes it for closed.
    ``mode`` is what a person lets the agent do, "unknown" while the Node was never read.
    ``alive_seconds`` is the monotonic time of the loop's last turn, or when it means to wake.
    """

    report: Report | None = None
    is_gate_open: bool = False
    is_published: bool = False
    profile: tuple[str, str] = ("default", "")  # name and hash of the settings in force
    is_settings_valid: bool = True
    waiting_for: str = "the first pass"
    gate_opened_seconds: float | None = None
    closed_since_seconds: float | None = field(default_factory=time.monotonic)
    mode: str = "apply"
    alive_seconds: float = field(default_factory=time.monotonic)
    last_pass_timestamp_seconds: float = 0.0
    last_pass_duration_seconds: float = 0.0
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    passes: Counter[Outcome] = field(default_factory=Counter)
    contested: frozenset[str] = frozenset()
    connections_healed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def gate_closed_seconds(self) -> float:
        """Return for how long a gate taint has stood, 0 while none does."""
        since = self.closed_since_seconds
        return 0.0 if since is None else time.monotonic() - since

    def gate_seen(self, *, is_closed: bool) -> None:
        """Note whether a gate taint stands on the Node."""
        if not is_closed:
            self.closed_since_seconds = None
        elif self.closed_since_seconds is None:
            self.closed_since_seconds = time.monotonic()

    def requested(self, verb: str, code: int) -> None:
        """Count one request to the API server; code 0 is one that got no answer."""
        with self._lock:
            self.requests[verb, str(code)] += 1

    def changed(self, change: Change, result: str) -> None:
        """Count one write to the host: ``applied`` or ``refused``."""
        with self._lock:
            self.changes[kind_of(change), result] += 1

    def repaired(self, change: Change) -> None:
        """Count one drift put right."""
        with self._lock:
            self.repairs[kind_of(change)] += 1

    def judged(self, report: Report) -> None:
        """Take in a report whose mounts were judged again, between two passes."""
        with self._lock:
            self.report = report

    def passed(self, report: Report, duration_seconds: float) -> None:
        """Take in the report of a finished pass."""
        with self._lock:
            self.report = report
            self.connections_healed += report.healed_connections
            self.passes[report.outcome] += 1
            self.last_pass_duration_seconds = duration_seconds
            self.last_pass_timestamp_seconds = time.time()
