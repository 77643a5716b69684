"""The demo tells the story, fails honestly and leaves nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from tests.lab.lab import missing_programs
from tests.lab.process import NETNS
from tests.lab.screen import WIDTH

pytestmark = [pytest.mark.api, pytest.mark.timeout(900)]

COMMAND = [sys.executable, "-m", "tests.lab.demo"]
STORY = (
    "node gpu-0: taint startup-taint.cluster-autoscaler.kubernetes.io/network-not-tuned",
    "pod vllm is Pending",
    "untolerated taint",
    "eth1 MTU 1500 -> 9000",
    "net.ipv4.tcp_mtu_probing     0 -> 1",
    "9000 bytes: passed",
    "a segment of 9000 bytes was acknowledged",
    "labels     tunegate.io/network=tuned tunegate.io/mtu=9000",
    "condition  tunegate.io/NetworkTuned=True: eth1 has MTU 9000",
    "ms after the agent's exec",
    "the scheduler bound pod vllm to gpu-0",
    "$ ip link set eth1 mtu 1500",
    "eth1 MTU 9000 again after",
    "eth1 MTU 9000 -> 1500",
    "$ kubectl describe node gpu-0",
    "tunegate.io/mtu=1500 tunegate.io/network=degraded",
    "tunegate.io/NetworkTuned  False  BlackHole",
    "Warning  BlackHole",
    "the gate stays open",
    "$ kill -HUP",
    "eth1 MTU 1500 -> 9000",
    "labels     tunegate.io/network=tuned tunegate.io/mtu=9000",
    "everything is cleaned up",
    "make lab-shell",
)


@dataclass(slots=True)
class Demo:
    """A demo that runs in a lab root of its own."""

    process: subprocess.Popen[str]
    screen: IO[str]
    root: Path
    lab_id: str = ""

    def read_until(self, text: str) -> str:
        """Return what the screen shows up to the line with this text, noting the lab's id."""
        shown = ""
        for line in self.screen:
            shown += line
            if "network: " in line:
                (self.lab_id,) = (path.name for path in self.root.iterdir() if path.is_dir())
            if text and text in line:
                break
        return shown

    def left_over(self) -> list[str]:
        """Return its folders, namespaces and processes that still are."""
        assert self.lab_id
        names = [path.name for path in self.root.iterdir() if path.is_dir()]
        names += [path.name for path in NETNS.glob(f"tg-{self.lab_id}-*")]
        mark = f"TUNEGATE_LAB_ROOT={self.root}".encode()
        return names + [pid for pid in _pids() if mark in _environment(pid)]


def _pids() -> list[str]:
    return [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]


def _environment(pid: str) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


@contextmanager
def running_demo(tmp_path: Path, **settings: str) -> Iterator[Demo]:
    """Start the demo with these variables added to the environment."""
    lacking = missing_programs()
    if lacking:
        pytest.skip(f"a lab needs {', '.join(lacking)}: run `make setup` as root")
    root = tmp_path / "labs"
    environment = {**os.environ, "TUNEGATE_LAB_ROOT": str(root), **settings}
    with subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout
        try:
            yield Demo(process, process.stdout, root)
        finally:
            process.terminate()


def test_the_story_happens_in_order(tmp_path: Path) -> None:
    """Each line stands on the screen, in order and within its width, and the lab is gone."""
    with running_demo(tmp_path) as demo:
        shown = demo.read_until("")
        assert demo.process.wait(120) == 0, shown
    rest = shown
    for line in STORY:
        before, found, rest = rest.partition(line)
        assert found, f"{line!r} does not follow {before[-300:]!r}"
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= WIDTH
    assert demo.left_over() == []


def test_a_step_that_did_not_happen_fails_it(tmp_path: Path) -> None:
    """A node tuned to another MTU than the story's ends it, with the reason and the logs."""
    with running_demo(tmp_path, TUNEGATE_MTU="4000") as demo:
        shown = demo.read_until("")
        assert demo.process.wait(120) == 1, shown
    assert "this did not happen: eth1 has MTU 9000; it has 4000" in shown
    assert "kube-apiserver.log:" in shown
    assert '"target": "link/eth1/mtu"' in shown
    assert "Traceback" not in shown
    assert demo.left_over() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["NFS server nfs2", "Somebody sets the MTU back"])
def test_ended_in_the_middle_it_cleans_up(
    tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    """A person who has seen enough, and presses the keys again and again, leaves no lab behind."""
    with running_demo(tmp_path) as demo:
        demo.read_until(moment)
        for _ in range(3):
            demo.process.send_signal(number)
        shown = demo.read_until("")
        assert demo.process.wait(120) == 128 + number
    assert f"ended by {number.name}; the lab is gone" in shown
    assert demo.left_over() == []
