"""
The settings in force: those of the file as it was last read well, for the node as it is known.

An invalid new file and a file that is gone keep the old settings and say so; what belongs to the
process (its server, its log, its node) is said to need a restart.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.config import AgentConfig
from agent.facts import NodeFacts
from agent.schema import SETTINGS
from agent.state import Finding, Reason, Severity
from common.parse import ConfigError
from common.record import replace

if TYPE_CHECKING:
    from agent.profiles import Chosen

STAY = "the settings read last stay in use"
UNTIL_RESTART = ("server.address", "server.port", "log.format", "node.name")
"""The settings that a running process does not take up."""


class Settings:
    """What the loop tunes by; it asks to have the file read again and tells what the Node says."""

    def __init__(
        self,
        config: AgentConfig,
        read: Callable[[], AgentConfig] | None = None,
        machine_cloud: Callable[[], str] | None = None,
    ) -> None:
        """
        Begin with these settings and an unknown node.

        Args:
            config: what the file says at the start.
            read: read it again; raises ConfigError. None: the settings are for ever.
            machine_cloud: what the firmware says of the cloud, for a node without a provider ID.
        """
        self._started = config
        self._base = config
        self._read = read
        self._machine_cloud = machine_cloud
        self._facts = NodeFacts()
        self._unread = self._refused = ""
        self.config = config
        self._choose()

    @property
    def why(self) -> str:
        """Return why the node has this profile."""
        return self._chosen().why if self.asks else "nothing depends on the node"

    def _chosen(self) -> "Chosen":
        from agent.profiles import choose  # noqa: PLC0415 - only profiles and auto need a choice

        return choose(self._base, self._facts)

    @property
    def problem(self) -> str:
        """Return why the file as it is now is not used, "" while it is."""
        return self._unread or self._refused

    @property
    def asks(self) -> bool:
        """Return whether the node decides the settings, so that it must be known first."""
        return bool(self._base.profiles) or self._base.is_auto

    def know(self, facts: NodeFacts | None) -> None:
        """Choose by what the Node says; None: what it said before stands."""
        if facts is None or not self.asks:
            return
        if not facts.provider_id and self._machine_cloud:
            facts = replace(facts, machine_cloud=self._machine_cloud())
        if facts != self._facts:
            self._facts = facts
            self._choose()

    def read_again(self) -> None:
        """Take up the file as it is now, or note why it cannot be used."""
        if self._read is None:
            return
        try:
            fresh = self._read()
        except ConfigError as error:
            self._unread = "; ".join(error.errors)
            return
        self._unread = ""
        if fresh != self._base:
            self._base = fresh
            self._choose()

    def refuse(self, problem: str, config: AgentConfig) -> None:
        """Note that the host does not take these settings, so that the others stay in force."""
        self._refused = problem
        self.config = config

    def _choose(self) -> None:
        self._refused = ""
        self.config = self._chosen().config if self.asks else self._base

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return a note for a file that is not used, and one for what needs a restart."""
        found = []
        if self.problem:
            message = f"the configuration cannot be used: {self.problem}; {STAY}"
            found.append(_note(Reason.SETTINGS_INVALID, message))
        if changed := self._process_changes():
            message = f"{', '.join(changed)} changed in the configuration: it needs a restart"
            found.append(_note(Reason.SETTINGS_NEED_RESTART, message))
        return tuple(found)

    def _process_changes(self) -> list[str]:
        """Return what of the process differs from what it was started with."""
        return [
            item.path
            for item in SETTINGS
            if item.path in UNTIL_RESTART
            and getattr(self._base, item.attribute) != getattr(self._started, item.attribute)
        ]


def _note(reason: Reason, message: str) -> Finding:
    return Finding("settings", Severity.NOTE, reason, "configuration", message)
