"""
What a conversation with a Kubernetes API server is made of: answers, events, and what goes wrong.

Free of any client library, so that what decides and what stands in for a server in tests can name
these without loading one. Statuses: Kubernetes API conventions, "HTTP status codes".
"""

import time
from dataclasses import dataclass
from http.client import CONFLICT, GONE, NOT_FOUND
from typing import Any

Json = dict[str, Any]
"""One JSON object as the API server sends it; nothing in it is taken for granted."""

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
"""Server-side apply; JSON is YAML: Kubernetes documentation, "Server-Side Apply"."""


class ConfigError(Exception):
    """No connection can be made of what is configured; the text says why."""


class NoConfigError(ConfigError):
    """There is no kubeconfig at `places`, and this is no pod."""

    def __init__(self, places: str) -> None:
        """Keep where it was looked for."""
        super().__init__(f"no kubeconfig at {places}")
        self.places = places


class BadConfigError(ConfigError):
    """The kubeconfig cannot be used; `contexts` are the ones it has, as far as it can be read."""

    def __init__(self, path: str, contexts: tuple[str, ...], why: str) -> None:
        """Keep all three."""
        super().__init__(f"cannot use the kubeconfig {path}: {why}")
        self.path, self.contexts, self.why = path, contexts, why


class ApiError(Exception):
    """
    A request that failed.

    Attributes:
        status: HTTP status; 0 where there was no answer.
        reason: Kubernetes' word for it (`AlreadyExists`, `Invalid`); "" where none was given.
        message: the server's sentence.
        now_seconds: the server's clock (epoch seconds), one's own where there was no answer.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        """Keep what was said."""
        super().__init__(status, reason, message)
        self.status, self.reason, self.message = status, reason, message
        self.now_seconds = time.time()

    def __str__(self) -> str:
        """Return status, reason and message as one line."""
        head = " ".join(part for part in (str(self.status or ""), self.reason) if part)
        return f"{head}: {self.message}" if head else self.message


class NotFoundError(ApiError):
    """404: the object, its namespace or the whole kind is not there."""


class ConflictError(ApiError):
    """409: somebody else was faster (`Conflict`, `AlreadyExists`), or owns the field (apply)."""


class GoneError(ApiError):
    """410: a watch or a list cannot go on from where it was; list again."""


class CredentialsError(ApiError):
    """The credentials ran out and could not be renewed; nothing was asked."""


class UnreachableError(ApiError):
    """Nobody answers at `host`; `is_certificate`: its certificate is not accepted."""

    def __init__(self, host: str, why: str, *, is_certificate: bool = False) -> None:
        """Keep who does not answer and the system's word for it."""
        super().__init__(0, "Unreachable", why)
        self.host, self.is_certificate = host, is_certificate


class BrokenOffError(UnreachableError):
    """The answer had begun and did not end."""


_BY_STATUS: dict[int, type[ApiError]] = {
    NOT_FOUND: NotFoundError,
    CONFLICT: ConflictError,
    GONE: GoneError,
}


def refusal(status: int, said: Json) -> ApiError:
    """Return the error that a status and a Status object stand for."""
    kind = _BY_STATUS.get(status, ApiError)
    reason = said.get("reason")
    message = str(said.get("message") or "no reason given")
    return kind(status, reason if isinstance(reason, str) else "", message)


@dataclass(frozen=True, slots=True)
class Answer:
    """A body, and the server's clock (epoch seconds) from its Date header."""

    body: Json
    now_seconds: float


@dataclass(frozen=True, slots=True)
class Event:
    """One watch event: ADDED, MODIFIED, DELETED or BOOKMARK, its raw object and its version."""

    kind: str
    body: Json
    version: str
