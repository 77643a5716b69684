"""
Make the C library give memory back: the largest review needs a hundred times what a usual one does.

glibc raises its threshold for mappings of their own with each large block that is freed, and has an
arena for each thread; both leave holes that no later review fills. Source: mallopt(3).
"""

import ctypes
from contextlib import suppress
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
LARGE_BYTES: Final = 128 * 1024
"""Where glibc itself begins."""
ARENAS: Final = 2


def keep_small() -> None:
    """Fix the thresholds; other C libraries have neither them nor the fault."""
    with suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        for option, value in (
            (_M_MMAP_THRESHOLD, LARGE_BYTES),
            (_M_TRIM_THRESHOLD, LARGE_BYTES),
            (_M_ARENA_MAX, ARENAS),
        ):
            library.mallopt(option, value)
