"""``tunegate-agent run`` on a lab's node, its API server never there: started, read, ended."""

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.agent_lab.node_commands import AGENT, AgentNode
from tests.lab import pki
from tests.lab.lab import Lab
from tests.lab.process import LabProcess
from tests.lab.router import Router

STORAGE = "10.71.0.2"
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.02


@dataclass(slots=True)
class Agent:
    """One process of ``run`` and what it logged."""

    process: LabProcess

    def lines(self) -> list[dict[str, object]]:
        """Return the whole lines that it logged so far."""
        whole = self.process.log_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def said(self, message: str, **fields: object) -> list[dict[str, object]]:
        """Return the lines with this message and these fields."""
        lines = [line for line in self.lines() if line["message"] == message]
        return [line for line in lines if fields.items() <= line.items()]

    def await_line(self, message: str, **fields: object) -> dict[str, object]:
        """Wait for a line; return the last such one."""
        await_(lambda: bool(self.said(message, **fields)), self.process.log_text)
        return self.said(message, **fields)[-1]

    def count_before(self, message: str, later: str, nth: int = 1) -> int:
        """Return how many lines with a message stand before the nth line with the later one."""
        messages = [line["message"] for line in self.lines()]
        places = [place for place, said in enumerate(messages) if said == later]
        return messages[: places[nth - 1]].count(message)

    def end(self) -> int:
        """Send SIGTERM; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_SECONDS)


@dataclass(slots=True)
class Watched:
    """A node on which agents run."""

    node: AgentNode
    router: Router
    count: int = 0
    agents: list[Agent] = field(default_factory=list)

    def run(
        self,
        variables: Mapping[str, str] | None = None,
        *,
        tuned: bool = True,
        program: Sequence[str] = (AGENT,),
        options: Sequence[str] = ("--endpoint", STORAGE),
    ) -> Agent:
        """Start an agent; wait until it says that the node is tuned, where that is expected."""
        self.count += 1
        self.remember_node()
        process = self.node.spawn(
            f"agent-{self.node.folder.name}-{self.count}",
            [*program, "run", *options],
            {**self.credentials(), **(variables or {})},
        )
        agent = Agent(process)
        self.agents.append(agent)
        if tuned:
            agent.await_line("Judged the node", outcome="tuned")
        return agent

    def credentials(self) -> dict[str, str]:
        """Return what run needs, for an API server that nobody answers for."""
        folder = self.node.folder
        (folder / "token").write_text("a-token")
        authority = folder / "authority"
        if not authority.exists():
            authority.mkdir()
            pki.Authority.create(authority)
        return {
            "TUNEGATE_NODE_NAME": "gpu-0",
            "TUNEGATE_API_SERVER": "https://10.60.0.10:1",
            "TUNEGATE_TOKEN_FILE": str(folder / "token"),
            "TUNEGATE_CA_FILE": str(authority / "ca.crt"),
        }

    def remember_node(self) -> None:
        """Leave what an agent of this boot learned while there was an API server: tune."""
        self.node.state.mkdir(parents=True, exist_ok=True)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        known = {"boot": boot, "labels": {}, "providerID": ""}
        (self.node.state / "node.json").write_text(json.dumps(known))

    def await_value(self, name: str, value: str) -> None:
        """Wait until a link has this MTU or a sysctl this value."""
        await_(lambda: self.node.values()[name] == value, lambda: f"{self.node.values()}")


def await_(is_so: Callable[[], bool], tell: Callable[[], str]) -> None:
    """Wait until it is so; raises AssertionError with what is told then."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, tell()
        time.sleep(POLL_SECONDS)


@contextmanager
def watching(lab: Lab, folder: Path) -> Iterator[Watched]:
    """Give the GPU node with its first values; agents end and all is set back after the block."""
    world = lab.world
    made = Watched(AgentNode(world.gpu, folder), world.router)
    try:
        yield made
    finally:
        for agent in made.agents:
            if agent.process.poll() is None:
                agent.process.kill()
        world.restore()
        made.node.restore()
