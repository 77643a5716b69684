"""Run in the container of vLLM's stand-in: start it, ask it, end it under load; say what came."""

import http
import http.client
import json
import os
import re
import subprocess
import sys
import time

PORT = 8123
SECONDS = 60


def ask(method: str, path: str, body: str | None = None) -> http.client.HTTPResponse:
    """Send a request; raises OSError while nobody listens."""
    connection = http.client.HTTPConnection("localhost", PORT)
    connection.request(method, path, body)
    return connection.getresponse()


def refused() -> bool:
    """Tell whether a connection is refused."""
    try:
        return ask("GET", "/health").status != http.HTTPStatus.OK
    except ConnectionRefusedError:
        return True


def await_health() -> None:
    """Wait until it has loaded; raises TimeoutError."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if not refused():
            return
        time.sleep(0.05)
    raise TimeoutError("it never listened")


def complete(tokens: int) -> http.client.HTTPResponse:
    """Begin a streamed completion."""
    return ask("POST", "/v1/completions", json.dumps({"max_tokens": tokens, "stream": True}))


def running() -> float:
    """Return the gauge of requests that run."""
    text = ask("GET", "/metrics").read().decode()
    return sum(
        map(float, re.findall(r"^vllm:num_requests_running\{.*\} (\S+)$", text, re.MULTILINE))
    )


def finishes(answer: http.client.HTTPResponse) -> bool:
    """Read an answer to where it ends, and tell whether that is its end."""
    try:
        return answer.read().endswith(b"data: [DONE]\n\n")
    except (http.client.IncompleteRead, ConnectionResetError):
        return False


def main() -> int:
    """Print what came as JSON."""
    process = subprocess.Popen(
        ["vllm", "serve", "/models/m", f"--port={PORT}", "--tensor-parallel-size=1"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "STAND_IN_LOADING_SECONDS": "8"},
    )
    assert process.stdout is not None
    process.stdout.readline()
    said: dict[str, object] = {"refused while it loads": refused()}
    await_health()
    said["idle"] = running()
    stream = complete(3).read().decode()
    said["events"] = [line.partition(" ")[2][:7] for line in stream.splitlines() if line]
    # what was answered counts a moment longer
    while running():
        time.sleep(0.05)
    cut = complete(1000)
    cut.readline()
    said["busy"] = running()
    process.terminate()
    said["finished"] = finishes(cut)
    said["exit code"] = process.wait(SECONDS)
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
