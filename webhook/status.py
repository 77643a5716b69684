"""What the plain port answers: is the process well, does it take reviews, and its figures."""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common.plain_server import TEXT, Answer, Routes
from webhook.metrics import Metrics
from webhook.readiness import Readiness

STALLED_SECONDS = 20.0
"""How long the event loop may stand still before the process is unwell and started again."""
OK, UNAVAILABLE = 200, 503


def routes(silent_seconds: Callable[[], float], readiness: Readiness, metrics: Metrics) -> Routes:
    """Return the answers by path; `silent_seconds` is since when the event loop has not turned."""

    def healthz() -> Answer:
        silent = silent_seconds()
        if silent > STALLED_SECONDS:
            said = f"the event loop has not turned for {silent:.0f} s\n"
            return UNAVAILABLE, TEXT, said.encode()
        return OK, TEXT, b"ok\n"

    def readyz() -> Answer:
        missing = readiness.missing()
        if missing:
            return UNAVAILABLE, TEXT, "".join(f"{line}\n" for line in missing).encode()
        return OK, TEXT, b"ok\n"

    def exposition() -> Answer:
        metrics.ready.set(not readiness.missing())
        return OK, CONTENT_TYPE_LATEST, generate_latest(metrics.registry)

    return {"/healthz": healthz, "/readyz": readyz, "/metrics": exposition}
