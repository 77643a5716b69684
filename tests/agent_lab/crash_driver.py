"""
Runs ``tunegate-agent`` with its steps counted, and breaks off at one of them.

A step is one thing that changes the disk or the host: the journal's open for writing, write, fsync,
rename, link and unlink, and each write to the kernel. ``CRASH_AT`` is ``<when>:<number>``: with
``before``, ``half`` (of a write to the journal) or ``after`` the process ends itself by SIGKILL
there; with ``shell`` it runs ``CRASH_SHELL`` before that step and goes on. The names of the steps
taken so far are in the file ``CRASH_STEPS``, one a line.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, Self

from agent import cli, journal
from agent.host.linux import LinuxHost
from agent.state import Change

_FILE_STEPS = ("fsync", "replace", "link", "unlink")


class Steps:
    """Counts steps and breaks off at the one asked for."""

    def __init__(self, where: str, names: str, shell: str) -> None:
        """Take ``<when>:<number>`` or "", the file for the steps' names, the shell line."""
        self._when, _, number = where.partition(":")
        self._number = int(number or 0)
        self._names = names
        self._shell = shell
        self._count = 0

    def begin(self, name: str) -> bool:
        """Begin a step; return whether half of it is asked for."""
        self._count += 1
        with Path(self._names).open("a", encoding="ascii") as file:
            file.write(f"{name}\n")
        if self._is_at("before"):
            _die()
        if self._is_at("shell"):
            subprocess.run(["sh", "-euc", self._shell], check=True)
        return self._is_at("half")

    def end(self) -> None:
        """End a step."""
        if self._is_at("after"):
            _die()

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return the call as one step."""

        def stepped(*arguments: object, **named: object) -> object:
            self.begin(name)
            try:
                return call(*arguments, **named)
            finally:
                self.end()

        return stepped

    def _is_at(self, when: str) -> bool:
        return self._when == when and self._number == self._count


class SteppedFile:
    """A file opened for writing, whose write is a step that may be left half done."""

    def __init__(self, file: IO[bytes], steps: Steps) -> None:
        """Take the real file."""
        self._file = file
        self._steps = steps

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def __getattr__(self, name: str) -> object:
        """Leave all the rest to the file."""
        return getattr(self._file, name)

    def writelines(self, lines: Iterable[bytes]) -> None:
        """Write it all, or half of it and no more."""
        content = b"".join(lines)
        if self._steps.begin("journal write"):
            self._file.write(content[: len(content) // 2])
            self._file.flush()
            _die()
        self._file.write(content)
        self._file.flush()
        self._steps.end()


def main() -> int:
    """Run the agent's command line on the stepped journal and host."""
    environment = os.environ
    names, shell = environment["CRASH_STEPS"], environment.get("CRASH_SHELL", "")
    steps = Steps(environment.get("CRASH_AT", ""), names, shell)

    def opened(path: str, mode: str = "r", **named: Any) -> object:  # noqa: ANN401 - as open has it
        if "w" not in mode:
            return Path(path).open(mode, **named)
        steps.begin("journal open")
        try:
            return SteppedFile(Path(path).open(mode, **named), steps)
        finally:
            steps.end()

    stepped = {name: steps.wrap(f"journal {name}", getattr(os, name)) for name in _FILE_STEPS}
    write = LinuxHost.apply

    def apply(host: LinuxHost, change: Change) -> None:
        steps.begin(f"host {change.target}")
        try:
            write(host, change)
        finally:
            steps.end()

    setattr(journal, "os", SimpleNamespace(**{**vars(os), **stepped}))  # noqa: B010 - not exported
    setattr(journal, "open", opened)  # noqa: B010 - hides the builtin
    setattr(LinuxHost, "apply", apply)  # noqa: B010 - mypy has it for a method
    return cli.main(sys.argv[1:])


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
