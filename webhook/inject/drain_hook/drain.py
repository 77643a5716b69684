"""
Ask a vLLM server once how many requests it has, and print that: what drain.sh runs every second.

Carried as text in the pod's preStop command and run by `python3 -I -S -c`; never imported by the
webhook. Standard library only, Python 3.8 or newer, writes nothing to disk. Arguments: http or
https, address, port, seconds. Prints a number, or `gone` where nobody listens, `dead` for an engine
that has died, `slow` without an answer in time, `blind` where requests do not show.
"""

import http.client
import io
import signal
import ssl
import sys

STARTS = (b"vllm:", b"# HELP vllm:", b"# TYPE vllm:")
GAUGES = [b"vllm:num_requests_" + name for name in (b"running", b"waiting", b"swapped")]
OK, UNAVAILABLE, MOVED = 200, 503, (301, 302, 307, 308)
MOST = 1e15


def value_of(line: bytes) -> float:
    """Return what a gauge of requests says, 0 for any other line, 1 for what is no number."""
    head, brace, rest = line.partition(b"{")
    words = head.split()
    if not words or words[0] not in GAUGES:
        return 0
    if brace and len(words) == 1:
        words += rest.rpartition(b"}")[2].split() if b"}" in rest else []
    try:
        value = float(words[1])
    except (IndexError, ValueError):
        return 1
    return value if 0 <= value < MOST else 1


def count(text: bytes) -> str:
    """Return how many requests run or wait, all engines together; blind without a vllm: line."""
    total, found = 0.0, False
    for line in io.BytesIO(text):
        if line.startswith(STARTS):
            found = True
            total += value_of(line)
    return f"{-(-total // 1):.0f}" if found else "blind"


def look(link: http.client.HTTPConnection) -> str:
    """Return the word to print; raises what the connection raises."""
    for path in ("/health", "/metrics", "/metrics/"):
        link.request("GET", path)
        answer = link.getresponse()
        text = answer.read()
        if path == "/health" and answer.status == UNAVAILABLE:
            return "dead"
        if path != "/health" and answer.status not in MOVED:
            return count(text) if answer.status == OK else "blind"
    return "blind"


def interrupt(_number: int, _frame: object) -> None:
    """End what takes too long as a whole."""
    raise TimeoutError


def main() -> str:
    """Look, and return what to print."""
    scheme, host, port, seconds = sys.argv[1:]
    link = http.client.HTTPConnection(host, int(port), timeout=int(seconds))
    if scheme == "https":
        trusting = ssl._create_unverified_context()
        link = http.client.HTTPSConnection(host, int(port), timeout=int(seconds), context=trusting)
    signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(int(seconds))
    try:
        return look(link)
    except ConnectionRefusedError:
        return "gone"
    except (OSError, http.client.HTTPException):
        return "slow"


if __name__ == "__main__":
    print(main())
