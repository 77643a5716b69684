"""One writer a host: the lock that the running agent, ``apply`` and ``revert`` take."""

import fcntl
import os
from contextlib import suppress

from agent.ports import AgentError


class LockError(AgentError):
    """The lock cannot be taken; the message says who holds it or what is in the way."""


class HostLock:
    """
    An flock on ``<folder>/lock``, held until closed or until the process ends, however it ends.

    The file holds the holder's process id for people; a stale number in it means nothing.
    """

    def __init__(self, folder: str) -> None:
        """Open the lock file; raises LockError when the folder cannot be used."""
        self.path = f"{folder}/lock"
        try:
            os.makedirs(folder, mode=0o755, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LockError(f"cannot use {self.path}: {error.strerror}") from error

    def take(self) -> bool:
        """Try once; return whether the lock is ours; raises LockError where locks do not work."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise LockError(f"cannot lock {self.path}: {error.strerror}") from error
        with suppress(OSError):  # a full disk: the lock holds without the number too
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        return True

    @property
    def holder(self) -> str:
        """Return the process id that the holder wrote, or "unknown"."""
        text = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
        return text or "unknown"

    def close(self) -> None:
        """Let the lock go."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
