"""
One connection from the API server: uvicorn's HTTP/1.1 protocol with deadlines, caps and refusals.

uvicorn has no deadline for headers or body, no cap on either, and its timer starts anew with each
byte (uvicorn issue 157); middleware would run too late to help. A request goes to the application
only when it is whole, so nothing waits inside it, and what is refused never reaches it.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from webhook import refusals
from webhook.load import ARRIVED, Limits, Load
from webhook.metrics import Metrics
from webhook.refusals import Refusal

LINGER_SECONDS = 1.0
SURPLUS = 2
"""Connections above the limit are told to come again; above so many times the limit, dropped."""
MAX_PIPELINE = 8
"""Go's client sends no request ahead of an answer; a few may come from a proxy."""


@dataclass(slots=True)
class Front:
    """What all connections share; `is_draining` makes every answer the last of its connection."""

    limits: Limits
    load: Load
    metrics: Metrics
    is_draining: bool = False


class _RefusedError(Exception):
    """Carries a refusal out of the parser's callbacks."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class WebhookProtocol(HttpToolsProtocol):
    """One connection; all of it runs in the event loop's thread."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        loop: asyncio.AbstractEventLoop,
        front: Front,
    ) -> None:
        """Begin without a transport."""
        super().__init__(config, server_state, {}, loop)
        self._front = front
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_of: Refusal | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._is_in_headers = self._is_in_body = False
        self._is_over = self._is_surplus = False
        self._header_bytes = self._raw_bytes = self._body_bytes = self._held_bytes = 0
        self._unanswered = 0
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; one too many is told to come again when it asks for something."""
        super().connection_made(transport)
        self._front.metrics.connections_opened.inc()
        limits = self._front.limits
        self._is_surplus = len(self.connections) > limits.connections
        if len(self.connections) > SURPLUS * limits.connections:
            self._front.metrics.refused(refusals.TOO_MANY_CONNECTIONS)
            self.abort()
        elif self._is_surplus:
            self._rest(limits.header_seconds)
        else:  # Go dials ahead of need: a new connection may rest as any other
            self._rest(limits.keep_alive_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what the connection held."""
        self._is_over = True
        self._unset_keepalive_if_required()
        self._set_deadline(0, None)
        if self._unread is not None:
            self._unread.cancel()
        self._release()
        self._front.load.reviews -= self._unanswered
        self._unanswered = 0
        if self._running is not None:
            self._running.disconnected = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what arrived, and keep an eye on how long the rest takes."""
        if self._is_over:
            return
        if self._is_in_headers:  # the parser keeps a header that has no end to itself
            self._raw_bytes += len(data)
            if self._raw_bytes > self._front.limits.header_bytes:
                self._refuse(refusals.HEADERS_TOO_LARGE)
                return
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            cause = error.__context__
            is_ours = isinstance(cause, _RefusedError)
            self._refuse(cause.refusal if is_ours else refusals.MALFORMED)  # type: ignore[union-attr]
        else:
            self._watch()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._unset_keepalive_if_required()
        self._is_in_headers = True
        self._header_bytes = self._raw_bytes = self._body_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count the address among the headers."""
        self._count_headers(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header; a trailer is thrown away."""
        self._count_headers(len(name) + len(value))
        if self._is_in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Refuse what can be refused before its body comes."""
        if self.parser.should_upgrade():
            raise _RefusedError(refusals.MALFORMED)
        if len(self.pipeline) >= MAX_PIPELINE:
            raise _RefusedError(refusals.PIPELINED)
        for name, value in self.headers:
            if name == b"content-length":
                self._check_size(int(value))
        self._is_in_headers, self._is_in_body = False, True
        super().on_headers_complete()
        if self._front.is_draining:
            self.cycle.keep_alive = False
        if self.expect_100_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.cycle.waiting_for_100_continue = False

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        size = len(body)
        self._check_size(self._body_bytes + size)
        self._body_bytes += size
        self._held_bytes += size
        self._front.load.held_bytes += size
        self.cycle.body += body

    def on_message_complete(self) -> None:
        """Hand a whole request to the application, or refuse it when there is no time for it."""
        self._is_in_body = False
        if self._is_surplus:
            raise _RefusedError(refusals.TOO_MANY_CONNECTIONS)
        cycle = self.cycle
        cycle.more_body = False
        cycle.message_event.set()
        if not self.pipeline and not self._front.load.has_room():
            self._answer_overloaded(cycle)
            return
        self._unanswered += 1
        self._front.load.reviews += 1
        cycle.scope[ARRIVED] = time.monotonic()  # type: ignore[typeddict-unknown-key]
        if not self.pipeline:
            self._start_asgi_task(cycle, self.app)

    def on_response_complete(self) -> None:
        """Free what the request held."""
        if not self._unanswered:
            return  # the connection was lost meanwhile
        self._unanswered -= 1
        self._front.load.reviews -= 1
        self._release()
        self._running = None
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for a caller that does not read, but not for ever."""
        super().pause_writing()
        self._unread = self.loop.call_later(self._front.limits.body_seconds, self._drop)

    def resume_writing(self) -> None:
        """Go on writing."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def drain(self) -> None:
        """Make the answers to come the last of this connection."""
        for cycle in (self.cycle, self._running):
            if cycle is not None:
                cycle.keep_alive = False

    def end_if_idle(self, *, may_be_young: bool) -> None:
        """Close the connection unless a request is on its way, being answered, or yet to come."""
        is_busy = self._unanswered or self._is_in_headers or self._is_in_body
        if not is_busy and (may_be_young or self.cycle is not None):
            self._end()

    def abort(self) -> None:
        """Close the connection whatever it does."""
        self._is_over = True
        self.transport.abort()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401 - uvicorn's type is private
        if not cycle.more_body:  # else on_message_complete comes back
            self._running = cycle
            super()._start_asgi_task(cycle, app)

    def _answer_overloaded(self, cycle: RequestResponseCycle) -> None:
        """Answer at once, ahead of all that waits; the connection stays."""
        self._front.metrics.refused(refusals.OVERLOADED)
        cycle.response_started = cycle.response_complete = True
        self.transport.write(refusals.OVERLOADED.wire(closes=not cycle.keep_alive))
        cycle.body = bytearray()
        self._release()
        if cycle.keep_alive:
            self._rest(self._front.limits.keep_alive_seconds)
        else:
            self._end()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer and end the connection; what was asked before is answered instead."""
        self._front.metrics.refused(refusal)
        self._set_deadline(0, None)
        self._is_over = True
        if self._running is not None:
            self._running.keep_alive = False
            return
        self.transport.write(refusal.wire(closes=True))
        if self.cycle is not None:
            self.cycle.body = bytearray()
        self._release()
        if refusal.lingers:
            self._deadline = self.loop.call_later(LINGER_SECONDS, self._end)
        else:
            self._end()

    def _drop(self) -> None:
        self._front.metrics.refused(refusals.UNREAD)
        self.abort()

    def _end(self) -> None:
        self._is_over = True
        if not self.transport.is_closing():
            self.transport.close()

    def _rest(self, seconds: float) -> None:
        """Wait so long for the next request."""
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def _count_headers(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self._front.limits.header_bytes:
            raise _RefusedError(refusals.HEADERS_TOO_LARGE)

    def _check_size(self, size: int) -> None:
        if size > self._front.limits.body_bytes:
            raise _RefusedError(refusals.BODY_TOO_LARGE)
        if not self._front.load.has_memory(size - self._body_bytes):
            raise _RefusedError(refusals.OUT_OF_MEMORY)

    def _release(self) -> None:
        self._front.load.held_bytes -= self._held_bytes
        self._held_bytes = 0

    def _watch(self) -> None:
        """Set a deadline for what has begun and is not whole; most requests never see one."""
        limits = self._front.limits
        if self._is_in_headers:
            self._set_deadline(limits.header_seconds, refusals.HEADER_TIMEOUT)
        elif self._is_in_body:
            self._set_deadline(limits.body_seconds, refusals.BODY_TIMEOUT)
        elif self._deadline is not None:
            self._set_deadline(0, None)

    def _set_deadline(self, seconds: float, refusal: Refusal | None) -> None:
        if refusal is self._deadline_of and self._deadline is not None:
            return  # it runs from the first byte, not from the latest
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._deadline_of = refusal
        if refusal is not None:
            self._deadline = self.loop.call_later(seconds, self._refuse, refusal)
