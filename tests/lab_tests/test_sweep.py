"""A lab ends completely, however its owner ended, and takes nobody else's with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.lab import sweep
from tests.lab.lab import missing_programs
from tests.lab.process import LabDir, LabProcess
from tests.lab.sweep import NETNS, start_time

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).parents[2]
PROCESSES = 4  # two servers, the parent and its child in a session of its own
OWNER = """
import sys, time
from tests.lab.lab import Lab
lab = Lab.up(control_plane=False, persistent={persistent})
hidden = lab.lab_dir.spawn("parent", ["sh", "-c", "setsid sleep 1000 & exec sleep 1000"])
print(lab.lab_dir.lab_id, flush=True)
time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep these labs apart from those of whoever else works on this machine."""
    lacking = missing_programs(control_plane=False)
    if lacking:
        pytest.skip(f"a lab needs {', '.join(lacking)}")
    monkeypatch.setattr(sweep, "ROOT", tmp_path)
    monkeypatch.setenv("TUNEGATE_LAB_ROOT", str(tmp_path))
    yield tmp_path
    for folder in tmp_path.glob("*/"):
        LabDir(folder.name, folder, None).close()


def killed_lab(*, persistent: bool = False) -> str:
    """Start a lab in another process, end that by SIGKILL, return the lab's id."""
    script = OWNER.format(persistent=persistent)
    argv = [sys.executable, "-c", script]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        lab_id = owner.stdout.readline().strip()
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    return lab_id


def marked(lab_id: str) -> list[int]:
    """Return the living processes that carry a lab's mark."""
    mark = f"TUNEGATE_LAB={lab_id}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def sleeper(lab_dir: LabDir) -> LabProcess:
    """Start something that goes on for ever."""
    return lab_dir.spawn("sleeper", ["sleep", "1000"])


def test_a_killed_labs_remains_are_swept_by_the_next(own_root: Path) -> None:
    """Servers, a process that nobody wrote down, namespaces and folder: all gone, and no more."""
    lab_id = killed_lab()
    deadline = time.monotonic() + 60
    while len(marked(lab_id)) < PROCESSES and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(marked(lab_id)) == PROCESSES
    assert len(list(NETNS.glob(f"tg-{lab_id}-*"))) == 7
    following = LabDir.create()
    assert marked(lab_id) == []
    assert list(NETNS.glob(f"tg-{lab_id}-*")) == []
    assert [path.name for path in own_root.glob("*/")] == [following.lab_id]


def test_a_living_lab_is_left_alone() -> None:
    """Another lab on the same machine, whose owner lives, survives a sweep."""
    with closing(LabDir.create()) as living:
        worker = sleeper(living)
        assert sweep.sweep() == []
        LabDir.create().close()
        assert worker.poll() is None
        assert living.path.exists()


def test_a_persistent_lab_outlives_its_owner_and_ends_by_close() -> None:
    """`make lab-up` ends, its lab stays; `close` finds all of it without having started it."""
    lab_id = killed_lab(persistent=True)
    assert sweep.sweep() == []
    (found,) = LabDir.open_persistent()
    assert found.lab_id == lab_id
    assert found.recorded().keys() == {"nfs-server", "nfs2-server", "parent"}
    assert None not in found.recorded().values()
    found.close()
    assert marked(lab_id) == []
    assert list(NETNS.glob(f"tg-{lab_id}-*")) == []
    assert LabDir.open_persistent() == []


def test_a_process_of_somebody_else_is_never_touched(own_root: Path) -> None:
    """Neither a pid that was given out again nor the mark of another lab brings an end."""
    with (
        subprocess.Popen(["sleep", "1000"]) as reused,
        subprocess.Popen(["sleep", "1000"], env={**os.environ, "TUNEGATE_LAB": "other"}) as foreign,
    ):
        dead = own_root / "dead"
        dead.mkdir()
        began = int(start_time(reused.pid))
        (dead / "pids").write_text(f"{reused.pid} {began - 1} server\n", encoding="ascii")
        assert sweep.sweep() == ["dead"]
        try:
            assert reused.poll() is None
            assert foreign.poll() is None
        finally:
            reused.kill()
            foreign.kill()


def test_what_a_lab_keeps_on_disk_goes_with_it(
    own_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images and containers of its nodes: too much for /run, which is a tenth of the memory."""
    monkeypatch.delenv("TUNEGATE_LAB_ROOT")
    monkeypatch.setattr(sweep, "DISK", own_root.parent / "disk")
    lab = own_root / "dead"
    layer = sweep.on_disk(lab) / "node" / "lib" / "layer"
    layer.mkdir(parents=True)
    lab.mkdir()
    assert not layer.is_relative_to(lab)
    assert sweep.sweep() == ["dead"]
    assert not sweep.on_disk(lab).exists()


def test_a_sweep_gets_past_half_made_folders(own_root: Path) -> None:
    """An owner killed between any two steps leaves something that a sweep can still end."""
    (own_root / "aaaa").mkdir()
    (own_root / "bbbb" / "logs").mkdir(parents=True)
    (own_root / "bbbb" / "pids").write_text("12", encoding="ascii")
    (own_root / "cccc").mkdir()
    (own_root / "cccc" / "namespaces").write_text("tg-cccc-never-made\n", encoding="ascii")
    assert sweep.sweep() == ["aaaa", "bbbb", "cccc"]
    assert list(own_root.glob("*/")) == []


def test_a_stopped_process_ends_too() -> None:
    """A server that a test paused does not outlive its lab."""
    lab_dir = LabDir.create()
    worker = sleeper(lab_dir)
    worker.send_signal(signal.SIGSTOP)
    lab_dir.close()
    assert worker.poll() is not None
    assert start_time(worker.pid) == ""
