"""
The guest's end of the channel: runs what the host asks for, several commands at a time.

One JSON object a line each way, over the virtio-serial port "tunegate"; bytes are base64. A request
has an ``id``, which its answer repeats, and ``do``::

    run     argv, env, stdin      -> code, out, err   once the program has ended
    signal  of (a run's id), number
    put     path, data
    get     path                  -> data

An answer with ``error`` says that the request could not be done. Standard library only.
"""

import base64
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

PORTS = Path("/sys/class/virtio-ports")
JOBS = Path("/run/jobs")
PORT_NAME = "tunegate"
_CHUNK_BYTES = 65536

Request = Mapping[str, Any]


class Server:
    """Answers requests that arrive on one descriptor, each in a thread of its own."""

    def __init__(self, port: int) -> None:
        """Serve the port; the caller keeps it open."""
        self._port = port
        self._writing = threading.Lock()
        self._running: dict[int, Future[subprocess.Popen[bytes]]] = {}
        self._actions: dict[str, Callable[[Request], Mapping[str, Any]]] = {
            "run": self._run,
            "signal": self._signal,
            "put": _put,
            "get": _get,
        }

    def serve(self) -> None:
        """Answer until the host closes its end."""
        self._send({"ready": True})
        pending = b""
        while chunk := os.read(self._port, _CHUNK_BYTES):
            *lines, pending = (pending + chunk).split(b"\n")
            for request in map(json.loads, lines):
                if request["do"] == "run":  # its signal may be here before its thread runs
                    self._running[request["id"]] = Future()
                threading.Thread(target=self._answer, args=(request,), daemon=True).start()

    def _answer(self, request: Request) -> None:
        try:
            answer = self._actions[request["do"]](request)
        except (OSError, KeyError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        self._send({"id": request["id"], **answer})

    def _send(self, answer: Mapping[str, Any]) -> None:
        data = memoryview(json.dumps(answer).encode() + b"\n")
        with self._writing:
            while data:
                data = data[os.write(self._port, data) :]

    def _run(self, request: Request) -> Mapping[str, Any]:
        number = request["id"]
        out, err = JOBS / f"{number}.out", JOBS / f"{number}.err"
        try:
            process = _started(request, out, err)
        except BaseException as error:
            self._running.pop(number).set_exception(error)
            raise
        self._running[number].set_result(process)
        process.communicate(base64.b64decode(request["stdin"]))
        del self._running[number]
        answer = {"code": process.returncode, "out": _encoded(out), "err": _encoded(err)}
        out.unlink()
        err.unlink()
        return answer

    def _signal(self, request: Request) -> Mapping[str, Any]:
        """Signal a run's whole process group, once it is started; nothing when it has ended."""
        running = self._running.get(request["of"])
        if running is not None:
            with suppress(OSError):
                os.killpg(running.result().pid, signal.Signals(request["number"]))
        return {}


def _started(request: Request, out: Path, err: Path) -> subprocess.Popen[bytes]:
    with out.open("wb") as stdout, err.open("wb") as stderr:
        return subprocess.Popen(
            request["argv"],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, **request["env"]},
            start_new_session=True,
        )


def _put(request: Request) -> Mapping[str, Any]:
    Path(request["path"]).write_bytes(base64.b64decode(request["data"]))
    return {}


def _get(request: Request) -> Mapping[str, Any]:
    return {"data": _encoded(Path(request["path"]))}


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")


def _find_port() -> Path:
    for name in PORTS.glob("*/name"):
        if name.read_text().strip() == PORT_NAME:
            return Path("/dev") / name.parent.name
    raise FileNotFoundError(f"no virtio-serial port is named {PORT_NAME}")


def main() -> None:
    """Serve until the host goes away."""
    port = os.open(_find_port(), os.O_RDWR)
    try:
        Server(port).serve()
    finally:
        os.close(port)


if __name__ == "__main__":
    main()
