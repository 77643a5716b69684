"""Background parts, and what the process says of itself."""

import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest

from common.telemetry import Log
from webhook.metrics import Metrics
from webhook.parts import Parts
from webhook.quiet import quiet_libraries
from webhook.readiness import Readiness
from webhook.status import STALLED_SECONDS, routes

WAIT_SECONDS = 10


class Flaky:
    """Breaks off a few times, then runs until told to stop."""

    name = "flaky"

    def __init__(self, failures: int) -> None:
        """Fail so often."""
        self.failures = failures
        self.runs = 0
        self.is_running = threading.Event()
        self.was_stopped = False

    def run(self, stop: threading.Event) -> None:
        """Run."""
        self.runs += 1
        if self.runs <= self.failures:
            raise ValueError("hunter2")
        self.is_running.set()
        self.was_stopped = stop.wait(WAIT_SECONDS)


def test_a_part_that_breaks_off_is_run_again_and_counted() -> None:
    """With the kind of its failure in the log, and nothing else of it."""
    part, metrics, stream = Flaky(2), Metrics(), io.StringIO()
    with Parts([part], metrics, Log("json", stream), first_wait_seconds=0.001):
        assert part.is_running.wait(WAIT_SECONDS)
    assert part.was_stopped
    name = "tunegate_webhook_part_failures_total"
    assert metrics.registry.get_sample_value(name, {"part": "flaky"}) == 2
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["part"] for line in lines] == ["flaky", "flaky"]
    assert lines[0]["err"].startswith("ValueError at test_parts.py:")
    assert "hunter2" not in stream.getvalue()


def test_a_part_that_is_done_is_not_run_again() -> None:
    """It had nothing to do, as the policy file's where there is none."""
    done = threading.Event()

    class Short:
        name = "short"

        def run(self, _stop: threading.Event) -> None:
            assert not done.is_set()
            done.set()

    metrics = Metrics()
    with Parts([Short()], metrics, Log("json", io.StringIO()), first_wait_seconds=0.001):
        assert done.wait(WAIT_SECONDS)
    name = "tunegate_webhook_part_failures_total"
    assert metrics.registry.get_sample_value(name, {"part": "short"}) == 0


def test_readiness_names_what_is_missing() -> None:
    """Each need is asked anew."""
    readiness, answers = Readiness(), ["not yet", ""]
    readiness.needs("a", lambda: answers[0])
    readiness.needs("b", lambda: answers[1])
    assert readiness.missing() == ("a: not yet",)
    answers[0] = ""
    assert readiness.missing() == ()


def test_the_process_is_well_while_its_event_loop_turns() -> None:
    """One that stands still answers nobody: kubelet starts the container again."""
    silent = [0.0]
    answers = routes(lambda: silent[0], Readiness(), Metrics())
    assert answers["/healthz"]()[0] == 200
    silent[0] = STALLED_SECONDS + 1
    status, _, text = answers["/healthz"]()
    assert (status, text) == (503, b"the event loop has not turned for 21 s\n")
    assert answers["/readyz"]()[0] == 200


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """Give the root logger back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_what_libraries_log_is_one_line_without_values(root: logging.Logger) -> None:
    """A value may be part of a pod; so may an exception's text."""
    stream = io.StringIO()
    quiet_libraries(Log("json", stream))
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7)
    logging.getLogger("uvicorn.error").warning("Got %s", "hunter2")
    try:
        int("hunter2")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    logging.getLogger("webhook.follow").warning("Lists %s again", "pods")
    texts = [json.loads(line)["text"] for line in stream.getvalue().splitlines()]
    assert texts == ["Got %s", "Exception in ASGI application", "Lists pods again"]
    assert "hunter2" not in stream.getvalue()
    assert root.handlers
