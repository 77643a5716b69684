"""
AdmissionReview v1, bytes in and bytes out: what the API server is told, whatever it sent.

Knows no rule about pods: a Hook says what it takes and decides. What is no review is refused
(HTTP 400: the API server counts the call as failed and its failurePolicy decides); every review is
answered with its own UID and allowed, at worst without a patch. Source: Kubernetes, Dynamic
Admission Control; apiserver pkg/admission/plugin/webhook/request/admissionreview.go.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import orjson

from webhook.decisions import Json

GROUP_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"
MAX_WARNING: Final = 256
MAX_WARNINGS: Final = 4096
"""Characters of one warning and of all: apiserver pkg/endpoints/filters/warning.go."""
OK: Final = 200
BAD_REQUEST: Final = 400
FAILED_SAFE_WARNING: Final = "tunegate left this object as it is: it could not be judged"


class ReviewOutcome(StrEnum):
    """What became of one review; a metric label."""

    PATCHED = "patched"
    UNCHANGED = "unchanged"
    NOT_TAKEN = "not-taken"
    """Another operation, resource or subresource than the hook is for, or no object."""
    FAILED_SAFE = "failed-safe"
    NO_REVIEW = "no-review"


@dataclass(frozen=True, slots=True)
class Review:
    """
    One admission request.

    Attributes:
        resource: plural name with its group where there is one, e.g. `pods`, `apps/deployments`.
        namespace: the request's: the object's own is often empty yet.
        name: "" for an object whose name the API server still makes (generateName).
        object: as it was sent; {} only where the object is {}.
    """

    uid: str
    operation: str
    resource: str
    subresource: str
    namespace: str
    name: str
    is_dry_run: bool
    object: Json


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What a hook says of an object; it is always allowed.

    Attributes:
        audit: audit annotations; the API server puts the webhook's name before each key.
        failure: what went wrong, when the hook chose to leave the object alone; else "".
    """

    patch: Sequence[Json] = ()
    warnings: Sequence[str] = ()
    audit: Mapping[str, str] = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Hook:
    """
    One path of the server.

    Attributes:
        decide: judges a review that the hook takes.
        resource: what it takes; "" takes every resource.
        operations: of which operations.
    """

    path: str
    decide: Callable[[Review], Answer]
    resource: str = ""
    operations: frozenset[str] = frozenset({"CREATE"})

    def takes(self, review: Review) -> bool:
        """Return whether this review is what the hook is for."""
        return (
            review.operation in self.operations
            and not review.subresource
            and self.resource in ("", review.resource)
        )


@dataclass(frozen=True, slots=True)
class Response:
    """
    What goes over the wire, and what is told of it.

    Attributes:
        body: JSON when the status is 200, otherwise a short text.
        patch_bytes: size of the patch before base64.
        failure: what went wrong, without a word of the object; else "".
    """

    status: int
    body: bytes
    outcome: ReviewOutcome
    patch_bytes: int = 0
    failure: str = ""


class _NotAReviewError(ValueError):
    """What was sent is no AdmissionReview v1; the text is for whoever sent it."""


def respond(hook: Hook, body: bytes) -> Response:
    """Answer what was sent to a hook; never raises because of it."""
    try:
        uid, request = _opened(body)
    except _NotAReviewError as error:
        return Response(BAD_REQUEST, f"{error}\n".encode(), ReviewOutcome.NO_REVIEW)
    review = _review(uid, request)
    if review is None or not hook.takes(review):
        return Response(OK, _allowed(uid), ReviewOutcome.NOT_TAKEN)
    try:
        return _decided(uid, hook.decide(review))
    except Exception as error:  # noqa: BLE001 - the last resort: a bug must not cost a pod
        return _failed_safe(uid, place_of(error))


def place_of(error: BaseException) -> str:
    """Return an exception's type and where it was raised; its text may hold parts of the object."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    if frame is None:
        return type(error).__name__
    file = frame.tb_frame.f_code.co_filename.rpartition("/")[2]
    return f"{type(error).__name__} at {file}:{frame.tb_lineno}"


def _opened(body: bytes) -> tuple[str, Json]:
    try:
        document = orjson.loads(body)
    except (ValueError, RecursionError) as error:
        raise _NotAReviewError("the body is not JSON, or is nested too deep") from error
    if not isinstance(document, dict):
        raise _NotAReviewError("the body is not a JSON object")
    if document.get("apiVersion") != GROUP_VERSION or document.get("kind") != KIND:
        raise _NotAReviewError(f"apiVersion and kind must be {GROUP_VERSION} and {KIND}")
    request = document.get("request")
    if not isinstance(request, dict):
        raise _NotAReviewError("request is missing or not an object")
    uid = request.get("uid")
    if not isinstance(uid, str) or not uid:
        raise _NotAReviewError("request.uid is missing or not a string")
    return uid, request


def _review(uid: str, request: Json) -> Review | None:
    """Return the request's fields; None where there is no object to judge."""
    thing, body = request.get("resource"), request.get("object")
    if not isinstance(body, dict) or not isinstance(thing, dict):
        return None
    group, plural = _text(thing.get("group")), _text(thing.get("resource"))
    return Review(
        uid=uid,
        operation=_text(request.get("operation")),
        resource=f"{group}/{plural}" if group else plural,
        subresource=_text(request.get("subResource")),
        namespace=_text(request.get("namespace")),
        name=_text(request.get("name")),
        is_dry_run=request.get("dryRun") is True,
        object=body,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _decided(uid: str, answer: Answer) -> Response:
    patch = orjson.dumps(list(answer.patch)) if answer.patch else b""
    outcome = ReviewOutcome.PATCHED if patch else ReviewOutcome.UNCHANGED
    if answer.failure:
        outcome = ReviewOutcome.FAILED_SAFE
    body = _allowed(uid, patch, answer.warnings, answer.audit)
    return Response(OK, body, outcome, len(patch), answer.failure)


def _failed_safe(uid: str, failure: str) -> Response:
    body = _allowed(uid, warnings=(FAILED_SAFE_WARNING,))
    return Response(OK, body, ReviewOutcome.FAILED_SAFE, failure=failure)


def _allowed(
    uid: str,
    patch: bytes = b"",
    warnings: Sequence[str] = (),
    audit: Mapping[str, str] | None = None,
) -> bytes:
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if patch:  # patch and patchType: both or neither
        response["patchType"] = "JSONPatch"
        response["patch"] = b64encode(patch).decode("ascii")
    if kept := within_limits(warnings):
        response["warnings"] = kept
    if audit:
        response["auditAnnotations"] = dict(audit)
    return orjson.dumps({"apiVersion": GROUP_VERSION, "kind": KIND, "response": response})


def within_limits(warnings: Sequence[str]) -> list[str]:
    """Return each warning once, as one line, cut so that the API server keeps all of them."""
    kept: list[str] = []
    room = MAX_WARNINGS
    for warning in dict.fromkeys(warnings):
        line = " ".join(warning.split())
        line = "".join(char if char.isprintable() else "?" for char in line)
        if len(line) > MAX_WARNING:
            line = f"{line[: MAX_WARNING - 3]}..."
        if line and len(line) <= room:
            kept.append(line)
            room -= len(line)
    return kept
