"""
When to stop fighting: a target that is taken away again and again is left alone for a while.

Pure: the clock is an argument, monotonic seconds.
"""

from common.record import dataclass, field

MAX_BACKOFF_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Pause:
    """A target left alone until then; ``streak`` counts the pauses in a row."""

    until_seconds: float
    streak: int


@dataclass(slots=True)
class Breaker:
    """
    Counts repairs of each target and pauses one that needs too many.

    Args:
        repairs: how many within the window are still fought for.
        window_seconds: the time in which they are counted.
        backoff_seconds: the first pause; it doubles while the fight goes on, up to an hour.
    """

    repairs: int
    window_seconds: float
    backoff_seconds: float
    _times: dict[str, list[float]] = field(default_factory=dict)
    _pauses: dict[str, Pause] = field(default_factory=dict)

    def repaired(self, target: str, now_seconds: float) -> bool:
        """Note one repair; return whether it was the one too many, which begins a pause."""
        times = [t for t in self._times.get(target, []) if now_seconds - t < self.window_seconds]
        times.append(now_seconds)
        self._times[target] = times
        if len(times) < self.repairs:
            return False
        before = self._pauses.get(target)
        quiet_since = before.until_seconds + self.window_seconds if before else 0.0
        streak = before.streak + 1 if before and now_seconds < quiet_since else 1
        pause = min(self.backoff_seconds * 2 ** min(streak - 1, 16), MAX_BACKOFF_SECONDS)
        self._pauses[target] = Pause(now_seconds + pause, streak)
        self._times[target] = []
        return True

    def paused(self, now_seconds: float) -> frozenset[str]:
        """Return the targets that are left alone now."""
        return frozenset(
            target for target, pause in self._pauses.items() if now_seconds < pause.until_seconds
        )

    def next_seconds(self, now_seconds: float) -> float | None:
        """Return when the next pause ends, or None."""
        ends = [p.until_seconds for p in self._pauses.values() if p.until_seconds > now_seconds]
        return min(ends, default=None)
