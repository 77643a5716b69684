"""The demo tells the story, fails honestly and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.lab import missing_programs
from tests.lab.process import NETNS

pytestmark = pytest.mark.api

COMMAND = [sys.executable, "-m", "tests.lab.demo"]
STORY = (
    "taint startup-taint.cluster-autoscaler.kubernetes.io/network-not-tuned",
    "pod vllm is Pending",
    "eth1 MTU: 1500 -> 9000",
    "full-size packets pass to 10.71.0.2",
    "labels: tunegate.io/network=tuned tunegate.io/mtu=9000",
    "the scheduler bound pod vllm to gpu-0",
    "MTU 9000 again after",
    "the node fell back: eth1 MTU 1500",
    "labels: tunegate.io/network=degraded tunegate.io/mtu=1500",
    "tunegate.io/NetworkTuned  BlackHole",
    "eth1 MTU 9000; labels: tunegate.io/network=tuned tunegate.io/mtu=9000",
    "Everything is cleaned up",
)


@pytest.fixture(autouse=True)
def _able() -> None:
    lacking = missing_programs()
    if lacking:
        pytest.skip(f"a lab needs {', '.join(lacking)}")


def left_over(root: Path) -> list[str]:
    """Return the lab folders and namespaces under a root of its own."""
    folders = [path.name for path in root.iterdir() if path.is_dir()] if root.exists() else []
    names = [path.name for path in NETNS.iterdir()] if NETNS.exists() else []
    return folders + [name for name in names if any(f"-{folder}-" in name for folder in folders)]


def test_the_story_happens_in_order(tmp_path: Path) -> None:
    """Each line stands on the screen, in order, and the lab is gone."""
    environment = {**os.environ, "TUNEGATE_LAB_ROOT": str(tmp_path / "labs")}
    done = subprocess.run(
        COMMAND, check=False, capture_output=True, text=True, env=environment, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rest = done.stdout
    for line in STORY:
        before, found, rest = rest.partition(line)
        assert found, f"{line!r} does not follow {before[-300:]!r}"
    assert "\x1b" not in done.stdout
    assert left_over(tmp_path / "labs") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    """A person who has seen enough leaves no lab behind."""
    environment = {**os.environ, "TUNEGATE_LAB_ROOT": str(tmp_path / "labs")}
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True, env=environment) as demo:
        assert demo.stdout
        for line in demo.stdout:
            if "waits for it" in line:
                break
        time.sleep(0.05)
        demo.send_signal(number)
        demo.stdout.read()
        assert demo.wait(60) in (130, 143)
    assert left_over(tmp_path / "labs") == []
