"""What the background parts ask of a connection to the API server; `common.api.Api` is one."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from common.api_types import Event, Json


class Requests(Protocol):
    """What sends single requests."""

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = ...,
        content_type: str = ...,
        timeout_seconds: float = ...,
    ) -> Json:
        """Send one request and return the body of its answer; raises ApiError."""


class OpenWatch(Protocol):
    """Events as they come, until it ends or another thread ends it."""

    def __iter__(self) -> Iterator[Event]:
        """Yield the events; raises ApiError, GoneError."""

    def interrupt(self) -> None:
        """End it from another thread."""

    def close(self) -> None:
        """Close it, from the thread that reads."""


class Collections(Protocol):
    """What can be listed and watched."""

    def list_pages(
        self, path: str, query: Mapping[str, str] | None = None, page_items: int = ...
    ) -> Iterator[Json]:
        """Yield a collection's pages; raises ApiError, GoneError."""

    def watch(
        self, path: str, query: Mapping[str, str] | None = None, version: str = ""
    ) -> OpenWatch:
        """Open a watch from a version; raises ApiError, GoneError."""


class Connection(Requests, Collections, Protocol):
    """Both."""
