"""
Wait until a vLLM server has no request left, then return: run by kubelet before SIGTERM.

Carried as text in the pod's preStop command and run by `python3 -I -S -c`; never imported by the
webhook. Standard library only, Python 3.8 or newer, reads /proc, writes nothing to disk.
Arguments: seconds to wait at most, seconds that endpoints need to learn that the pod ends, http
or https, the server's address, its ports with spaces between. Exit 0: done; else drain.sh goes on.

Why: vLLM aborts every request at SIGTERM; it listens only once its model is loaded; while it
loads, one SIGTERM is swallowed and two are not; a shell as PID 1 never passes one on.
"""

from __future__ import annotations

import http.client
import io
import os
import signal
import ssl
import sys
import time
from collections.abc import Iterable

GONE, DEAD, SLOW, BLIND = -1, -2, -3, -4
STARTS = (b"vllm:", b"# HELP vllm:", b"# TYPE vllm:")
GAUGES = [b"vllm:num_requests_" + name for name in (b"running", b"waiting", b"swapped")]
SHELLS = (b"sh", b"bash", b"dash", b"ash", b"busybox", b"ksh", b"zsh")
OK, UNAVAILABLE, MOVED = 200, 503, (301, 302, 307, 308)
MOST = 1e15
ZEROS_WANTED = 2
LOADING = "the server is still loading: told to end"
SIGTERM_BIT = 1 << (signal.SIGTERM - 1)


def value_of(line: bytes) -> float:
    """Return what a gauge of requests says, 0 for any other line, 1 for what is no number."""
    head, brace, rest = line.partition(b"{")
    words = head.split()
    if not words or words[0] not in GAUGES:
        return 0
    if brace and len(words) == 1:
        _labels, closed, rest = rest.rpartition(b"}")
        words += rest.split() if closed else []
    try:
        value = float(words[1])
    except (IndexError, ValueError):
        return 1
    return value if 0 <= value < MOST else 1


def count(lines: Iterable[bytes]) -> int:
    """Return how many requests run or wait, all engines together; BLIND without a vllm: line."""
    total, found = 0.0, False
    for line in lines:
        if line.startswith(STARTS):
            found = True
            total += value_of(line)
    return int(-(-total // 1)) if found else BLIND


def ask(scheme: str, host: str, port: int, path: str, seconds: float) -> tuple[int, bytes]:
    """Return status and body of an answer, GONE where nobody listens, SLOW without an answer."""
    link = http.client.HTTPConnection(host, port, timeout=seconds)
    if scheme == "https":
        trusting = ssl._create_unverified_context()
        link = http.client.HTTPSConnection(host, port, timeout=seconds, context=trusting)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        link.request("GET", path)
        answer = link.getresponse()
        return answer.status, answer.read()
    except ConnectionRefusedError:
        return GONE, b""
    except (OSError, http.client.HTTPException):
        return SLOW, b""
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        link.close()


def look(scheme: str, host: str, port: int, seconds: float) -> float:
    """Return how many requests a port has, or GONE, DEAD, SLOW or BLIND."""
    status, body = ask(scheme, host, port, "/health", seconds)
    if status == UNAVAILABLE:
        return DEAD
    for path in ("/metrics", "/metrics/"):
        if status > 0:
            status, body = ask(scheme, host, port, path, seconds)
        if status not in MOVED:
            break
    if status < 0:
        return status
    return count(io.BytesIO(body)) if status == OK else BLIND


def read(pid: str, name: str) -> bytes:
    """Return a file of a process, b"" where it cannot be read."""
    try:
        with open("/proc/" + pid + "/" + name, "rb") as file:
            return file.read()
    except OSError:
        return b""


def field(pid: str, name: bytes) -> bytes:
    """Return a field of a process's status, b"" where it is not there."""
    for line in read(pid, "status").splitlines():
        if line.startswith(name + b":"):
            return line.split()[1]
    return b""


def is_ours(pid: str) -> bool:
    """Tell whether a process is in this container: PID 1 is not where namespaces are shared."""
    return read(pid, "cgroup") == read("self", "cgroup")


def is_shell(pid: str) -> bool:
    """Tell whether a process is a shell."""
    return read(pid, "comm").strip() in SHELLS


def takes_term() -> bool:
    """Tell whether SIGTERM reaches PID 1: the kernel drops what it neither handles nor blocks."""
    masks = [field("1", name) for name in (b"SigCgt", b"SigBlk")]
    return b"" in masks or any(int(mask, 16) & SIGTERM_BIT for mask in masks)


def servers() -> list[str]:
    """Return the processes beside PID 1 that run vLLM: the uppermost, no shell, not this one."""
    found = [
        pid
        for pid in os.listdir("/proc")
        if pid.isdigit() and pid not in ("1", str(os.getpid()))
        if is_ours(pid) and not is_shell(pid) and b"vllm" in read(pid, "cmdline").lower()
    ]
    return [pid for pid in found if field(pid, b"PPid").decode() not in found]


def term(*pids: str) -> None:
    """Send SIGTERM; a process may be gone, or belong to somebody else."""
    for pid in pids:
        try:
            os.kill(int(pid), signal.SIGTERM)
        except OSError:
            pass


def end_loading(deadline: float) -> None:
    """End a server that does not listen yet: one SIGTERM here, kubelet's is the second."""
    if is_ours("1") and not is_shell("1"):
        while not takes_term() and not servers() and time.monotonic() < deadline:
            time.sleep(0.2)
        if takes_term():
            term("1")
            time.sleep(1)
            return
    for _ in range(2):
        term(*servers())
        time.sleep(1)


def end_serving() -> None:
    """Pass SIGTERM on where PID 1 will not."""
    if is_ours("1") and (is_shell("1") or not takes_term()):
        term(*servers())


def say(line: str) -> None:
    """Write to the container's log; to the hook's own output where that cannot be reached."""
    text = f"tunegate preStop: {line}\n".encode()
    for path in ("/proc/1/fd/1",) * is_ours("1") + ("",):
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY
            os.write(os.open(path, flags) if path else 1, text)
        except OSError:
            continue
        return


def drain(seconds: float, propagation: float, scheme: str, host: str, ports: list[int]) -> str:
    """Wait for two samples in a row without a request, and return why the wait is over."""
    begun = time.monotonic()
    zeros, answered = 0, False
    while True:
        passed = time.monotonic() - begun
        patience = max(0.1, min(5, seconds - passed))
        states = [look(scheme, host, port, patience) for port in ports]
        if max(states) < 0 and SLOW not in states and BLIND not in states:
            if DEAD in states:
                return "the engine is dead: /health answers 503"
            return "the server has gone" if answered else LOADING
        answered = True
        is_idle = not any(state > 0 or state in (SLOW, BLIND) for state in states)
        zeros = zeros + 1 if is_idle and passed >= propagation else 0
        passed = time.monotonic() - begun
        if zeros == ZEROS_WANTED or passed >= seconds:
            return f"{rest(states)} after {passed:.0f} s"
        time.sleep(min(1, seconds - passed))


def rest(states: list[float]) -> str:
    """Return what is left, in words."""
    if SLOW in states:
        return "the server does not answer"
    if BLIND in states:
        return "/metrics does not show requests (--disable-log-stats?), waited blindly"
    return f"{sum(state for state in states if state > 0):.0f} requests left"


def interrupt(_number: int, _frame: object) -> None:
    """End a request that takes too long as a whole."""
    raise TimeoutError


def main() -> None:
    """Drain, say so, and see to it that SIGTERM will do."""
    signal.signal(signal.SIGALRM, interrupt)
    deadline = time.monotonic() + float(sys.argv[1])
    ports = [int(port) for port in sys.argv[5].split()]
    outcome = drain(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4], ports)
    say(outcome)
    if outcome == LOADING:
        end_loading(deadline)
    else:
        end_serving()


if __name__ == "__main__":
    main()
