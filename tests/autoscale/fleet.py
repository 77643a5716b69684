"""
Agents of many nodes in one process: each with its own connections, through the agent's own code.

Only the host's side is left out: every one has the verdict `tuned` as soon as it is asked. What
goes to the API server is what a hundred DaemonSet pods would send.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from agent.cluster.client import ClusterClient
from agent.cluster.credentials import from_environment
from agent.cluster.gate import Published
from agent.node import Wanted
from agent.reporter import Reporter
from agent.state import LinkName, Outcome
from common.telemetry import Log
from tests.lab.netns import Namespace

_BOOT = "5f1c3b7e-2f0a-4c4e-9d3b-0a1b2c3d4e5f"
_PATIENCE_SECONDS = 60.0  # an agent has a node's processors for itself; these share two
_TUNED = Wanted(
    outcome=Outcome.TUNED,
    reason="Tuned",
    message="eth1 has MTU 9000; full-size packets pass to 10.71.0.2",
    boot_id=_BOOT,
    profile_hash="burst",
    link_mtus={LinkName("eth1"): 9000},
    open_gate=True,
)


@dataclass(slots=True)
class Fleet:
    """
    Joins nodes from inside one host's namespace.

    ``seconds`` has how long each node's gate took, ``openings`` how often it was opened.
    """

    host: Namespace
    environment: Mapping[str, str]
    seconds: dict[str, float] = field(default_factory=dict)
    openings: Counter[str] = field(default_factory=Counter)
    _reporters: dict[str, Reporter] = field(default_factory=dict)

    def join(self, node: str) -> None:
        """Start to report on a Node, as an agent does that has just begun."""
        began = time.monotonic()
        client = ClusterClient(
            from_environment(self.environment), timeout_seconds=_PATIENCE_SECONDS
        )
        with self.host.entered():  # a thread is born in its maker's namespace
            reporter = Reporter(
                client, node, _TUNED, Log(), self._noted(node, began), lambda _: None
            )
        reporter.want(_TUNED)
        self._reporters[node] = reporter

    def _noted(self, node: str, began: float) -> Callable[[Published, Wanted], None]:
        def note(done: Published, _wanted: Wanted) -> None:
            if done.opened:
                self.openings[node] += len(done.opened)
                self.seconds.setdefault(node, time.monotonic() - began)

        return note

    def __contains__(self, node: str) -> bool:
        """Return whether this node has joined."""
        return node in self._reporters

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every reporter."""
        for reporter in self._reporters.values():
            reporter.close()
