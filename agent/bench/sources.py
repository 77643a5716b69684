"""
What can be measured: a file of this node's, or a file of a server's read by libnfs.

Each is read by another process, with a deadline on every answer: where a server is gone, that
process is left behind (Linux keeps it until the server answers) and this one goes on.
"""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from agent.bench.results import Mode, Run
from agent.ports import AgentError
from common.record import dataclass

ANSWER_SECONDS = 10.0
END_SECONDS = 2.0
PIPE_BYTES = 1 << 20
Tell = Callable[[int, float], None]
"""Told of progress: the bytes read so far in this run, and the seconds it took."""


class BenchError(AgentError):
    """Nothing more can be measured here; the message says what happened."""


class FileError(BenchError):
    """The file cannot be opened."""


class ModeError(BenchError):
    """This mode does not work on this file; others may."""


@dataclass(frozen=True, slots=True)
class Task:
    """One run to do: how, which part, and for how long at most."""

    mode: Mode
    offset_bytes: int
    bytes: int
    seconds: float


class Source(Protocol):
    """Something that can be read."""

    modes: tuple[Mode, ...]
    size_bytes: int

    def run(self, task: Task, tell: Tell) -> Run:
        """Do one run; raises ModeError or BenchError."""
        ...

    def close(self) -> str:
        """End the process; return a sentence when it cannot be ended."""
        ...


class LocalFile:
    """A file by its path on this node, read by ``agent.bench.reader``."""

    modes: tuple[Mode, ...] = (Mode.READ, Mode.MMAP, Mode.DIRECT)
    _program = ("-m", "agent.bench.reader")

    def __init__(self, path: str, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        """
        Start the reader and wait until it has the file open.

        Raises:
            FileError: It cannot be opened.
            BenchError: Nothing came back: the server is gone.
        """
        self._path = path
        self._answer_seconds = answer_seconds
        self._rest = b""
        self._process = subprocess.Popen(
            [sys.executable, "-P", *self._program, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",  # the present folder may lie on the dead mount
            start_new_session=True,  # Ctrl-C is this process's to answer
        )
        try:
            self.size_bytes, self.device = self._opened()
        except BenchError as error:
            left = self.close()
            raise type(error)(f"{error}; {left}" if left else str(error)) from error
        except BaseException:
            self.close()
            raise

    def _opened(self) -> tuple[int, str]:
        message = self._message()
        if "error" in message:
            raise FileError(message["error"])
        return int(message["opened"]["size"]), str(message["opened"]["device"])

    def run(self, task: Task, tell: Tell) -> Run:
        """Do one run; raises ModeError or BenchError."""
        body = {"mode": task.mode.value, "offset": task.offset_bytes, "bytes": task.bytes}
        self._send({**body, "seconds": task.seconds})
        while True:
            message = self._message()
            if "run" in message:
                return Run(**message["run"])
            if "error" in message:
                raise ModeError(message["error"])
            tell(message["at"]["bytes"], message["at"]["seconds"])

    def _send(self, task: dict[str, object]) -> None:
        pipe = self._process.stdin
        assert pipe is not None  # noqa: S101 - asked for above
        try:
            pipe.write(json.dumps(task).encode() + b"\n")
            pipe.flush()
        except BrokenPipeError as error:
            raise self._gone() from error

    def _message(self) -> dict[str, Any]:
        """Return the reader's next line; raises BenchError when none comes in time."""
        pipe = self._process.stdout
        assert pipe is not None  # noqa: S101 - asked for above
        deadline = time.monotonic() + self._answer_seconds
        while b"\n" not in self._rest:
            _await(pipe.fileno(), deadline, self._path, self._answer_seconds)
            chunk = os.read(pipe.fileno(), PIPE_BYTES)
            if not chunk:
                raise self._gone()
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        decoded: dict[str, Any] = json.loads(line)
        return decoded

    def _gone(self) -> BenchError:
        code = self._process.wait(END_SECONDS)
        return BenchError(f"the process that reads {self._path} ended by itself (code {code})")

    def close(self) -> str:
        """End the reader; return a sentence when the kernel keeps it."""
        return _end(self._process)


class ServerFile:
    """A file by its NFS URL, read by libnfs's ``nfs-cat``: one user-space client, no mount."""

    modes: tuple[Mode, ...] = (Mode.USER,)
    size_bytes = 0
    program = "nfs-cat"

    def __init__(self, url: str, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        """Keep the URL, ``nfs://SERVER/EXPORT/FILE``; each run connects anew."""
        self._url = url
        self._answer_seconds = answer_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, task: Task, tell: Tell) -> Run:
        """Read from the start of the file; the clock begins at the first byte."""
        try:
            self._process = subprocess.Popen(
                [self.program, self._url],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            message = f"{self.program} is not here: install libnfs-utils, or measure a mounted file"
            raise BenchError(message) from error
        try:
            return self._read(task, tell, self._process)
        finally:
            self.close()

    def _read(self, task: Task, tell: Tell, process: subprocess.Popen[bytes]) -> Run:
        assert process.stdout is not None  # noqa: S101 - asked for above
        descriptor = process.stdout.fileno()
        started = 0.0
        done, now = 0, 0.0
        while done < task.bytes and (not started or now - started < task.seconds):
            _await(
                descriptor, time.monotonic() + self._answer_seconds, self._url, self._answer_seconds
            )
            chunk = os.read(descriptor, PIPE_BYTES)
            if not chunk:
                break
            now = time.monotonic()
            if not started:
                started = now  # the connection and the first answer are no throughput
                continue
            done += len(chunk)
            tell(done, now - started)
        if not done:
            raise BenchError(f"{self._url}: {_last_words(process)}")
        is_cut = done < task.bytes and now - started >= task.seconds
        return Run(0, done, now - started, is_cut=is_cut)

    def close(self) -> str:
        """End a client that still runs."""
        return _end(self._process) if self._process else ""


def _await(descriptor: int, deadline: float, what: str, patience_seconds: float) -> None:
    ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
    if not ready:
        raise BenchError(
            f"{what}: nothing came for {patience_seconds:g} s; its server does not answer "
            "(`tunegate-agent doctor` shows which one it is)"
        )


def _last_words(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None  # noqa: S101 - asked for above
    ready, _, _ = select.select([process.stderr], [], [], END_SECONDS)
    words = os.read(process.stderr.fileno(), PIPE_BYTES).decode(errors="replace") if ready else ""
    return words.strip().replace("\n", " ") or "no byte came"


def _end(process: subprocess.Popen[bytes]) -> str:
    """Kill a process that we started; one in an uninterruptible wait is left, and told of."""
    process.kill()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        return (
            f"process {process.pid} still waits for the server inside the kernel (state D); it "
            "ends when the server answers or its mount is forced off (umount -f)"
        )
    finally:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                _close(pipe)
    return ""


def _close(pipe: Any) -> None:  # noqa: ANN401 - one of three kinds of pipes
    try:
        pipe.close()
    except OSError:
        return  # what was still to be written has nobody to read it
