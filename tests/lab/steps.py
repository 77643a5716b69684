"""Run one long command quietly: a sign of life while it lasts, its last words if it fails."""

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.progress import Progress

TAIL_LINES = 20


class StepError(Exception):
    """The command failed; the message ends with what it said."""


def run_step(
    command: Sequence[str],
    text: str,
    progress: Progress,
    *,
    lock: int,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run the command; it keeps the lock (a descriptor) should it outlive this process.

    :raises StepError: it ended with another code than 0.
    """
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            pass_fds=[lock],
        )
        _wait(process, text, progress)
        if process.returncode:
            said.seek(0)
            tail = "".join(said.readlines()[-TAIL_LINES:])
            raise StepError(f"{' '.join(command)} failed:\n{tail}")


def _wait(process: subprocess.Popen[bytes], text: str, progress: Progress) -> None:
    """Wait for the process; end it when the wait itself is ended (Ctrl-C, SIGTERM)."""
    try:
        while True:
            try:
                process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                progress.tick(text)
            else:
                return
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
