"""
The HTTPS server: uvicorn with our protocol, and an end that costs nobody a call.

On the first SIGTERM or SIGINT readiness goes at once and each answer is the last of its connection,
while new connections still come for the propagation time; then the listener closes, idle
connections end and answers under way are finished. A second signal ends it at once.
"""

import asyncio
import contextlib
import signal
import socket
import ssl
import time
from asyncio import sslproto
from collections.abc import Callable, Generator
from typing import Any, Final, cast

import uvicorn

from common.listening import BACKLOG
from webhook.protocol import Front, WebhookProtocol

SHUTDOWN_SECONDS: Final = 1.0
"""How long the other side may take for TLS's own goodbye."""
TLS_BUFFER_BYTES: Final = 32 * 1024
"""
What asyncio reads of a TLS connection at once; it keeps a zeroed buffer of that size for each. Its
own 256 KiB make a hundred connections 25 MiB, and half of what it costs to accept one.
"""
BEAT_SECONDS: Final = 0.5
TICK_SECONDS: Final = 0.05
YOUNG_SECONDS: Final = 0.5
"""A connection accepted just before the listener closed still gets its first answer."""


class WebhookServer(uvicorn.Server):
    """Serves one application on one listening socket until a signal ends it."""

    def __init__(
        self,
        app: Any,  # noqa: ANN401 - an ASGI application; uvicorn's type is private
        listener: socket.socket,
        context: ssl.SSLContext,
        front: Front,
        drain_seconds: tuple[float, float],
    ) -> None:
        """Keep what is needed; `drain_seconds` are for propagation and for the last answers."""
        super().__init__(_config(app, context, front.limits.keep_alive_seconds))
        self._listener = listener
        self._front = front
        self._propagation_seconds, self._stop_seconds = drain_seconds
        self._told = asyncio.Event()
        self._told_twice = asyncio.Event()
        self._listening: asyncio.Server | None = None
        self._beat = time.monotonic()
        self.on_listening: Callable[[], None] = lambda: None
        self.on_draining: Callable[[], None] = lambda: None

    def stop(self) -> None:
        """Begin to end; called again: end at once. From the event loop's thread only."""
        (self._told_twice if self._told.is_set() else self._told).set()

    def silent_seconds(self) -> float:
        """Return since when the event loop has not turned; 0 before it begins."""
        return time.monotonic() - self._beat if self.started else 0.0

    @property
    def is_draining(self) -> bool:
        """Return whether the end has begun."""
        return self._told.is_set()

    @property
    def was_cut_short(self) -> bool:
        """Return whether a second signal ended it."""
        return self._told_twice.is_set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Hear SIGTERM and SIGINT in the event loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Listen."""
        sslproto.SSLProtocol.max_size = TLS_BUFFER_BYTES
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(
            lambda: WebhookProtocol(self.config, self.server_state, loop, self._front),
            sock=self._listener,
            ssl=self.config.ssl,
            backlog=BACKLOG,
            ssl_handshake_timeout=self._front.limits.header_seconds,
            ssl_shutdown_timeout=SHUTDOWN_SECONDS,
        )
        self.started = True
        self.on_listening()

    async def main_loop(self) -> None:
        """Show that the loop turns, until told to stop."""
        while not self._told.is_set():
            self._beat = time.monotonic()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), BEAT_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Drain."""
        self._front.is_draining = True
        self.on_draining()
        for connection in self._connections():
            connection.drain()
        await self._wait(self._propagation_seconds, lambda: False)
        if self._listening is not None:
            self._listening.close()
        closed = time.monotonic()

        def is_done() -> bool:
            is_over = time.monotonic() - closed > YOUNG_SECONDS
            for connection in self._connections():
                connection.end_if_idle(may_be_young=is_over)
            return is_over and not self._connections()

        await self._wait(max(self._stop_seconds, YOUNG_SECONDS), is_done)
        for connection in self._connections():
            connection.abort()

    async def _wait(self, seconds: float, is_done: Callable[[], bool]) -> None:
        """Wait until it is done, the time is over or a second signal came."""
        end = time.monotonic() + seconds
        while not self._told_twice.is_set() and not is_done():
            self._beat = now = time.monotonic()
            if now >= end:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told_twice.wait(), min(TICK_SECONDS, end - now))

    def _connections(self) -> tuple[WebhookProtocol, ...]:
        return cast("tuple[WebhookProtocol, ...]", tuple(self.server_state.connections))


def _config(app: Any, context: ssl.SSLContext, keep_alive_seconds: float) -> uvicorn.Config:  # noqa: ANN401 - see above
    return uvicorn.Config(
        app,
        loop="asyncio",
        http=WebhookProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=cast("int", keep_alive_seconds),
        ssl_context_factory=lambda _config, _default: context,
    )
