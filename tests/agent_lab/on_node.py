"""Nodes of the lab as the tests of whole commands use them, set back after each test."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.agent_lab.node_commands import AgentNode
from tests.lab.lab import Lab


@contextmanager
def on_node(lab: Lab, name: str, folder: Path) -> Iterator[AgentNode]:
    """Give a node with its first values; network and node are as new afterwards."""
    made = AgentNode(lab.nodes[name], folder)
    try:
        yield made
    finally:
        lab.world.restore()
        made.restore()


def answer(node: AgentNode, command: str, *arguments: str, exit_code: int) -> dict[str, Any]:
    """Run a command with JSON output, hold its exit code, and return the object."""
    done = node.agent(command, "--output", "json", *arguments)
    assert done.returncode == exit_code, done.stdout + done.stderr
    decoded: dict[str, Any] = json.loads(done.stdout)
    return decoded


def servers(*addresses: str) -> list[str]:
    """Return the arguments that name storage servers."""
    return [word for address in addresses for word in ("--endpoint", address)]


def reasons(report: dict[str, Any]) -> set[str]:
    """Return the reasons of all that is worse than a note."""
    return {item["reason"] for item in report["findings"] if item["severity"] != "note"}
