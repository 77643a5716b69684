"""Whether a process grew while it was watched. Pure."""

import statistics
from collections.abc import Sequence

from tests.lab.footprint import Footprint

GROWTH_KIB = 2048
"""What RSS may differ by from an early part to the late one: an arena more or less."""

LEAST_SAMPLES = 3


def growth(samples: Sequence[Footprint]) -> list[str]:
    """
    Say what grew, one sentence each; empty when all is flat.

    The first sample is the start, before everything was loaded. The next third of them is held
    against the last one: descriptors and threads may not be more, RSS by its median.
    """
    if len(samples) < LEAST_SAMPLES:
        return [f"{len(samples)} samples tell nothing, {LEAST_SAMPLES} are needed"]
    part = max(1, (len(samples) - 1) // 3)
    early, late = samples[1 : 1 + part], samples[-part:]
    counts = {
        "descriptors": (
            max(one.descriptors for one in early),
            min(one.descriptors for one in late),
        ),
        "threads": (max(one.threads for one in early), min(one.threads for one in late)),
    }
    grown = [f"{name}: {had} and then {has}" for name, (had, has) in counts.items() if has > had]
    had_kib = statistics.median(one.rss_kib for one in early)
    has_kib = statistics.median(one.rss_kib for one in late)
    if has_kib - had_kib > GROWTH_KIB:
        grown.append(f"RSS: {had_kib / 1024:.1f} MiB and then {has_kib / 1024:.1f} MiB")
    return grown
