"""Changes of links, routes and mounts are told at once by the real kernel."""

import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host.watch import FileWatch, LinkWatch
from tests.lab.held import held
from tests.netns.inside import Namespace, inside, namespace

pytestmark = pytest.mark.lab

QUIET_SECONDS = 0.3


class Calls:
    """Counts calls and lets a test wait for the next."""

    def __init__(self) -> None:
        """Start with none."""
        self._moments: queue.Queue[None] = queue.Queue()

    def __call__(self) -> None:
        """Take one call."""
        self._moments.put(None)

    def wait(self, seconds: float = 30) -> None:
        """Wait for the next call."""
        self._moments.get(timeout=seconds)

    def drain(self) -> int:
        """Return how many came, once it is quiet."""
        count = 0
        while True:
            try:
                self.wait(QUIET_SECONDS)
            except queue.Empty:
                return count
            count += 1


@pytest.fixture
def calls() -> Calls:
    """Return a counter."""
    return Calls()


@pytest.fixture
def here() -> Iterator[Namespace]:
    """Be in a namespace with a pair eth0, eth1."""
    with namespace() as ours:
        ours.ip("link add eth0 type veth peer name eth1")
        ours.ip("link set eth0 up")
        ours.ip("link set eth1 up")
        with inside(ours):
            time.sleep(0.05)  # the carrier comes up behind our back
            yield ours


@pytest.fixture
def watch(here: Namespace, calls: Calls) -> Iterator[LinkWatch]:
    """Watch the namespace once it is quiet, and leave no thread and no descriptor behind."""
    before = held()
    with LinkWatch(calls) as watch:
        calls.drain()
        yield watch
    assert held() - before == set()


def set_mtu(size: int) -> None:
    """Set eth0's MTU."""
    subprocess.run(["ip", "link", "set", "eth0", "mtu", str(size)], check=True)


def test_an_mtu_change_is_told_at_once(watch: LinkWatch, calls: Calls) -> None:
    """By the kernel's own word: nothing polls. The least of a few, for a busy machine's sake."""
    took = []
    for size in (9000, 1500, 9000, 1500):
        started = time.monotonic()
        set_mtu(size)
        calls.wait()
        took.append(time.monotonic() - started)
        calls.drain()
    assert min(took) < 1


def test_the_same_mtu_again_is_not_told(watch: LinkWatch, calls: Calls) -> None:
    """Writing what is there already changes nothing."""
    set_mtu(1500)
    assert calls.drain() == 0


@pytest.mark.parametrize(
    "words",
    [
        "link set eth0 down",
        "link add br0 type bridge",
        "link del eth0",
        "addr add 10.9.0.2/24 dev eth0",
        "route add 10.99.0.0/16 dev eth0",
        "-6 route add fd99::/64 dev eth0",
    ],
)
def test_what_matters_is_told(here: Namespace, watch: LinkWatch, calls: Calls, words: str) -> None:
    """Links that go up, down, come and go; addresses; routes."""
    here.ip(words)
    calls.wait()


def test_what_does_not_matter_is_not_told(here: Namespace, watch: LinkWatch, calls: Calls) -> None:
    """An alias is a link message too."""
    here.ip("link set eth0 alias storage")
    here.ip("link set eth0 txqueuelen 500")
    assert calls.drain() == 0


def test_a_burst_is_few_calls(here: Namespace, calls: Calls) -> None:
    """While one call runs the rest piles up and is told once."""
    released = threading.Event()

    def slow() -> None:
        calls()
        released.wait(60)

    with LinkWatch(slow):
        here.ip_batch([f"route add 10.{number}.0.0/16 dev eth0" for number in range(200)])
        calls.wait()
        released.set()
        assert calls.drain() <= 1


def test_lost_events_are_told(here: Namespace, calls: Calls) -> None:
    """When the kernel had to drop some (ENOBUFS) there is a call, and the watch goes on."""
    released = threading.Event()

    def stuck() -> None:
        calls()
        released.wait(60)

    with LinkWatch(stuck):
        here.ip("addr add 10.9.0.2/24 dev eth0")
        calls.wait()
        # Aliases alone are not told, so a call after them is about the lost events.
        here.ip_batch([f"link set eth0 alias number{number}" for number in range(4000)])
        before = calls.drain()
        released.set()
        assert before == 0
        calls.wait()
        assert calls.drain() == 0
        here.ip("link set eth0 mtu 9000")
        calls.wait()


@pytest.fixture
def mount_namespace() -> Iterator[int]:
    """Start a process with a mount namespace of its own and return its pid."""
    command = ["unshare", "--mount", "sh", "-c", "echo ready; exec sleep 600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.kill()


def test_a_mount_is_told_at_once(mount_namespace: int, tmp_path: Path) -> None:
    """Mounting and unmounting wake the watch of another process's mountinfo: nothing polls."""
    mountinfo = Path(f"/proc/{mount_namespace}/mountinfo")
    seen: queue.Queue[bool] = queue.Queue()
    enter = ["nsenter", "--mount", f"--target={mount_namespace}"]
    took = []
    # what others unmount on this machine may be told as well
    with FileWatch(str(mountinfo), lambda: seen.put(str(tmp_path) in mountinfo.read_text())):
        for _ in range(4):
            started = time.monotonic()
            subprocess.run([*enter, "mount", "-t", "tmpfs", "tmpfs", tmp_path], check=True)
            while not seen.get(timeout=30):
                pass
            subprocess.run([*enter, "umount", tmp_path], check=True)
            while seen.get(timeout=30):
                pass
            took.append(time.monotonic() - started)
    assert min(took) < 1
