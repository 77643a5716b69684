"""
End what a lab left behind, by the marks that are its own: names, pids, start times, its id.

A lab whose owner lives holds the lock on its folder; a persistent one has a file that says so. All
else under ROOT is dead. TUNEGATE_LAB_ROOT moves the whole folder, e.g. for tests of the lab itself.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(os.environ.get("TUNEGATE_LAB_ROOT", "/run/tunegate-lab"))
DISK = Path("/var/lib/tunegate-lab")
NETNS = Path("/var/run/netns")
CGROUPS = Path("/sys/fs/cgroup")
MARK = "TUNEGATE_LAB"
SWEEP_SECONDS = 1.0
SWEEP_ROUNDS = 5
CGROUP_SECONDS = 30.0


def start_time(pid: int) -> str:
    """Return the kernel's start time of a process (proc(5), stat field 22), "" when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state == "Z" else fields[18]


def sweep() -> list[str]:
    """End what dead labs left behind; return their ids."""
    with registry():
        return sweep_registered()


def sweep_registered() -> list[str]:
    """Do the same for a caller that holds the registry's lock."""
    return [path.name for path in folders() if _sweep_if_dead(path)]


def folders() -> list[Path]:
    """Return every lab's folder, dead or alive."""
    return sorted(path for path in ROOT.iterdir() if path.is_dir()) if ROOT.exists() else []


@contextmanager
def registry() -> Iterator[None]:
    """Hold the lock that keeps creating and sweeping apart."""
    ROOT.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(ROOT / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def free_id() -> str:
    """Return an id that no folder and no namespace has; the caller holds the registry."""
    while True:
        lab_id = secrets.token_hex(2)
        if not (ROOT / lab_id).exists() and not any(NETNS.glob(f"tg-{lab_id}-*")):
            return lab_id


def try_lock(path: Path) -> int | None:
    """Take a lab's lock; None when its owner lives."""
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _sweep_if_dead(path: Path) -> bool:
    if (path / "persistent").exists():
        return False
    lock = try_lock(path)
    if lock is None:
        return False
    try:
        end_all(path)
        remove(path)
    finally:
        os.close(lock)
    return True


def on_disk(path: Path) -> Path:
    """Return where a lab keeps what is large: /run is memory on most machines, a tenth of it."""
    return path / "disk" if "TUNEGATE_LAB_ROOT" in os.environ else DISK / path.name


def remove(path: Path) -> None:
    """Remove a lab's folders; the one by which a sweep finds the other goes last."""
    shutil.rmtree(on_disk(path), ignore_errors=True)
    shutil.rmtree(path, ignore_errors=True)


def end_all(path: Path) -> None:
    """End a lab's processes and delete its namespaces."""
    if not path.exists():
        return
    for _ in range(SWEEP_ROUNDS):  # what was just being started shows up one round later
        living = _living(path)
        if not living:
            break
        _end(living)
    for name in lines_of(path / "cgroups"):
        remove_cgroup(name)
    for name in lines_of(path / "namespaces"):
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def make_cgroup(path: Path, name: str) -> None:
    """Make a control group in every hierarchy, removed with the lab whose folder `path` is."""
    with (path / "cgroups").open("a") as file:
        file.write(f"{name}\n")
    for hierarchy in _hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):  # empty in version 1: nothing could run
            if (group / setting).exists() and not (group / setting).read_text().strip():
                (group / setting).write_text((hierarchy / setting).read_text())


def remove_cgroup(name: str) -> None:
    """Remove a control group and those below it, as soon as its last processes are dead."""
    deadline = time.monotonic() + CGROUP_SECONDS
    while _remove_empty(name) and time.monotonic() < deadline:
        time.sleep(0.02)


def _remove_empty(name: str) -> bool:
    """Remove what has no process; return whether something is left."""
    for hierarchy in _hierarchies():
        below = sorted((hierarchy / name).glob("**/"), key=lambda one: -len(one.parts))
        for group in below:
            with contextlib.suppress(OSError):
                group.rmdir()
    return any((hierarchy / name).exists() for hierarchy in _hierarchies())


def _hierarchies() -> list[Path]:
    """Return the roots of all control group trees: many in version 1, one in version 2."""
    if (CGROUPS / "cgroup.procs").exists():
        return [CGROUPS]
    return [one for one in CGROUPS.iterdir() if (one / "cgroup.procs").exists()]


def _living(path: Path) -> set[int]:
    """Return the pids that are this lab's: written down with their start time, or marked."""
    recorded = [line.split() for line in lines_of(path / "pids")]
    mine = {
        int(fields[0])
        for fields in recorded
        if len(fields) > 1 and start_time(int(fields[0])) == fields[1]
    }
    mark = f"{MARK}={path.name}".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            marks = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark in marks and start_time(int(folder.name)):
            mine.add(int(folder.name))
    return mine


def _end(pids: set[int]) -> None:
    began = {pid: start_time(pid) for pid in pids}
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _still(began):
            try:
                os.kill(pid, signal.SIGCONT if number is signal.SIGTERM else number)
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + SWEEP_SECONDS
        while _still(began) and time.monotonic() < deadline:
            time.sleep(0.02)


def _still(began: Mapping[int, str]) -> list[int]:
    return [pid for pid, time_ in began.items() if time_ and start_time(pid) == time_]


def lines_of(path: Path) -> list[str]:
    """Return a record's lines, none where it was never written."""
    return path.read_text().splitlines() if path.exists() else []
