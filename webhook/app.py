"""
The HTTP application: one POST path for each hook. The only place that knows FastAPI.

A review is judged in the event loop's own thread, since that takes less than handing it to another.
No documentation routes, no traceback and no echo of what was sent: an answer says only what
`review.respond` said.
"""

import re
import time
from collections.abc import Callable, Iterable

from fastapi import FastAPI, Request, Response

from webhook import refusals
from webhook.load import ARRIVED
from webhook.refusals import Refusal
from webhook.review import OK, Hook, respond
from webhook.review import Response as Reviewed

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
_TIMEOUT = re.compile(rb"(?:^|&)timeout=(\d{1,4})s(?:&|$)")
"""The API server adds the webhook's timeout to the address: apiserver, dispatcher.go."""

Told = Callable[[Hook, Reviewed, float, float], None]
"""Hears of each answer: since when it waited and since when it was worked on, in seconds."""


def build(hooks: Iterable[Hook], told: Told, refused: Callable[[Refusal], None]) -> FastAPI:
    """Return the application for these hooks."""
    app = FastAPI(title="tunegate", openapi_url=None, docs_url=None, redoc_url=None)
    for hook in hooks:
        app.add_api_route(hook.path, _endpoint(hook, told, refused), methods=["POST"])
    return app


def _endpoint(
    hook: Hook, told: Told, refused: Callable[[Refusal], None]
) -> Callable[[Request], object]:
    def refuse(refusal: Refusal) -> Response:
        refused(refusal)
        headers = {"retry-after": "1"} if refusal.retry else {}
        return Response(f"{refusal.text}\n", refusal.status, headers, TEXT)

    async def answer(request: Request) -> Response:
        started = time.monotonic()
        arrived = request.scope.get(ARRIVED, started)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            return refuse(refusals.CONTENT_TYPE)
        if started - arrived > _timeout_seconds(request.scope["query_string"]):
            return refuse(refusals.TOO_LATE)
        reviewed = respond(hook, await request.body())
        told(hook, reviewed, arrived, started)
        return Response(
            reviewed.body, reviewed.status, media_type=JSON if reviewed.status == OK else TEXT
        )

    return answer


def _timeout_seconds(query: bytes) -> float:
    """Return how long the caller waits; for ever where it does not say."""
    found = _TIMEOUT.search(query)
    return int(found[1]) if found else float("inf")
