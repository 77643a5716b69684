"""How long to wait before the next try: doubling, with jitter, never longer than the error says."""

import os

from agent.cluster.errors import ClusterError

_CAP_SECONDS = 10.0


class Backoff:
    """The waits of one row of tries; ``reset`` begins a new row."""

    def __init__(self, first_seconds: float = 0.02) -> None:
        """Begin at ``first_seconds``."""
        self._first_seconds = first_seconds
        self._seconds = first_seconds

    def reset(self) -> None:
        """Go back to the first wait."""
        self._seconds = self._first_seconds

    def next(self, error: ClusterError | None = None) -> float:
        """Return the seconds to wait now: half to all of the current step, or Retry-After."""
        cap_seconds = error.retry_cap_seconds if error else _CAP_SECONDS
        seconds = min(self._seconds, cap_seconds)
        self._seconds = min(self._seconds * 2, 60.0)
        jittered = seconds * (0.5 + _fraction() / 2)
        return max(jittered, error.retry_after_seconds if error else 0.0)


def _fraction() -> float:
    """Return a random number in [0, 1); the random module would cost 3 ms of start-up."""
    return int.from_bytes(os.urandom(4), "big") / 2**32
