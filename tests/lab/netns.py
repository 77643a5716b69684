"""One network namespace of a lab: run things in it, read and set its kernel's values."""

import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab.process import LabDir, LabProcess
from tests.lab.sweep import NETNS

CLONE_NEWNET = 0x40000000
_CONFS = ("all", "default")


class Namespace:
    """A named network namespace, deleted with its lab."""

    def __init__(self, lab_dir: LabDir, role: str) -> None:
        """Make it; its name is ``tg-<lab id>-<role>``."""
        self.role = role
        self.name = f"tg-{lab_dir.lab_id}-{role}"
        self._lab_dir = lab_dir
        lab_dir.register_netns(self.name)
        self._make()

    def remake(self) -> None:
        """Put a new, empty namespace in its place; who is in the old one stays there."""
        subprocess.run(["ip", "netns", "delete", self.name], check=True, capture_output=True)
        self._make()

    @property
    def path(self) -> Path:
        """Return the file that names it to setns(2)."""
        return NETNS / self.name

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        input_text: str | None = None,
        timeout_seconds: float = 180.0,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it and return what it printed; raises with its error output."""
        done = subprocess.run(
            ["nsenter", f"--net={self.path}", *argv],
            check=False,
            capture_output=True,
            text=True,
            input=input_text,
            timeout=timeout_seconds,
            env=None if env is None else {**os.environ, **env},
        )
        if check and done.returncode:
            raise AssertionError(f"{self.role}: {' '.join(argv)}: {done.stderr or done.stdout}")
        return done

    def script(self, lines: Sequence[str]) -> None:
        """Run shell lines in it, stopping at the first that fails."""
        self.run(["sh", "-eu"], input_text="\n".join(lines) + "\n")

    def spawn(
        self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None
    ) -> LabProcess:
        """Start a process of the lab in it; ``env`` adds to this process's environment."""
        merged = None if env is None else {**os.environ, **env}
        return self._lab_dir.spawn(name, argv, netns=self.name, env=merged)

    def sysctl(self, key: str) -> str:
        """Return a sysctl as it is in there, white space folded."""
        return " ".join(self.run(["cat", f"/proc/sys/{key.replace('.', '/')}"]).stdout.split())

    def set_sysctl(self, key: str, value: str) -> None:
        """Write a sysctl in there."""
        self.run(["tee", f"/proc/sys/{key.replace('.', '/')}"], input_text=value)

    def mtu(self, link: str) -> int:
        """Return a link's MTU."""
        words = self.run(["ip", "-o", "link", "show", "dev", link]).stdout.split()
        return int(words[words.index("mtu") + 1])

    def set_mtu(self, link: str, mtu_bytes: int) -> None:
        """Set a link's MTU."""
        self.run(["ip", "link", "set", "dev", link, "mtu", str(mtu_bytes)])

    def link_up(self, link: str, *, up: bool = True) -> None:
        """Set a link up, or down."""
        self.run(["ip", "link", "set", "dev", link, "up" if up else "down"])

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be in it with this thread, and with the threads and sockets that it makes."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            there = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _setns(there)
            finally:
                os.close(there)
            try:
                yield
            finally:
                _setns(before)
        finally:
            os.close(before)

    def _make(self) -> None:
        subprocess.run(["ip", "netns", "add", self.name], check=True, capture_output=True)
        # addresses are usable at once: nobody else is on these links
        self.script([f"echo 0 > /proc/sys/net/ipv6/conf/{conf}/accept_dad" for conf in _CONFS])


def _setns(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
