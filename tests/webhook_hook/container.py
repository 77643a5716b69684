"""
What a preStop hook meets in a pod, made of a PID namespace: a server as PID 1, a hook beside it.

The hook runs where kubelet's exec would put it, with a PATH that holds only what an image has. It
never runs outside of such a namespace: it sends SIGTERM to PID 1.
"""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from tests.webhook_hook.vllm_stand_in import Behaviour

STAND_IN: Final = Path(__file__).with_name("vllm_stand_in.py")
PYTHON: Final = os.path.realpath(sys.executable)
WAIT_SECONDS: Final = 60.0
_NSENTER, _ENV = shutil.which("nsenter") or "", shutil.which("env") or ""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Image:
    """The programs that an image has, by the names it has them under."""

    name: str
    programs: Mapping[str, str]

    def make(self, folder: Path) -> str:
        """Make its only directory of programs, and return it as PATH."""
        path = folder / self.name
        path.mkdir(parents=True, exist_ok=True)
        for name, program in self.programs.items():
            found = shutil.which(program)
            assert found, f"{program} is not installed: tests/lab/bootstrap.sh lab"
            if not (path / name).exists():
                (path / name).symlink_to(found)
        return str(path)


_BUSYBOX: Final = {"sh": "busybox", "sleep": "busybox", "awk": "busybox"}
_PLAIN: Final = {"sleep": "sleep", "awk": "mawk"}
WITH_PYTHON3: Final = Image("python3", {"sh": "dash", "python3": PYTHON, "sleep": "sleep"})
WITH_PYTHON: Final = Image("python", {"sh": "busybox", "python": PYTHON, "sleep": "busybox"})
DASH: Final = Image("dash", {"sh": "dash", "curl": "curl", **_PLAIN})
BUSYBOX: Final = Image("busybox", {**_BUSYBOX, "curl": "curl"})
BASH: Final = Image("bash", {"sh": "bash", "curl": "curl", **_PLAIN})
BROKEN_PYTHON: Final = Image("broken-python", {**DASH.programs, "python3": "false"})
IMAGES: Final = (WITH_PYTHON3, WITH_PYTHON, DASH, BUSYBOX, BASH)
BARE: Final = (
    Image("bare-dash", {"sh": "dash", "sleep": "sleep"}),
    Image("bare-busybox", {"sh": "busybox", "sleep": "busybox"}),
)


@dataclass(slots=True)
class Container:
    """A running server in a PID namespace of its own."""

    popen: subprocess.Popen[bytes]
    log: Path
    host: str
    port: int = 0
    streams: list["Stream"] = field(default_factory=list)
    hooks: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def init(self) -> int:
        """Return the host's id of its PID 1."""
        await_that(lambda: bool(children(self.popen.pid)), "PID 1 is there")
        return children(self.popen.pid)[0]

    def lines(self) -> list[str]:
        """Return what the container wrote to its log."""
        return self.log.read_text().splitlines()

    def said_by_hook(self) -> list[str]:
        """Return the hook's lines in the container's log, without their mark."""
        mark = "tunegate preStop: "
        return [line.removeprefix(mark) for line in self.lines() if line.startswith(mark)]

    def state(self) -> dict[str, int]:
        """Return what the server itself knows: `in_flight`, `idle_scrapes`."""
        found: dict[str, int] = json.loads(get(self.host, self.port, "/state"))
        return found

    def asked(self) -> list[str]:
        """Return the paths that were asked for."""
        found: list[str] = json.loads(get(self.host, self.port, "/asked"))
        return found

    def term(self) -> None:
        """Do what kubelet does after the hook; PID 1 may have ended by itself."""
        for pid in children(self.popen.pid):
            os.kill(pid, signal.SIGTERM)

    def kill_server(self) -> None:
        """Kill what PID 1 started."""
        for pid in children(self.init):
            os.kill(pid, signal.SIGKILL)

    def has_ended(self) -> bool:
        """Tell whether PID 1 has ended."""
        return self.popen.poll() is not None

    def stream(self, pieces: int) -> "Stream":
        """Begin a request."""
        made = Stream(self.host, self.port, pieces)
        self.streams.append(made)
        return made

    def hook(self, command: Sequence[str], path: str, *words: str) -> subprocess.Popen[bytes]:
        """Run a command as kubelet runs a hook; `words` stand before it."""
        inside = [_NSENTER, f"--target={self.init}", "--pid", "--mount", *words]
        environment = [_ENV, "-i", f"PATH={path}", "http_proxy=http://127.0.0.1:9"]
        made = subprocess.Popen(
            [*inside, *environment, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.hooks.append(made)
        return made


class Stream:
    """One streamed request, read in a thread."""

    def __init__(self, host: str, port: int, pieces: int) -> None:
        """Send it."""
        self.is_complete = False
        self._link = http.client.HTTPConnection(host, port, timeout=60)
        self._pieces = pieces
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            self._link.request("GET", f"/stream/{self._pieces}")
            body = self._link.getresponse().read()
            self.is_complete = body.count(b"data:") == self._pieces
        except (OSError, http.client.HTTPException):
            self.is_complete = False
        finally:
            self._link.close()

    def wait(self) -> bool:
        """Wait for its end, and tell whether all of it came."""
        self._thread.join()
        return self.is_complete


def get(host: str, port: int, path: str) -> str:
    """Return an answer of the server."""
    link = http.client.HTTPConnection(host, port, timeout=30)
    try:
        link.request("GET", path)
        return link.getresponse().read().decode()
    finally:
        link.close()


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def await_that(is_so: Callable[[], bool], what: str) -> None:
    """Wait until something is so; fail when it does not come about."""
    until = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < until, f"never: {what}"
        time.sleep(0.02)


def serving(behaviour: Behaviour, python: str = PYTHON, script: Path = STAND_IN) -> list[str]:
    """Return the command of a server."""
    return [python, str(script), json.dumps(asdict(behaviour))]


@contextmanager
def container(
    command: Sequence[str], log: Path, *, until: str = "listening", host: str = "127.0.0.1"
) -> Iterator[Container]:
    """Run a command as PID 1 until the block ends; wait for a line in its log first."""
    namespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    with log.open("ab") as out:
        popen = subprocess.Popen([*namespace, *command], stdout=out, stderr=subprocess.STDOUT)
    made = Container(popen, log, host)
    try:
        await_that(lambda: until in made.lines(), f"{until} in {log}")
        made.port = next(int(line) for line in made.lines() if line.isdigit())
        yield made
    finally:
        popen.kill()
        popen.wait()
        for hook in made.hooks:
            hook.kill()
            if hook.stdout and not hook.stdout.closed:
                hook.communicate()
        for stream in made.streams:
            stream.wait()


def for_each(images: Sequence[Image], test: Callable[[Image], Answer]) -> dict[str, Answer]:
    """Do the same with every image at once, and return what came of it by the image's name."""
    with ThreadPoolExecutor(len(images)) as pool:
        return dict(zip((image.name for image in images), pool.map(test, images), strict=True))
