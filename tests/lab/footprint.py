"""What a process holds: descriptors, threads, memory (proc(5))."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

SAMPLES, PAUSE_SECONDS = 25, 0.04


@dataclass(frozen=True, slots=True)
class Footprint:
    """One process, at one moment or at rest."""

    descriptors: int
    threads: int
    rss_kib: int

    @classmethod
    def of(cls, pid: int) -> "Footprint":
        """Look once; raises OSError when the process is gone."""
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        status = dict(line.split(":", 1) for line in lines)
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names are enough
        return cls(descriptors, int(status["Threads"]), int(status["VmRSS"].split()[0]))

    @classmethod
    def at_rest(cls, pid: int) -> "Footprint":
        """Return the least of each in a second: what is open for a moment only is left out."""
        seen = []
        for _ in range(SAMPLES):
            seen.append(cls.of(pid))
            time.sleep(PAUSE_SECONDS)
        return cls(
            min(one.descriptors for one in seen),
            min(one.threads for one in seen),
            min(one.rss_kib for one in seen),
        )
