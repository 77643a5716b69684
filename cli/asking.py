"""
Ask an API server that may be half broken: few tries, each bounded, all of them by one deadline.

Retried are 429, 5xx and silence, because every request here may be sent twice. Source of the
verbs: Kubernetes API concepts, "Retrieving large results sets in chunks".
"""

import time
from collections.abc import Callable, Iterator, Mapping
from http.client import INTERNAL_SERVER_ERROR, TOO_MANY_REQUESTS
from typing import Protocol

from common.api_types import (
    JSON,
    ApiError,
    CredentialsError,
    GoneError,
    Json,
    UnreachableError,
)
from common.paging import pages
from common.record import dataclass

TRIES = 4
FIRST_WAIT_SECONDS, REQUEST_SECONDS = 0.25, 10.0
PAGE_ITEMS = 200
_LISTS = 3
"""How often a list whose pages ran out of time is begun again."""


class Api(Protocol):
    """What is needed of `common.api.Api`."""

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
        timeout_seconds: float = ...,
    ) -> Json:
        """Send one request, once; raises ApiError."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The time: `now` in seconds, `wait` for so many; a test has one of its own."""

    now: Callable[[], float] = time.monotonic
    wait: Callable[[float], object] = time.sleep


class Asker:
    """Asks until its deadline (seconds of the clock); safe to share between threads."""

    def __init__(
        self, api: Api, deadline_seconds: float, clock: Clock, *, is_dry_run: bool
    ) -> None:
        """Ask nothing yet; a dry run sends nothing but GET."""
        self._api, self._deadline, self.clock = api, deadline_seconds, clock
        self._is_dry_run = is_dry_run

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
    ) -> Json:
        """Send one request, again where that may help; {} for a write of a dry run.

        Raises:
            ApiError: Refused, or not answered in time.
        """
        if self._is_dry_run and method != "GET":
            return {}
        pause = FIRST_WAIT_SECONDS
        for tries_left in reversed(range(TRIES)):
            try:
                return self._api.request(
                    method,
                    path,
                    query=query,
                    body=body,
                    content_type=content_type,
                    timeout_seconds=self._patience(),
                )
            except ApiError as error:
                is_late = self.clock.now() + pause >= self._deadline
                if not may_pass(error) or not tries_left or is_late:
                    raise
            self.clock.wait(pause)
            pause *= 2
        raise AssertionError

    def pages(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[list[Json]]:
        """
        Yield a collection page by page; pages come twice where the list had to begin again.

        Raises:
            ApiError: Refused, or not answered in time.
        """
        for lists_left in reversed(range(_LISTS)):
            try:
                for page in pages(
                    lambda chosen: self.ask("GET", path, query=chosen), query, PAGE_ITEMS
                ):
                    yield [one for one in page.get("items") or () if isinstance(one, dict)]
            except GoneError:
                if not lists_left:
                    raise
            else:
                return

    def until(self, is_so: Callable[[], bool], deadline_seconds: float, every: float = 1.0) -> bool:
        """Wait until something is so, return whether it is; raises what it raises."""
        while not is_so():
            if self.clock.now() + every > min(deadline_seconds, self._deadline):
                return False
            self.clock.wait(every)
        return True

    def _patience(self) -> float:
        left = self._deadline - self.clock.now()
        if left <= 0:
            raise ApiError(0, "TimeUp", "the time given by --timeout is up")
        return min(REQUEST_SECONDS, left)


def may_pass(error: ApiError) -> bool:
    """Return whether the same request may work in a moment."""
    if isinstance(error, CredentialsError):
        return False
    is_silent = isinstance(error, UnreachableError)
    return is_silent or error.status == TOO_MANY_REQUESTS or error.status >= INTERNAL_SERVER_ERROR
