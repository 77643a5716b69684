"""
The HTTP application: one POST path for each hook. The only place that knows FastAPI.

A review is judged in the event loop's own thread, since that takes less than handing it to another.
Endpoints are ASGI applications on FastAPI's router: its dependencies, Request and Response objects
would cost 70 of 170 microseconds and check nothing here. There are no documentation routes, no
traceback and no echo of what was sent.
"""

import gc
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from webhook import refusals
from webhook.load import ARRIVED
from webhook.refusals import Refusal
from webhook.review import OK, Hook, Response, respond

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
_TIMEOUT = re.compile(rb"(?:^|&)timeout=(\d{1,4})s(?:&|$)")
"""The API server adds the webhook's timeout to the address: apiserver, dispatcher.go."""

Told = Callable[[Hook, Response, float, float], None]
"""Hears of each answer: since when it waited and since when it was worked on, in seconds."""


def build(hooks: Iterable[Hook], told: Told, refused: Callable[[Refusal], None]) -> FastAPI:
    """Return the application for these hooks."""
    app = FastAPI(
        title="tunegate",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # told by metrics and log; to ask whether more is wanted would cost each review 20 us
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    for hook in hooks:
        endpoint = _Endpoint(hook, told, refused)
        app.add_route(hook.path, endpoint, methods=["POST"])  # type: ignore[arg-type]  # ASGI is taken, too
    return app


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """Answers reviews of one hook; the server hands over whole requests only."""

    hook: Hook
    told: Told
    refused: Callable[[Refusal], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        arrived = scope.get(ARRIVED, started)
        if _content_type(scope) != JSON:
            await self._refuse(refusals.CONTENT_TYPE, send)
        elif started - arrived > _timeout_seconds(scope["query_string"]):
            await self._refuse(refusals.TOO_LATE, send)
        else:
            response = _responded(self.hook, (await receive())["body"])
            self.told(self.hook, response, arrived, started)
            kind = JSON if response.status == OK else TEXT
            await _send(send, response.status, kind, response.body)

    async def _refuse(self, refusal: Refusal, send: Send) -> None:
        self.refused(refusal)
        more = [(b"retry-after", b"1")] if refusal.retry else []
        await _send(send, refusal.status.value, TEXT, f"{refusal.text}\n".encode(), more)


def _responded(hook: Hook, body: bytes) -> Response:
    """
    Answer without the garbage collector: a review is a tree, so counting references frees it.

    The largest review has half a million objects, and looking through them again and again as they
    are made takes three quarters of its time, while all others wait.
    """
    gc.disable()
    try:
        return respond(hook, body)
    finally:
        gc.enable()


async def _send(
    send: Send, status: int, kind: bytes, body: bytes, more: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _content_type(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"content-type":
            return bytes(value.partition(b";")[0].strip().lower())
    return b""


def _timeout_seconds(query: bytes) -> float:
    """Return how long the caller waits; for ever where it does not say."""
    found = _TIMEOUT.search(query)
    return int(found[1]) if found else float("inf")
