"""
How much the server has taken on, and whether it may take on more. Pure: seconds come from outside.

Reviews are answered one after another in the event loop's thread, so what waits costs the time of
all before it. A call that would wait longer than allowed is refused at once with 429 and
`Retry-After: 1`, which the API server's client obeys within the webhook's timeout (client-go
rest/with_retry.go); work that piles up beyond the timeout would be done for nobody.
"""

from dataclasses import dataclass
from typing import Final

ARRIVED: Final = "tunegate.arrived"
"""Key of the ASGI scope: when the whole request was there, seconds of `time.monotonic`."""
FIRST_GUESS_SECONDS: Final = 0.001
_NEW_SHARE: Final = 0.1
"""Weight of the newest review in the moving average of what one takes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What one connection may do.

    Attributes:
        header_bytes: address and headers of one request.
        header_seconds: for the handshake, and from a request's first byte to its headers' end.
        body_seconds: from there to the end of its body.
        keep_alive_seconds: how long a connection may be idle.
        connections: how many may be open.
    """

    body_bytes: int
    header_bytes: int
    header_seconds: float
    body_seconds: float
    keep_alive_seconds: float
    connections: int


class Load:
    """Counts reviews and bytes that are held at this moment."""

    def __init__(self, max_wait_seconds: float, max_reviews: int, max_bytes: int) -> None:
        """Take these limits; bytes are those of bodies received and not answered yet."""
        self.max_wait_seconds = max_wait_seconds
        self._max_reviews = max_reviews
        self._max_bytes = max_bytes
        self.reviews = 0
        self.held_bytes = 0
        self.review_seconds = FIRST_GUESS_SECONDS

    @property
    def wait_seconds(self) -> float:
        """Return how long the next review would wait for those before it."""
        return self.reviews * self.review_seconds

    def has_room(self) -> bool:
        """Return whether one more review can be answered in time."""
        return self.reviews < self._max_reviews and self.wait_seconds <= self.max_wait_seconds

    def has_memory(self, more_bytes: int) -> bool:
        """Return whether so many bytes more may be held."""
        return self.held_bytes + more_bytes <= self._max_bytes

    def took(self, seconds: float) -> None:
        """Note how long one review took."""
        self.review_seconds += _NEW_SHARE * (seconds - self.review_seconds)
