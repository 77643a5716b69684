"""
Shift a process's wall clock by the seconds that stand in the file TUNEGATE_LAB_CLOCK.

Python imports a module of this name as it starts, so a folder on PYTHONPATH is all that is needed.
The file is read at each look at the clock: what is written into it is a jump.
"""

import os
import time
from pathlib import Path

_TRUE = time.time
_FILE = os.environ.get("TUNEGATE_LAB_CLOCK")


def _shifted() -> float:
    try:
        return _TRUE() + float(Path(str(_FILE)).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return _TRUE()


if _FILE:
    time.time = _shifted
