"""`python -m tests.lab` starts, shows, enters and ends a lab, and explains itself."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.lab import missing_programs
from tests.lab.nfs_server import FILE_TEXT
from tests.lab.process import LabDir
from tests.lab.sweep import start_time

REPOSITORY = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tests_lab(tmp_path: Path) -> Iterator[Run]:
    """Give a caller of the command, with a folder of labs that is its own."""

    def run(*words: str, typed: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run the command to its end, `typed` on its standard input."""
        environment = {**os.environ, "TUNEGATE_LAB_ROOT": str(tmp_path), "SHELL": "/bin/sh"}
        return subprocess.run(
            [sys.executable, "-m", "tests.lab", *words],
            cwd=REPOSITORY,
            env=environment,
            input=typed or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    yield run
    for folder in tmp_path.glob("*/"):
        LabDir(folder.name, folder, None).close()


@pytest.mark.lab
@pytest.mark.api
@pytest.mark.timeout(900)
def test_a_lab_is_started_shown_entered_and_ended(tests_lab: Run, tmp_path: Path) -> None:
    """The whole of it: every command does what it says and names what comes next."""
    lacking = missing_programs()
    if lacking:
        pytest.skip(f"a lab needs {', '.join(lacking)}")
    up = tests_lab("up")
    assert up.returncode == 0, up.stderr
    (folder,) = tmp_path.glob("*/")
    for said in ("control plane: ", "make lab-shell", "make lab-down", f"tg-{folder.name}-gpu-0"):
        assert said in up.stdout
    again = tests_lab("up")
    assert again.returncode == 1
    assert "up already" in again.stderr
    assert "make lab-down" in again.stderr
    _check_status(tests_lab)
    _check_shell(tests_lab)
    down = tests_lab("down")
    assert down.returncode == 0
    assert down.stdout.startswith(f"Lab {folder.name} has ended")
    assert list(tmp_path.glob("*/")) == []
    assert list(Path("/var/run/netns").glob(f"tg-{folder.name}-*")) == []


def _check_status(tests_lab: Run) -> None:
    """Hold the status to this: a part that has ended is named, and the exit code says so."""
    whole = tests_lab("status")
    assert whole.returncode == 0, whole.stdout
    assert whole.stdout.count("runs, pid ") == 7
    (pid,) = (line.split()[-1] for line in whole.stdout.splitlines() if line.startswith("  kwok "))
    os.kill(int(pid), 9)
    deadline = time.monotonic() + 60
    while start_time(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.01)
    lacking = tests_lab("status")
    assert lacking.returncode == 1
    assert "kwok                     HAS ENDED" in lacking.stdout


def _check_shell(tests_lab: Run) -> None:
    """Commands by standard input run in the namespace, with everything at hand."""
    addresses = tests_lab("shell", typed="ip -br address show eth1\n")
    assert "10.70.0.20/24" in addresses.stdout
    assert "10.60.0.30/24" in tests_lab("shell", "solo-0", typed="ip -br address\n").stdout
    assert "st-nfs2" in tests_lab("shell", "far", typed="ip link\n").stdout
    nodes = tests_lab("shell", typed="kubectl get nodes -o name\n")
    assert nodes.stdout.split() == ["node/gpu-0", "node/solo-0"]
    file = tests_lab("shell", typed="nfs-cat 'nfs://10.71.0.2/models/weights.txt?version=4'\n")
    assert file.stdout == FILE_TEXT
    agent = tests_lab("shell", typed='echo "$TUNEGATE_NODE_NAME"; command -v tunegate-agent\n')
    assert agent.stdout.split() == ["gpu-0", f"{sys.prefix}/bin/tunegate-agent"]
    assert tests_lab("shell", typed="exit 7\n").returncode == 7


@pytest.mark.lab
@pytest.mark.parametrize("command", ["status", "shell", "down"])
def test_without_a_lab_the_next_command_is_named(tests_lab: Run, command: str) -> None:
    """Nothing is up: exit code 1 and how to start one."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    done = tests_lab(command)
    assert done.returncode == 1
    assert done.stderr == "No lab is up. To start one: make lab-up\n"


def test_help_teaches(tests_lab: Run) -> None:
    """The help names every command, shows examples and lists the places."""
    said = tests_lab("--help").stdout
    for word in ("up", "status", "shell", "down", "examples:", "make lab-up"):
        assert word in said
    assert "solo-0" in tests_lab("shell", "--help").stdout
    refused = tests_lab("shell", "elsewhere")
    assert refused.returncode == 2
    assert "gpu-0" in refused.stderr
