"""What the preStop hook does where kubelet's SIGTERM would not end the server."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.webhook_hook.container import (
    BARE,
    BUSYBOX,
    DASH,
    STAND_IN,
    WITH_PYTHON3,
    Container,
    Image,
    await_that,
    container,
    for_each,
    serving,
)
from tests.webhook_hook.running import command, finish
from tests.webhook_hook.vllm_stand_in import Behaviour

pytestmark = pytest.mark.lab

IMAGES = (WITH_PYTHON3, DASH, BUSYBOX)
LOADING = Behaviour(loading_seconds=120)
STILL_LOADING = "the server is still loading: told to end"
WRAPPERS = {
    "dash": ["dash", "-c", '"$@"; echo "shell goes on"', "sh"],
    "busybox": ["busybox", "sh", "-c", '"$@"; echo "shell goes on"', "sh"],
    "bash with a pipe": ["bash", "-c", '"$@" | cat', "sh"],
    "a trap that waits": ["dash", "-c", 'trap "echo trapped" TERM; "$@"; true', "sh"],
    "python that starts it": [
        "python3",
        "-c",
        "import subprocess, sys; subprocess.run(sys.argv[1:])",
    ],
}


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_a_server_behind_a_shell_is_ended_once_drained(
    wrapper: Sequence[str], tmp_path: Path
) -> None:
    """The shell is PID 1 and keeps SIGTERM; its requests come first."""

    def run(image: Image) -> tuple[bool, list[str]]:
        words = [*wrapper, *serving(Behaviour())]
        with container(words, tmp_path / f"{image.name}.log") as up:
            stream = up.stream(20)
            await_that(lambda: up.state()["in_flight"] == 1, "the request runs")
            finish(up, image, tmp_path, command(up.port))
            await_that(up.has_ended, "PID 1 ends without kubelet's SIGTERM")
            return stream.wait(), up.lines()

    for name, (is_complete, lines) in for_each(IMAGES, run).items():
        assert (name, is_complete) == (name, True)
        assert "ended while serving" in lines


def test_a_server_behind_a_shell_is_ended_where_nothing_can_ask(tmp_path: Path) -> None:
    """The shell's own words are enough to find it."""

    def run(image: Image) -> list[str]:
        words = [*WRAPPERS["dash"], *serving(Behaviour())]
        with container(words, tmp_path / f"{image.name}.log") as up:
            finish(up, image, tmp_path, command(up.port))
            await_that(up.has_ended, "PID 1 ends without kubelet's SIGTERM")
            return up.lines()

    assert all("ended while serving" in lines for lines in for_each(BARE, run).values())


def test_a_server_that_is_pid_1_is_left_to_kubelet(tmp_path: Path) -> None:
    """It takes SIGTERM by itself; a second one would cut its own end short."""

    def run(image: Image) -> list[str]:
        with container(serving(Behaviour()), tmp_path / f"{image.name}.log") as up:
            finish(up, image, tmp_path, command(up.port))
            assert not up.has_ended()
            up.state()
            up.term()
            await_that(up.has_ended, "SIGTERM ends it")
            return up.lines()

    assert all("ended while serving" in lines for lines in for_each(IMAGES, run).values())


@pytest.mark.parametrize("init", [[], ["tini", "--"]], ids=["itself PID 1", "behind an init"])
@pytest.mark.parametrize("imports_seconds", [0.0, 1.5], ids=["handler there", "importing"])
def test_while_loading_kubelets_sigterm_is_the_second(
    init: Sequence[str], imports_seconds: float, tmp_path: Path
) -> None:
    """One is swallowed, and before the handler is there the kernel drops it for PID 1."""
    loading = replace(LOADING, imports_seconds=imports_seconds)
    until = "importing" if imports_seconds else "handler installed"

    def run(image: Image) -> tuple[list[str], list[str]]:
        log = tmp_path / f"{image.name}.log"
        with container([*init, *serving(loading)], log, until=until) as up:
            finish(up, image, tmp_path, command(up.port))
            # two signals at once are one; without a handler the first one ends what an init started
            await_that(lambda: has_heard(up), "the hook's SIGTERM is heard")
            up.term()
            await_that(up.has_ended, "kubelet's SIGTERM ends it")
            return up.said_by_hook(), up.lines()

    for name, (said, lines) in for_each(IMAGES, run).items():
        assert (name, said) == (name, [STILL_LOADING])
        assert "ended while loading" in lines or init


def has_heard(up: Container) -> bool:
    """Tell whether a SIGTERM has come to a server that loads."""
    return "swallowed a SIGTERM" in up.lines() or up.has_ended()


def test_while_loading_behind_a_shell_the_hook_sends_both(tmp_path: Path) -> None:
    """Kubelet's own SIGTERM ends at the shell."""

    def run(image: Image) -> list[str]:
        words = [*WRAPPERS["dash"], *serving(LOADING)]
        log = tmp_path / f"{image.name}.log"
        with container(words, log, until="handler installed") as up:
            finish(up, image, tmp_path, command(up.port))
            await_that(up.has_ended, "PID 1 ends without kubelet's SIGTERM")
            return up.lines()

    for lines in for_each(IMAGES, run).values():
        assert {STILL_LOADING, "ended while loading"} <= {
            line.removeprefix("tunegate preStop: ") for line in lines
        }


SHARED = """
echo other >"$1"
mount --bind "$1" /proc/1/cgroup
trap 'echo "the sandbox got SIGTERM"; exit' TERM
shift
"$@" &
while :; do sleep 0.1; done
"""


@pytest.mark.parametrize("behaviour", [Behaviour(), LOADING], ids=["serving", "loading"])
def test_pid_1_of_a_shared_namespace_is_not_touched(behaviour: Behaviour, tmp_path: Path) -> None:
    """It is the pod's sandbox, or the node's own init: neither is this container's."""

    def run(image: Image) -> tuple[bool, list[str], bytes]:
        folder = tmp_path / image.name
        folder.mkdir()
        words = ["bash", "-c", SHARED, "pause", str(folder / "cgroup"), *serving(behaviour)]
        until = "handler installed" if behaviour.loading_seconds else "listening"
        with container(words, folder / "log", until=until) as up:
            hook = up.hook(command(up.port), image.make(folder))
            out, _err = hook.communicate(timeout=110)
            assert hook.returncode == 0
            if behaviour.loading_seconds:
                await_that(lambda: "ended while loading" in up.lines(), "the server ends")
            return up.has_ended(), up.lines(), out

    for name, (has_ended, lines, out) in for_each(IMAGES, run).items():
        assert (name, has_ended) == (name, False)
        assert "the sandbox got SIGTERM" not in lines
        assert out.startswith(b"tunegate preStop: ")
        assert not any(line.startswith("tunegate preStop") for line in lines)


READ_ONLY = """
for place in $(awk '$2 !~ "^/(proc|sys|dev)" { print $2 }' /proc/mounts); do
  mount -o remount,bind,ro "$place" || echo "not read-only: $place"
done
exec setpriv --reuid=12345 --regid=12345 --clear-groups --bounding-set=-all "$@"
"""
SYSTEM_PYTHON = "/usr/bin/python3"


@pytest.fixture
def public() -> Iterator[Path]:
    """Give a folder that every user can read, with the server in it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        place = folder / "tests" / "webhook_hook"
        place.mkdir(parents=True)
        shutil.copy(STAND_IN, place)
        shutil.copytree(STAND_IN.parents[1] / "data" / "vllm", folder / "tests" / "data" / "vllm")
        yield folder


def test_it_needs_no_root_and_no_place_to_write(public: Path) -> None:
    """A read-only root, an unknown user, no capability: as hardened pods are."""
    user = READ_ONLY.splitlines()[-1].removeprefix("exec ").removesuffix(' "$@"').split()

    def run(image: Image) -> tuple[list[str], list[str]]:
        words = serving(Behaviour(), SYSTEM_PYTHON, public / "tests/webhook_hook" / STAND_IN.name)
        path, log = image.make(public), public / f"{image.name}.log"
        log.touch()
        log.chmod(0o666)
        with container(["sh", "-c", READ_ONLY, "sh", *words], log) as up:
            hook = up.hook(command(up.port), path, *user)
            assert hook.communicate(timeout=110) == (b"", b"")
            assert hook.returncode == 0
            return up.said_by_hook(), up.lines()

    python = Image("python3", {"sh": "dash", "python3": SYSTEM_PYTHON, "sleep": "sleep"})
    for name, (said, lines) in for_each((python, DASH, BUSYBOX), run).items():
        assert (name, [line.partition(" after")[0] for line in said]) == (name, ["0 requests left"])
        assert not [line for line in lines if line.startswith("not read-only")]


def test_a_log_that_cannot_be_reached_is_no_failure(tmp_path: Path) -> None:
    """Then the line goes to the hook's own output."""
    nobody = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups")
    with container(serving(Behaviour()), tmp_path / "log") as up:
        hook = up.hook(command(up.port), "/usr/bin:/bin", *nobody)
        out, _err = hook.communicate(timeout=110)
        assert (hook.returncode, up.said_by_hook()) == (0, [])
        assert out.startswith(b"tunegate preStop: 0 requests left")
