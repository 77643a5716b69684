"""
Gathers what there is to know of the NFS mounts that exist, and has it judged.

Costs nothing where nothing is mounted, as on a fresh node: what it needs is imported with the first
mount. It reads mountinfo (already in the host's state), mountstats and the socket list, never a
path of a mount: a server that is gone would hold the agent for ever.
"""

from collections.abc import Container

from agent.config import AgentConfig
from agent.ports import HostError, Prober, Server, Storage
from agent.state import Finding, HostState, Report
from agent.verdict import outcome_of
from common.record import replace

MOUNT_CHECKS = frozenset({"nconnect", "nfs"})
"""The checks whose findings come from here."""


class MountJudge:
    """Judges the NFS mounts of one node by its settings."""

    def __init__(self, config: AgentConfig, storage: Storage, prober: Prober) -> None:
        """Take the settings, where counters come from, and who lists connections."""
        self._config = config
        self._storage = storage
        self._prober = prober

    def findings(self, state: HostState) -> tuple[Finding, ...]:
        """Return what is to be said of the mounts that exist now."""
        if not state.mounts:
            return ()
        from agent.nfs_checks import Seen, judge  # noqa: PLC0415 - once there are mounts
        from agent.nfs_want import parse_exports, parse_want, wishes_for  # noqa: PLC0415 - as above

        want = parse_want(self._config.nfs_want)
        exports = parse_exports(self._config.nfs_exports)
        seen = Seen(
            state.mounts,
            self._storage.stats(),
            state.addresses,
            self._connected(state),
        )
        return judge(seen, lambda mount: wishes_for(mount, want, exports))

    def judged(self, state: HostState, report: Report) -> Report:
        """Return a report with what is to be said of the mounts now, last, for what was said."""
        kept = (item for item in report.findings if item.check not in MOUNT_CHECKS)
        findings = (*kept, *self.findings(state))
        return replace(report, findings=findings, outcome=outcome_of(findings))

    def _connected(self, state: HostState) -> Container[Server] | None:
        """Return the servers that this namespace has connections to, None when that is unknown."""
        servers = {(mount.server, mount.port) for mount in state.mounts if mount.server}
        try:
            listing = self._prober.connections(servers)
        except HostError:
            return None
        if listing.unlisted:
            return None
        return {(found.remote, found.remote_port) for found in listing.connections}
