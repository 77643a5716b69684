"""A webhook as its Deployment runs it: the real process, over real TLS, on loopback."""

import json
import os
import select
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.pki import Authority

START_SECONDS = 60.0
END_SECONDS = 60.0
WAIT_SECONDS = 60.0
PREFIX = "TUNEGATE_WEBHOOK_"


@dataclass(slots=True)
class Webhook:
    """One running process."""

    popen: subprocess.Popen[bytes]
    port: int
    status_port: int
    log_path: Path
    context: ssl.SSLContext

    def ask(self, path: str) -> tuple[int, str]:
        """Return status and text of the plain port."""
        url = f"http://127.0.0.1:{self.status_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """Return one sample; 0 where there is none."""
        inner = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        wanted = f"{name}{{{inner}}} " if inner else f"{name} "
        lines = self.ask("/metrics")[1].splitlines()
        return sum(float(line[len(wanted) :]) for line in lines if line.startswith(wanted))

    def refused(self, reason: str) -> float:
        """Return how often something was refused for a reason."""
        return self.metric("tunegate_webhook_refused_total", reason=reason)

    def await_idle(self) -> None:
        """Wait until nothing is held: an answer is there a moment before it is forgotten."""
        await_that(lambda: self._held() == (0, 0), "nothing is held")

    def _held(self) -> tuple[float, float]:
        name = "tunegate_webhook_reviews_in_flight", "tunegate_webhook_held_bytes"
        return self.metric(name[0]), self.metric(name[1])

    def await_ending(self) -> None:
        """Wait until it has heard a signal, and says so."""
        await_that(lambda: self.ask("/readyz") == (503, "server: ends\n"), "it ends")

    @property
    def resident_kib(self) -> int:
        """Return its resident memory."""
        text = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0])

    def log(self) -> list[dict[str, Any]]:
        """Return what it logged."""
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]

    def signal(self) -> None:
        """Tell it to end."""
        self.popen.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Return its exit code; raises TimeoutExpired."""
        return self.popen.wait(END_SECONDS)


def await_that(is_so: Callable[[], bool], what: str) -> None:
    """Wait until something is so; raises AssertionError with `what`."""
    end = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)


@contextmanager
def running(
    folder: Path,
    settings: Mapping[str, object] | None = None,
    program: tuple[str, ...] = ("webhook", "run"),
) -> Iterator[Webhook]:
    """Run a webhook with these settings (names of variables) until the context ends."""
    authority = Authority.create(folder / "pki")
    pair = authority.server("webhook", ["localhost", "127.0.0.1"])
    chosen: dict[str, object] = {
        "SERVER_ADDRESS": "127.0.0.1",
        "SERVER_PORT": 0,
        "STATUS_ADDRESS": "127.0.0.1",
        "STATUS_PORT": 0,
        "TLS_CERTIFICATE_FILE": pair.certificate,
        "TLS_KEY_FILE": pair.key,
        "DRAIN_PROPAGATION_SECONDS": 0,
        "DRAIN_STOP_SECONDS": 30,
        **(settings or {}),
    }
    inherited = {key: value for key, value in os.environ.items() if "TUNEGATE" not in key}
    environment = inherited | {f"{PREFIX}{key}": str(value) for key, value in chosen.items()}
    log_path, output = folder / "webhook.log", folder / "webhook.out"
    with log_path.open("wb") as log, output.open("wb") as out:
        argv = [sys.executable, "-m", *program]
        popen = subprocess.Popen(argv, env=environment, stderr=log, stdout=out)
    try:
        port, status_port = _ports(popen, log_path)
        context = ssl.create_default_context(cafile=authority.file)
        yield Webhook(popen, port, status_port, log_path, context)
    finally:
        popen.kill()
        popen.wait()


def _ports(popen: subprocess.Popen[bytes], log_path: Path) -> tuple[int, int]:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and popen.poll() is None:
        for line in log_path.read_text().splitlines():
            if '"Listening"' in line:
                told = json.loads(line)
                return told["port"], told["statusPort"]
        select.select([], [], [], 0.02)
    raise AssertionError(f"the webhook did not start: {log_path.read_text()}")
