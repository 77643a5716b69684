"""
What can go wrong between the agent and the API server.

    ClusterError
        UnreachableError     no answer: refused, timed out, reset, not trusted
        ServerError          5xx, or an answer that makes no sense
        ThrottledError       429
        StaleError           what we knew of the Node is out of date: read again
            ConflictError    409
            InvalidError     400, 422 (a JSON Patch whose test failed is 422)
            NotFoundError    404
            GoneError        410 (a watch's resource version is too old)
        RefusedError         it would not do it; somebody has to change something
            UnauthorizedError  401
            ForbiddenError     403, or 422 from an admission policy
            CredentialsError   token, CA or address are missing or unreadable

Every one of them may pass by itself, so every one is tried again; ``retry_cap_seconds`` says how
far apart the tries may grow.
"""

import json
from typing import ClassVar

from agent.ports import AgentError
from common import names
from common.record import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked of the API server, in the words of RBAC; ``name`` is the object's."""

    verb: str
    resource: str
    name: str


class ClusterError(AgentError):
    """
    Base of the errors above.

    ``status`` is the HTTP status, 0 without an answer; ``retry_after_seconds`` is what the server
    asked for in Retry-After, 0 when it did not.
    """

    retry_cap_seconds: ClassVar[float] = 10.0

    def __init__(self, message: str, status: int = 0, retry_after_seconds: float = 0.0) -> None:
        """Keep message, status and wish."""
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class UnreachableError(ClusterError):
    """No answer came."""


class ServerError(ClusterError):
    """The server failed, or answered what no API server answers."""


class ThrottledError(ClusterError):
    """The server asks for patience."""


class StaleError(ClusterError):
    """Our view is out of date: read the Node again and build the patch anew."""

    retry_cap_seconds: ClassVar[float] = 0.5


class ConflictError(StaleError):
    """Another writer was faster, or the object exists already."""


class InvalidError(StaleError):
    """The patch does not fit the object as it is now."""


class NotFoundError(StaleError):
    """There is no such object."""

    retry_cap_seconds: ClassVar[float] = 5.0


class GoneError(StaleError):
    """The resource version is too old to watch from."""


class RefusedError(ClusterError):
    """The server understood and would not."""

    retry_cap_seconds: ClassVar[float] = 30.0


class UnauthorizedError(RefusedError):
    """The token is not accepted."""


class ForbiddenError(RefusedError):
    """The identity lacks a permission, or an admission policy said no."""


class CredentialsError(RefusedError):
    """What is needed to talk to the API server at all is missing."""


_BY_STATUS: dict[int, type[ClusterError]] = {
    400: InvalidError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    422: InvalidError,
    429: ThrottledError,
}
_DENIED = "denied request"  # a ValidatingAdmissionPolicy's words; it answers 422 by default
_FIRST_CLIENT_ERROR, _FIRST_SERVER_ERROR = 400, 500


def error_of(call: Call, status: int, body: bytes, retry_after: str | None = None) -> ClusterError:
    """Return the error for an answer that is not a success; ``body`` is a metav1 Status or not."""
    is_refusal = _FIRST_CLIENT_ERROR <= status < _FIRST_SERVER_ERROR
    kind = _BY_STATUS.get(status, RefusedError if is_refusal else ServerError)
    said = _message_in(body)
    if kind is InvalidError and _DENIED in said:
        kind = ForbiddenError
    seconds = (
        float(retry_after)
        if retry_after and retry_after.isascii() and retry_after.isdigit()
        else 0.0
    )
    return kind(_sentence(call, kind, status, said), status, seconds)


def _sentence(call: Call, kind: type[ClusterError], status: int, said: str) -> str:
    what = f"{call.verb} {call.resource} {call.name}".rstrip()
    if kind is UnauthorizedError:
        return f"{what}: the API server does not accept the ServiceAccount token (401: {said})"
    if kind is ForbiddenError and " cannot " in said:  # the words of the RBAC authorizer
        return f"ServiceAccount may not {call.verb} {call.resource}: {_missing_rule(call)} ({said})"
    return f"{what}: {status} {said}".rstrip()


def _missing_rule(call: Call) -> str:
    role = f"ClusterRole {names.AGENT_COMMAND}"
    if call.resource == "events":
        role = f'the Role {names.AGENT_COMMAND} in namespace "default", or to {role}'
    return f'add verb "{call.verb}" on resource "{call.resource}" (apiGroup "") to {role}'


def _message_in(body: bytes) -> str:
    try:
        message = json.loads(body).get("message")
    except (ValueError, AttributeError):
        message = None
    return message if isinstance(message, str) else body[:200].decode("utf-8", "replace").strip()
