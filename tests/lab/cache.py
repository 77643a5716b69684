"""Keep built files under ~/.cache/tunegate: one folder a version, whole or absent, checksummed.

    kubectl-1.36.3/kubectl      the file
    kubectl-1.36.3/SHA256SUMS   in the format of sha256sum(1)
    kubectl-1.36.3/stamp.json   size and mtime when the checksum last matched
    kubectl-1.36.3.lock         held by the one builder

TUNEGATE_CACHE moves the whole cache.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.progress import Progress

SUMS = "SHA256SUMS"
STAMP = "stamp.json"

Build = Callable[[Path, int], None]
"""Make the file at the path; the number is the lock, for a child that may outlive this process."""


def default_root() -> Path:
    """Return the cache's root: TUNEGATE_CACHE, else ~/.cache/tunegate."""
    configured = os.environ.get("TUNEGATE_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "tunegate"


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one file at one version."""

    root: Path
    name: str
    version: str

    @property
    def folder(self) -> Path:
        """Return the folder of this version."""
        return self.root / f"{self.name}-{self.version}"

    @property
    def file(self) -> Path:
        """Return where the file is once published."""
        return self.folder / self.name

    def unchanged(self) -> bool:
        """Tell whether the file still has the size and mtime it had when its checksum matched."""
        try:
            stamp = json.loads((self.folder / STAMP).read_text(encoding="ascii"))
            return bool(stamp == _stamp(self.file))
        except (OSError, ValueError):
            return False

    def intact(self) -> bool:
        """Tell whether the file's SHA-256 is the recorded one; when so, renew the stamp."""
        try:
            recorded = (self.folder / SUMS).read_text(encoding="ascii").split()[0]
            if _sha256(self.file) != recorded:
                return False
        except (OSError, IndexError):
            return False
        if not self.unchanged():
            _write_stamp(self.folder, self.file)
        return True

    def publish(self, build: Build, progress: Progress) -> Path:
        """Build the file unless it is intact, and put it in place in one rename.

        A builder that dies leaves only a `.building-` folder, which the next builder removes. An
        orphaned compiler keeps the lock it was given until it ends.
        """
        with self._locked(progress) as lock:
            self._sweep()
            if self.intact():
                return self.file
            workplace = Path(tempfile.mkdtemp(prefix=self._workplace_prefix(), dir=self.root))
            try:
                build(workplace / self.name, lock)
                _seal(workplace, self.name)
                shutil.rmtree(self.folder, ignore_errors=True)
                workplace.rename(self.folder)
            finally:
                shutil.rmtree(workplace, ignore_errors=True)
        return self.file

    def _workplace_prefix(self) -> str:
        return f".building-{self.name}-{self.version}-"

    def _sweep(self) -> None:
        for left in self.root.glob(self._workplace_prefix() + "*"):
            shutil.rmtree(left, ignore_errors=True)

    @contextlib.contextmanager
    def _locked(self, progress: Progress) -> Iterator[int]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / f"{self.name}-{self.version}.lock").open("w") as lock:
            if not _try_lock(lock.fileno()):
                progress.start(f"{self.name}: another process is building it, waiting for that")
                while not _try_lock(lock.fileno()):
                    progress.tick(f"waiting for the other builder of {self.name}")
                    time.sleep(0.2)
            yield lock.fileno()


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _seal(workplace: Path, name: str) -> None:
    file = workplace / name
    workplace.chmod(0o755)
    (workplace / SUMS).write_text(f"{_sha256(file)}  {name}\n", encoding="ascii")
    _write_stamp(workplace, file)


def _stamp(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


def _write_stamp(folder: Path, file: Path) -> None:
    fresh = folder / f".{STAMP}.{os.getpid()}"
    fresh.write_text(json.dumps(_stamp(file)), encoding="ascii")
    fresh.replace(folder / STAMP)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
