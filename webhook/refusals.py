"""What the server refuses before a review is read, and with which answer. Pure."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    One reason to refuse.

    Attributes:
        reason: a metric label.
        text: for whoever sent it.
        retry: the caller may come again in a second.
        lingers: what is still arriving is taken and thrown away for a moment, so that the answer
            is read before the connection ends.
    """

    reason: str
    status: HTTPStatus
    text: str
    retry: bool = False
    lingers: bool = False

    def wire(self, *, closes: bool) -> bytes:
        """Return the whole answer as HTTP/1.1."""
        body = f"{self.text}\n".encode()
        lines = [
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            "content-type: text/plain; charset=utf-8",
            f"content-length: {len(body)}",
            *(["retry-after: 1"] if self.retry else []),
            *(["connection: close"] if closes else []),
        ]
        return "\r\n".join((*lines, "", "")).encode() + body


MALFORMED: Final = Refusal("malformed", HTTPStatus.BAD_REQUEST, "this is not HTTP/1.1")
PIPELINED: Final = Refusal(
    "pipelined", HTTPStatus.BAD_REQUEST, "too many requests ahead of their answers"
)
HEADERS_TOO_LARGE: Final = Refusal(
    "headers-too-large",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "the headers are too large",
    lingers=True,
)
BODY_TOO_LARGE: Final = Refusal(
    "body-too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large", lingers=True
)
HEADER_TIMEOUT: Final = Refusal(
    "header-timeout", HTTPStatus.REQUEST_TIMEOUT, "the headers took too long"
)
BODY_TIMEOUT: Final = Refusal("body-timeout", HTTPStatus.REQUEST_TIMEOUT, "the body took too long")
OVERLOADED: Final = Refusal(
    "overloaded", HTTPStatus.TOO_MANY_REQUESTS, "too many reviews at once", retry=True
)
OUT_OF_MEMORY: Final = Refusal(
    "memory",
    HTTPStatus.TOO_MANY_REQUESTS,
    "too many bytes at once",
    retry=True,
    lingers=True,
)
TOO_LATE: Final = Refusal(
    "too-late", HTTPStatus.TOO_MANY_REQUESTS, "the caller's timeout has passed", retry=True
)
CONTENT_TYPE: Final = Refusal(
    "content-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the content type must be application/json"
)
TOO_MANY_CONNECTIONS: Final = Refusal(
    "connections", HTTPStatus.TOO_MANY_REQUESTS, "too many connections", retry=True
)
UNREAD: Final = Refusal(
    "unread", HTTPStatus.REQUEST_TIMEOUT, "the answers were not read: the connection was dropped"
)

REFUSALS: Final = (
    *(MALFORMED, PIPELINED, HEADERS_TOO_LARGE, BODY_TOO_LARGE, HEADER_TIMEOUT, BODY_TIMEOUT),
    *(OVERLOADED, OUT_OF_MEMORY, TOO_LATE, CONTENT_TYPE, TOO_MANY_CONNECTIONS, UNREAD),
)
