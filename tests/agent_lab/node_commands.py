"""tunegate-agent's commands on a lab's node, and the values of the host that they write."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.netns import Namespace
from tests.lab.process import LabProcess

AGENT = str(Path(sys.executable).parent / "tunegate-agent")
SYSCTLS = (
    "net.core.rmem_max",
    "net.core.wmem_max",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv4.tcp_mtu_probing",
    "net.ipv4.tcp_window_scaling",
)


FRESH = {
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
    "net.ipv4.tcp_wmem": "4096 16384 4194304",
    "net.ipv4.tcp_mtu_probing": "0",
}
"""What a machine holds after its boot; a namespace inherits whatever this machine was given."""


class AgentNode:
    """One node with a state folder of its own, and its first values."""

    def __init__(self, namespace: Namespace, folder: Path) -> None:
        """Give the node the values of a fresh boot, and remember what there is."""
        self.namespace = namespace
        self.folder = folder
        self.state = folder / "state"
        self.environment = {
            "TUNEGATE_STATE_DIR": str(self.state),
            "TUNEGATE_STORAGE_MOUNTS": "false",
            "TUNEGATE_SERVER_PORT": "0",
        }
        for key, value in FRESH.items():
            namespace.set_sysctl(key, value)
        self.first = self.values()

    @property
    def journal(self) -> Path:
        """Return the journal's file."""
        return self.state / "journal.jsonl"

    def command(
        self, argv: Sequence[str], variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on the node with the agent's environment."""
        return self.namespace.run(argv, check=False, env={**self.environment, **(variables or {})})

    def agent(
        self, *arguments: str, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the agent's command line."""
        return self.command([AGENT, *arguments], variables)

    def revert(self) -> int:
        """Revert; return the exit code."""
        return self.agent("revert").returncode

    def spawn(
        self, name: str, argv: Sequence[str], variables: Mapping[str, str] | None = None
    ) -> LabProcess:
        """Start a program on the node with the agent's environment."""
        return self.namespace.spawn(name, argv, {**self.environment, **(variables or {})})

    def values(self) -> dict[str, str]:
        """Return all that the agent may write: sysctls and the MTU of each link."""
        paths = [f"/proc/sys/{key.replace('.', '/')}" for key in SYSCTLS]
        lines = self.namespace.run(["cat", *paths]).stdout.splitlines()
        found = {key: " ".join(line.split()) for key, line in zip(SYSCTLS, lines, strict=True)}
        links = json.loads(self.namespace.run(["ip", "-j", "link"]).stdout)
        return found | {link["ifname"]: str(link["mtu"]) for link in links}

    def restore(self) -> None:
        """Write the first values back without the agent."""
        now = self.values()
        for key in SYSCTLS:
            if now[key] != self.first[key]:
                self.namespace.set_sysctl(key, self.first[key])
