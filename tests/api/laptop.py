"""A person's laptop: kubeconfig, kubectl and tunegate, in the API server's network."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import binaries
from tests.lab.audit import AuditEntry
from tests.lab.control_plane import ControlPlane
from tests.lab.fleet import small_fleet

PROGRAMS = Path(sys.executable).parent
READER = "reader"
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "fleet-reader"},
    "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}],
}
BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "fleet-reader"},
    "subjects": [{"kind": "User", "name": READER, "apiGroup": "rbac.authorization.k8s.io"}],
    "roleRef": {
        "kind": "ClusterRole",
        "name": "fleet-reader",
        "apiGroup": "rbac.authorization.k8s.io",
    },
}


@dataclass(slots=True)
class Laptop:
    """Where a person sits: the API server's network, a kubeconfig, the programs on the PATH."""

    control_plane: ControlPlane
    kubeconfig: Path

    def command(self, *argv: str) -> list[str]:
        """Return a command as run from there."""
        return ["nsenter", f"--net=/var/run/netns/{self.control_plane.endpoint.netns}", *argv]

    def environment(self) -> Mapping[str, str]:
        """Return the environment: kubectl and the project's programs on the PATH."""
        path = f"{PROGRAMS}:{binaries.find('kubectl').parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "KUBECONFIG": str(self.kubeconfig)}

    def run(self, *argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return subprocess.run(
            self.command(*argv),
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
            env={**self.environment(), **variables},
        )

    def nodes(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``tunegate nodes``."""
        return self.run("tunegate", "nodes", *arguments)

    def requests(self) -> list[AuditEntry]:
        """Return what this person has asked of the API server so far."""
        return self.control_plane.requests(READER)


class Stream:
    """A running ``tunegate nodes --watch``, or of pods, whose output is a file."""

    def __init__(
        self, laptop: Laptop, folder: Path, *arguments: str, command: str = "nodes"
    ) -> None:
        """Start it."""
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                laptop.command("tunegate", command, "--watch", *arguments),
                stdout=out,
                stderr=err,
                env=laptop.environment(),
            )

    def lines(self) -> list[str]:
        """Return what it has written so far."""
        return self._out.read_text().splitlines()

    def complaints(self) -> str:
        """Return what it has said beside the rows."""
        return self._err.read_text()

    def await_line(self, fits: Callable[[str], bool], after: int = 0) -> str:
        """Wait for a line that fits, beyond the first ones; raises TimeoutError."""
        found: list[str] = []

        def is_there() -> bool:
            found.extend(line for line in self.lines()[after:] if fits(line))
            return bool(found)

        try:
            eventually(is_there)
        except TimeoutError:
            text = "\n".join(self.lines())
            raise TimeoutError(f"no such line in:\n{text}\n{self.complaints()}") from None
        return found[0]

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(120)


def eventually(condition: Callable[[], bool], timeout_seconds: float = 180.0) -> None:
    """Wait until the condition holds; raises TimeoutError."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def laptop_of(control_plane: ControlPlane) -> Laptop:
    """Return a person who may list and watch nodes, of which there is the small fleet."""
    control_plane.admin.create(ROLE, BINDING, *small_fleet())
    return Laptop(control_plane, control_plane.client_kubeconfig(READER))


@contextmanager
def stream(
    laptop: Laptop, folder: Path, *arguments: str, command: str = "nodes"
) -> Iterator[Stream]:
    """Give a running watch and end it."""
    running = Stream(laptop, folder, *arguments, command=command)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
