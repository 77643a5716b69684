"""No thread ends in silence."""

import io
import json
import threading
from collections.abc import Iterator

import pytest

from agent.thread_deaths import ThreadDeaths
from common.telemetry import Log


@pytest.fixture
def _kept_hook() -> Iterator[None]:
    """Give pytest its own hook back."""
    before = threading.excepthook
    yield
    threading.excepthook = before


def die() -> None:
    """End as a thread does that met what nobody foresaw."""
    raise MemoryError("no room")


@pytest.mark.usefixtures("_kept_hook")
def test_a_thread_that_dies_is_told_and_ends_the_process() -> None:
    """With its name, what it met, and where."""
    stream, stops = io.StringIO(), []
    deaths = ThreadDeaths(Log("json", stream), lambda: stops.append(1))
    thread = threading.Thread(target=die, name="link-watch")
    thread.start()
    thread.join()
    line = json.loads(stream.getvalue())
    assert (line["level"], line["thread"], line["err"]) == (
        "error",
        "link-watch",
        "MemoryError: no room",
    )
    assert f"{__file__}:{die.__code__.co_firstlineno + 2}" == line["where"]
    assert (deaths.names, stops) == (["link-watch"], [1])


@pytest.mark.usefixtures("_kept_hook")
def test_a_thread_that_ends_well_is_no_news() -> None:
    """Nothing is stopped."""
    stream, stops = io.StringIO(), []
    deaths = ThreadDeaths(Log("json", stream), lambda: stops.append(1))
    thread = threading.Thread(target=str)
    thread.start()
    thread.join()
    assert (deaths.names, stops, stream.getvalue()) == ([], [], "")
