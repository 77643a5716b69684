"""The preStop hook against a real HTTP server with real requests, in every kind of image."""

from pathlib import Path

import pytest

from tests.webhook_hook.container import (
    DASH,
    IMAGES,
    WITH_PYTHON3,
    Image,
    await_that,
    container,
    for_each,
    serving,
)
from tests.webhook_hook.running import Run, command, drain, mutated
from tests.webhook_hook.vllm_stand_in import Behaviour

pytestmark = pytest.mark.lab

SERVERS = {
    "one engine": Behaviour(),
    "two engines": Behaviour(scrape="busy-data-parallel-2-0.32.0.txt", slots=2),
    "several API servers": Behaviour(scrape="multi-server-idle-0.32.0.txt"),
    "0.6, which swaps": Behaviour(scrape="written-0.6.txt", slots=2),
    "chunked": Behaviour(chunked=True),
    "moved": Behaviour(moved=True),
    "a megabyte of metrics": Behaviour(padding=50_000),
}
REQUESTS = 6
LEAST_PIECES = 20
"""Two seconds: all requests have begun, and the hook too, before the first one ends."""


def drained(behaviour: Behaviour, image: Image, folder: Path, *fault: str) -> Run:
    """Return what a hook did on a server with requests, some of which wait."""
    with container(serving(behaviour), folder / f"{image.name}.log") as up:
        for number in range(REQUESTS):
            up.stream(LEAST_PIECES + number)
        await_that(lambda: up.state()["in_flight"] == REQUESTS, "all requests run")
        words = command(up.port)
        return drain(up, image, folder, mutated(words, *fault) if fault else words)


@pytest.mark.parametrize("behaviour", SERVERS.values(), ids=SERVERS.keys())
def test_every_stream_completes_and_the_hook_ends_with_the_last(
    behaviour: Behaviour, tmp_path: Path
) -> None:
    """It ends after two idle samples in a row: not one, and not its deadline."""
    runs = for_each(IMAGES, lambda image: drained(behaviour, image, tmp_path))
    assert {name: run for name, run in runs.items() if not run.is_right} == {}
    assert all(len(run.complete) == REQUESTS for run in runs.values())


FAULTS = {
    "one engine only": {
        "python3": ("total += value_of(line)", "total += b'e=\"1' not in line and value_of(line)"),
        "dash": ("{ last = $0 }", '{ last = $0 } /e="1/ { next }'),
    },
    "one idle sample is enough": {
        "python3": ("[ $zeros = 2 ]", "[ $zeros = 1 ]"),
        "dash": ("[ $zeros = 2 ]", "[ $zeros = 1 ]"),
    },
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_hook_is_noticed(fault: str, tmp_path: Path) -> None:
    """A test that passes with these faults would prove nothing."""
    two = SERVERS["two engines"]
    faults = FAULTS[fault]
    runs = for_each(
        (WITH_PYTHON3, DASH), lambda image: drained(two, image, tmp_path, *faults[image.name])
    )
    assert [name for name, run in runs.items() if run.is_right] == []


PUBLISHED_HOOK = """
until [ "$W" = 0 ] && [ "$R" = 0 ]; do
  sleep 1
  M=$(curl -s --noproxy "*" http://127.0.0.1:$1/metrics)
  W=$(echo "$M" | awk '/^vllm:num_requests_waiting/ { print int($NF) }')
  R=$(echo "$M" | awk '/^vllm:num_requests_running/ { print int($NF) }')
done
"""
"""The shape of the hooks in published manifests: they match by prefix and compare a text."""


def test_a_hook_that_matches_by_prefix_never_ends_here(tmp_path: Path) -> None:
    """On an idle server it goes on asking, which ours does twice only."""
    with container(serving(Behaviour()), tmp_path / "log") as up:
        words = ["sh", "-c", PUBLISHED_HOOK, "hook", str(up.port)]
        hook = up.hook(words, DASH.make(tmp_path))
        await_that(lambda: up.state()["idle_scrapes"] > 3, "it asks and asks")
        assert hook.poll() is None
        exact = PUBLISHED_HOOK.replace("waiting/", "waiting[{]/")
        hook = up.hook(["sh", "-c", exact, "hook", str(up.port)], DASH.make(tmp_path))
        assert hook.wait(timeout=110) == 0


def test_requests_that_still_arrive_while_endpoints_learn_complete(tmp_path: Path) -> None:
    """A pod that ends is sent requests for some seconds; idle before that says nothing."""

    def late(image: Image) -> Run:
        folder = tmp_path / image.name
        folder.mkdir()
        with container(serving(Behaviour()), folder / "log") as up:
            hook = up.hook(command(up.port, propagation=3), image.make(folder))
            await_that(lambda: up.state()["idle_scrapes"] > 0, "the hook has looked once")
            stream = up.stream(35)
            hook.communicate(timeout=110)
            up.popen.kill()
            return Run(hook.returncode, tuple(up.said_by_hook()), (stream.wait(),))

    for name, run in for_each(IMAGES, late).items():
        assert (name, run.exit_code, run.complete) == (name, 0, (True,))
        assert run.said[0].startswith("0 requests left after")
