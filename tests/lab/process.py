"""
A lab's own folder, processes and namespaces, and their end in every case.

What a lab starts is written down under /run/tunegate-lab/<id>/ and carries the lab's id in its
environment. A lab that was killed leaves all of it behind; the next one sweeps it, by these marks
alone. TUNEGATE_LAB_ROOT moves the whole folder, e.g. for tests of the lab itself.
"""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(os.environ.get("TUNEGATE_LAB_ROOT", "/run/tunegate-lab"))
NETNS = Path("/var/run/netns")
MARK = "TUNEGATE_LAB"
STOP_SECONDS = 5.0
SWEEP_SECONDS = 1.0
SWEEP_ROUNDS = 5


def start_time(pid: int) -> str:
    """Return the kernel's start time of a process (proc(5), stat field 22), "" when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state == "Z" else fields[18]


@dataclass(slots=True)
class LabProcess:
    """One process of a lab, started in a session of its own."""

    name: str
    log_path: Path
    popen: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.popen.pid

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self.popen.poll()

    def wait(self, timeout_seconds: float = 30.0) -> int:
        """Wait for its end; raises subprocess.TimeoutExpired."""
        return self.popen.wait(timeout_seconds)

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        self.popen.send_signal(number)

    def kill(self) -> None:
        """End it at once."""
        self.popen.kill()
        self.popen.wait()

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> int:
        """Ask it to end, then make it; return the exit code."""
        self.popen.terminate()
        try:
            return self.popen.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait()

    def log_text(self) -> str:
        """Return what it wrote to both of its outputs so far."""
        return self.log_path.read_text(errors="replace")


@dataclass(slots=True)
class LabDir:
    """
    One lab's folder. The owner holds a lock on it for as long as it lives.

    A persistent lab has no living owner and ends only by ``close``.
    """

    lab_id: str
    path: Path
    lock: int | None
    processes: list[LabProcess] = field(default_factory=list)

    @classmethod
    def create(cls, *, persistent: bool = False) -> "LabDir":
        """Sweep what dead labs left, then make a new one."""
        with _registry():
            for path in _folders():
                _sweep_if_dead(path)
            lab_id = _free_id()
            path = ROOT / lab_id
            (path / "logs").mkdir(parents=True)
            lock = _try_lock(path)
            if persistent:
                (path / "persistent").touch()
        return cls(lab_id, path, lock)

    @classmethod
    def open_persistent(cls) -> "list[LabDir]":
        """Return the persistent labs that there are."""
        found = [path for path in _folders() if (path / "persistent").exists()]
        return [cls(path.name, path, None) for path in found]

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        netns: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> LabProcess:
        """Start a process (in a namespace), its outputs to ``logs/<name>.log``."""
        log_path = self.path / "logs" / f"{name}.log"
        command = [*(["nsenter", f"--net={NETNS / netns}"] if netns else []), *argv]
        with log_path.open("ab") as log:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**(os.environ if env is None else env), MARK: self.lab_id},
                cwd=cwd,
            )
        with (self.path / "pids").open("a") as pids:
            pids.write(f"{popen.pid} {start_time(popen.pid)} {name}\n")
        process = LabProcess(name, log_path, popen)
        self.processes.append(process)
        return process

    def register_netns(self, name: str) -> None:
        """Have a namespace deleted with the lab; call it before the namespace is made."""
        with (self.path / "namespaces").open("a") as file:
            file.write(f"{name}\n")

    @property
    def namespaces(self) -> list[str]:
        """Return the names of its namespaces."""
        return _lines(self.path / "namespaces")

    def recorded(self) -> dict[str, int | None]:
        """Return what was started, by name: the last process id, None when it has ended."""
        found: dict[str, int | None] = {}
        for line in _lines(self.path / "pids"):
            pid, began, name = line.split(maxsplit=2)
            found[name] = int(pid) if start_time(int(pid)) == began else None
        return found

    def close(self) -> None:
        """End every process, delete every namespace, remove the folder; twice does no harm."""
        _end_all(self.path)
        for process in self.processes:
            process.popen.wait()
        with _registry():
            shutil.rmtree(self.path, ignore_errors=True)
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


def sweep() -> list[str]:
    """End what dead labs left behind; return their ids."""
    with _registry():
        return [path.name for path in _folders() if _sweep_if_dead(path)]


def _folders() -> list[Path]:
    return sorted(path for path in ROOT.iterdir() if path.is_dir()) if ROOT.exists() else []


@contextmanager
def _registry() -> Iterator[None]:
    """Hold the lock that keeps creating and sweeping apart."""
    ROOT.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(ROOT / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _free_id() -> str:
    while True:
        lab_id = secrets.token_hex(2)
        if not (ROOT / lab_id).exists() and not any(NETNS.glob(f"tg-{lab_id}-*")):
            return lab_id


def _try_lock(path: Path) -> int | None:
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
    lock = _try_lock(path)
    if lock is None:
        return False
    try:
        _end_all(path)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)
    return True


def _end_all(path: Path) -> None:
    """End a lab's processes and delete its namespaces."""
    if not path.exists():
        return
    for _ in range(SWEEP_ROUNDS):  # what was just being started shows up one round later
        living = _living(path)
        if not living:
            break
        _end(living)
    for name in _lines(path / "namespaces"):
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _living(path: Path) -> set[int]:
    """Return the pids that are this lab's: written down with their start time, or marked."""
    recorded = [line.split() for line in _lines(path / "pids")]
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


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
