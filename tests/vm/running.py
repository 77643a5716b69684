"""``tunegate-agent run`` in the guest, its API server never there: started, read, ended."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.lab import pki
from tests.vm.channel import Run
from tests.vm.guest import Guest
from tests.vm.storage import ENDPOINT

WAIT_SECONDS = 60.0
POLL_SECONDS = 0.05
STATE = "/run/tunegate"
_PLACES: Mapping[str, str] = {
    "TUNEGATE_TOKEN_FILE": "/run/api-token",
    "TUNEGATE_CA_FILE": "/run/api-ca.crt",
}


@dataclass(frozen=True, slots=True)
class Agent:
    """A running agent and the lines that it logged."""

    run: Run

    def lines(self) -> list[dict[str, object]]:
        """Return the whole lines so far."""
        return [json.loads(line) for line in self.run.output().rpartition("\n")[0].splitlines()]

    def said(self, message: str, **fields: object) -> list[dict[str, object]]:
        """Return the lines with this message and these fields."""
        lines = [line for line in self.lines() if line["message"] == message]
        return [line for line in lines if fields.items() <= line.items()]

    def await_line(self, message: str, **fields: object) -> dict[str, object]:
        """Wait for a line; return the last such one."""
        return self.await_lines(1, message, **fields)[-1]

    def await_lines(self, least: int, message: str, **fields: object) -> list[dict[str, object]]:
        """Wait until there are so many lines; what is done is logged after it is done."""
        deadline = time.monotonic() + WAIT_SECONDS
        while len(found := self.said(message, **fields)) < least:
            assert time.monotonic() < deadline, self.run.output()
            assert self.run.is_running, self.run.wait()
            time.sleep(POLL_SECONDS)
        return found


@contextmanager
def running(guest: Guest, **variables: str) -> Iterator[Agent]:
    """Give an agent that has judged its node; it ends with the block, and the host stays tuned."""
    _remember_node(guest)
    environment = {
        **ENDPOINT,
        **_PLACES,
        "TUNEGATE_NODE_NAME": "guest",
        "TUNEGATE_API_SERVER": "https://127.0.0.1:1",
        "TUNEGATE_SERVER_PORT": "0",
        **variables,
    }
    script = "exec python3 -m agent run 2>&1"  # its log is what a test waits for
    agent = Agent(guest.background(["sh", "-c", script], env=environment))
    try:
        agent.await_line("Judged the node")
        yield agent
    finally:
        if agent.run.is_running:
            agent.run.stop()


def _remember_node(guest: Guest) -> None:
    """Leave what an agent of this boot learned while there was an API server: tune."""
    with TemporaryDirectory() as folder:
        authority = pki.Authority.create(Path(folder))
        guest.put(_PLACES["TUNEGATE_CA_FILE"], authority.file.read_bytes())
    guest.put(_PLACES["TUNEGATE_TOKEN_FILE"], b"a-token")
    boot = guest.read("/proc/sys/kernel/random/boot_id")
    known = {"boot": boot, "labels": {}, "providerID": ""}
    guest.run(["mkdir", "-p", STATE])
    guest.put(f"{STATE}/node.json", json.dumps(known).encode())
