"""The host's end of the channel to the guest: see tests/vm/inside/serve.py for what is spoken."""

import base64
import itertools
import json
import socket
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any, cast

SHORT_SECONDS = 60.0
_CHUNK_BYTES = 1 << 20


class GuestError(Exception):
    """The guest could not do what was asked, did not answer in time, or is gone."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a program that ran in the guest left."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


class Channel:
    """Requests to the guest, answered in any order; safe from several threads."""

    def __init__(self, connected: socket.socket) -> None:
        """Own a socket to QEMU; the guest may still be booting."""
        self._socket = connected
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Mapping[str, Any]]] = {}
        self._ready: Future[Mapping[str, Any]] = Future()
        self._is_gone = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @classmethod
    def connect(cls, path: Path) -> "Channel":
        """Connect to QEMU's socket; raises OSError where it does not listen yet."""
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(str(path))
        except OSError:
            made.close()
            raise
        return cls(made)

    def wait_ready(self, timeout_seconds: float) -> bool:
        """Wait until the guest serves; False when it does not in time or went away."""
        try:
            self._ready.result(timeout_seconds)
        except (FutureTimeout, GuestError):
            return False
        return True

    def ask(self, do: str, **fields: object) -> "tuple[int, Future[Mapping[str, Any]]]":
        """Send a request; return its number and its answer to come."""
        answer: Future[Mapping[str, Any]] = Future()
        with self._lock:
            if self._is_gone:
                raise GuestError("the guest is gone")
            number = next(self._numbers)
            self._waiting[number] = answer
            self._socket.sendall(json.dumps({"id": number, "do": do, **fields}).encode() + b"\n")
        return number, answer

    def call(self, do: str, **fields: object) -> Mapping[str, Any]:
        """Send a short request and return its answer; raises GuestError."""
        return answered(self.ask(do, **fields)[1], SHORT_SECONDS, do)

    def close(self) -> None:
        """Hang up; whoever still waits gets a GuestError."""
        self._socket.shutdown(socket.SHUT_RDWR) if not self._is_gone else None
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        pending = b""
        while chunk := self._receive():
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
        with self._lock:
            self._is_gone = True
            for future in [self._ready, *self._waiting.values()]:
                if not future.done():
                    future.set_exception(GuestError("the guest is gone"))

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_CHUNK_BYTES)
        except OSError:
            return b""

    def _take(self, answer: Mapping[str, Any]) -> None:
        if "ready" in answer:
            self._ready.set_result(answer)
            return
        with self._lock:
            future = self._waiting.pop(answer["id"])
        if "error" in answer:
            future.set_exception(GuestError(answer["error"]))
        else:
            future.set_result(answer)


class Run:
    """A program in the guest that was started; `wait` for it or `stop` it."""

    def __init__(
        self, channel: Channel, argv: Sequence[str], env: Mapping[str, str], stdin: bytes
    ) -> None:
        """Start it; one that cannot be started is told of by `wait`."""
        self._channel = channel
        self.argv = tuple(argv)
        encoded = base64.b64encode(stdin).decode("ascii")
        fields = {"argv": list(argv), "env": dict(env), "stdin": encoded}
        self._number, self._answer = channel.ask("run", **fields)

    def wait(self, timeout_seconds: float = SHORT_SECONDS) -> Ended:
        """Return what it left; in time it has not ended, it is killed and GuestError raised."""
        what = " ".join(self.argv)
        try:
            answer = answered(self._answer, timeout_seconds, what)
        except GuestError:
            if not self._answer.done():
                self.send_signal(SIGKILL)
            raise
        texts = [base64.b64decode(answer[name]).decode(errors="replace") for name in ("out", "err")]
        return Ended(self.argv, cast("int", answer["code"]), *texts)

    def send_signal(self, number: int) -> None:
        """Send a signal to it and all it started; nothing when it has ended."""
        self._channel.call("signal", of=self._number, number=int(number))

    def stop(self, number: int = SIGTERM) -> Ended:
        """Signal it and return what it left."""
        self.send_signal(number)
        return self.wait()

    @property
    def is_running(self) -> bool:
        """Tell whether it has not ended yet."""
        return not self._answer.done()

    def output(self) -> str:
        """Return what it wrote to its standard output so far, while it runs."""
        try:
            data = self._channel.call("get", path=f"/run/jobs/{self._number}.out")["data"]
        except GuestError as error:
            if "FileNotFoundError" not in str(error):
                raise
            return ""  # it is only being started: requests run beside each other
        return base64.b64decode(data).decode(errors="replace")


def answered(
    answer: "Future[Mapping[str, Any]]", timeout_seconds: float, what: str
) -> Mapping[str, Any]:
    """Return the answer; raises GuestError when it does not come in time or says no."""
    try:
        return answer.result(timeout_seconds)
    except FutureTimeout:
        raise GuestError(f"no answer within {timeout_seconds:.0f} s: {what}") from None
