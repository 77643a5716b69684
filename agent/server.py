"""What the agent shows at /healthz, /readyz and /metrics; imported after the gate is open."""

import time

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from agent.metrics import StatusCollector
from agent.status import Status
from common.plain_server import TEXT, PlainServer

STALLED_SECONDS = 120.0
"""How long the loop may stand still (a dead server, a slow disk) before the agent is unwell."""


class StatusServer(PlainServer):
    """Serves a Status over HTTP from threads of its own."""

    def __init__(self, status: Status, address: str, port: int, *collectors: Collector) -> None:
        """Bind; raises OSError. Port 0 takes any free one; /metrics also has these collectors."""
        registry = CollectorRegistry()
        for collector in (StatusCollector(status), *collectors):
            registry.register(collector)
        routes = {
            "/healthz": lambda: _healthz(status),
            "/readyz": lambda: _readyz(status),
            "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(registry)),
        }
        super().__init__(routes, address, port)


def _healthz(status: Status) -> tuple[int, str, bytes]:
    silent = time.monotonic() - status.alive_seconds
    if silent > STALLED_SECONDS:
        return 503, TEXT, f"the loop has not turned for {silent:.0f} s\n".encode()
    return 200, TEXT, b"ok\n"


def _readyz(status: Status) -> tuple[int, str, bytes]:
    if not status.is_published:
        return 503, TEXT, f"waiting for {status.waiting_for}\n".encode()
    return 200, TEXT, b"ok\n"
