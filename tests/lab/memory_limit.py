"""Hold one process to so much memory, by a memory control group of either version."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
REMOVE_SECONDS = 30.0


class MemoryLimitError(Exception):
    """The machine lets nobody limit memory here; the message begins with "this kernel"."""


@contextmanager
def memory_limit(name: str, limit_bytes: int) -> Iterator[list[str]]:
    """
    Give the words that start a command under this limit: put them before it.

    What it has forked is killed by the kernel when all of it together needs more. Raises
    MemoryLimitError. The processes must have ended when the block does.
    """
    folder, limit_file = _folder(name)
    try:
        folder.mkdir()
        (folder / limit_file).write_text(str(limit_bytes))
    except OSError as error:
        raise MemoryLimitError(f"this kernel limits no memory for us: {error}") from error
    try:
        yield ["sh", "-euc", f'echo 0 > {folder}/cgroup.procs; exec "$@"', "sh"]
    finally:
        _remove(folder)


def _folder(name: str) -> tuple[Path, str]:
    """Return the group's folder and the file of its limit; cgroups(7), version 1 or 2."""
    if (ROOT / "memory").is_dir():
        return ROOT / "memory" / name, "memory.limit_in_bytes"
    return ROOT / name, "memory.max"


def _remove(folder: Path) -> None:
    """Remove the group as soon as its last process is gone."""
    deadline = time.monotonic() + REMOVE_SECONDS
    while True:
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
