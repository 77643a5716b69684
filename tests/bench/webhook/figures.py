"""From samples to figures, and from figures to verdicts against what is wanted."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

_BUCKET: Final = re.compile(
    r"apiserver_admission_webhook_admission_duration_seconds_(bucket|sum|count)\{(.*)\} (\S+)"
)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile of samples, between the two nearest."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


class Histogram:
    """What the API server says of the calls of one hook."""

    def __init__(self, text: str, hook: str) -> None:
        """Read its metrics; a hook that was never called has no series."""
        self.buckets: dict[float, float] = {}
        self.total = self.count = 0.0
        for kind, labels, value in _BUCKET.findall(text):
            has = dict(_LABEL.findall(labels))
            if has.get("name") != hook:
                continue
            if kind == "bucket":
                edge = float(has["le"])
                self.buckets[edge] = self.buckets.get(edge, 0.0) + float(value)
            elif kind == "sum":
                self.total += float(value)
            else:
                self.count += float(value)

    def since(self, before: "Histogram") -> "Histogram":
        """Return what came after an earlier reading."""
        after = Histogram("", "")
        after.buckets = {
            edge: value - before.buckets.get(edge, 0.0) for edge, value in self.buckets.items()
        }
        after.total, after.count = self.total - before.total, self.count - before.count
        return after

    @property
    def mean(self) -> float:
        """Return the mean, which the width of the buckets does not blur."""
        return self.total / self.count

    def quantile(self, share: float) -> float:
        """Return a quantile as Prometheus does: linear within its bucket."""
        wanted, edge_below, below = share * self.count, 0.0, 0.0
        for edge, value in sorted(self.buckets.items()):
            if value >= wanted:
                if edge == float("inf"):
                    return edge_below
                return edge_below + (edge - edge_below) * (wanted - below) / max(value - below, 1)
            edge_below, below = edge, value
        return edge_below


def verdict(value: float, limit: float, *, at_least: bool = False) -> str:
    """Return whether a figure is as wanted, with the limit."""
    is_so = value >= limit if at_least else value <= limit
    word = "at least" if at_least else "at most"
    return f"{'ok' if is_so else 'MISSED'}: {word} {limit:g} wanted"


def added(times: Mapping[str, Sequence[float]], name: str, base: str, share: float) -> float:
    """Return by how much a quantile is above that of another, in seconds."""
    return quantile(times[name], share) - quantile(times[base], share)
