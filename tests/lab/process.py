"""
A lab's own folder, its processes and namespaces, and their end.

What a lab starts is written down under /run/tunegate-lab/<id>/ and carries the lab's id in its
environment. A lab that was killed leaves all of it behind, for the next one to sweep.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab import sweep

NETNS = sweep.NETNS
STOP_SECONDS = 5.0


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

    def wait(self, timeout_seconds: float = 120.0) -> int:
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
        with sweep.registry():
            sweep.sweep_registered()
            lab_id = sweep.free_id()
            path = sweep.ROOT / lab_id
            (path / "logs").mkdir(parents=True)
            lock = sweep.try_lock(path)
            if persistent:
                (path / "persistent").touch()
        return cls(lab_id, path, lock)

    @classmethod
    def open_persistent(cls) -> "list[LabDir]":
        """Return the persistent labs that there are."""
        found = [path for path in sweep.folders() if (path / "persistent").exists()]
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
                env={**(os.environ if env is None else env), sweep.MARK: self.lab_id},
                cwd=cwd,
            )
        with (self.path / "pids").open("a") as pids:
            pids.write(f"{popen.pid} {sweep.start_time(popen.pid)} {name}\n")
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
        return sweep.lines_of(self.path / "namespaces")

    def recorded(self) -> dict[str, int | None]:
        """Return what was started, by name: the last process id, None when it has ended."""
        found: dict[str, int | None] = {}
        for line in sweep.lines_of(self.path / "pids"):
            pid, began, name = line.split(maxsplit=2)
            found[name] = int(pid) if sweep.start_time(int(pid)) == began else None
        return found

    def close(self) -> None:
        """End every process, delete every namespace, remove the folder; twice does no harm."""
        sweep.end_all(self.path)
        for process in self.processes:
            process.popen.wait()
        with sweep.registry():
            sweep.remove(self.path)
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None
