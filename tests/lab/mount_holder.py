"""
A mount namespace full of mounts, which makes and ends more of them as it is told.

::

    with MountHolder.make(folder, standing=5000) as holder:
        holder.mount("a")
        Path(holder.mountinfo).read_text()

As a program (``python -m tests.lab.mount_holder FOLDER STANDING``) it is the inside, which takes
``mount NAME``, ``unmount NAME`` and ``storm COUNT SECONDS`` from its standard input and answers
each with a line.
"""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MS_BIND, MNT_DETACH = 4096, 2  # linux/mount.h


@dataclass(slots=True)
class MountHolder:
    """The namespace as a test sees it."""

    process: subprocess.Popen[str]
    folder: Path

    @classmethod
    @contextmanager
    def make(cls, folder: Path, standing: int) -> Iterator["MountHolder"]:
        """Give a namespace with so many mounts of its own; it ends with the block."""
        folder.mkdir()
        argv = ["unshare", "--mount", sys.executable, "-m", __name__, str(folder), str(standing)]
        pipe = subprocess.PIPE
        with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as process:
            made = cls(process, folder)
            try:
                made._await_answer()
                yield made
            finally:
                process.kill()

    @property
    def mountinfo(self) -> str:
        """Return the list of its mounts."""
        return f"/proc/{self.process.pid}/mountinfo"

    def point(self, name: str) -> str:
        """Return where a mount of this name is."""
        return f"{self.folder}/{name}"

    def mount(self, name: str) -> None:
        """Mount a file system; back when it is there."""
        self._tell(f"mount {name}")

    def unmount(self, name: str) -> None:
        """Unmount it; back when it is gone."""
        self._tell(f"unmount {name}")

    def storm(self, count: int, seconds: float) -> None:
        """Make and end so many mounts, evenly in so many seconds; back when that is over."""
        self._tell(f"storm {count} {seconds}")

    def _tell(self, command: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        self._await_answer()

    def _await_answer(self) -> None:
        assert self.process.stdout
        answer = self.process.stdout.readline()
        assert answer == "done\n", f"the mount holder says {answer!r}"


class _Inside:
    """What happens in the namespace."""

    def __init__(self, folder: str, standing: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._folder = folder
        self._mount("none", folder, "tmpfs")
        for number in range(standing):
            point = f"{folder}/standing-{number}"
            os.mkdir(point)  # noqa: PTH102 - thousands of them
            self._mount(point, point, "", MS_BIND)

    def obey(self, command: str, *words: str) -> None:
        """Do one thing."""
        if command == "storm":
            count, seconds = int(words[0]), float(words[1])
            for number in range(count):
                began = time.monotonic()
                self.obey("mount", f"storm-{number}")
                self.obey("unmount", f"storm-{number}")
                time.sleep(max(0.0, seconds / count - (time.monotonic() - began)))
        elif command == "mount":
            point = f"{self._folder}/{words[0]}"
            os.makedirs(point, exist_ok=True)  # noqa: PTH103 - as above
            self._mount("none", point, "tmpfs")
        else:
            point = f"{self._folder}/{words[0]}"
            self._check(self._libc.umount2(point.encode(), MNT_DETACH))

    def _mount(self, source: str, point: str, kind: str, flags: int = 0) -> None:
        names = (source.encode(), point.encode(), kind.encode())
        self._check(self._libc.mount(*names, ctypes.c_ulong(flags), None))

    def _check(self, result: int) -> None:
        if result:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def main() -> None:
    """Obey until the input ends."""
    inside = _Inside(sys.argv[1], int(sys.argv[2]))
    print("done", flush=True)
    for line in sys.stdin:
        inside.obey(*line.split())
        print("done", flush=True)


if __name__ == "__main__":
    main()
