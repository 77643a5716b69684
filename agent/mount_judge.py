"""
Gathers what there is to know of the NFS mounts that exist, and has it judged.

Costs nothing where nothing is mounted, as on a fresh node: what it needs is imported with the first
mount. It reads mountinfo (already in the host's state), mountstats and the socket list, never a
path of a mount: a server that is gone would hold the agent for ever.
"""

from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING

from agent.config import AgentConfig
from agent.nfs import NfsMount
from agent.parallel import side_by_side
from agent.ports import Contact, HostError, Prober, Server, Storage, Volumes
from agent.state import Address, Endpoint, Finding, HostState, Reason, Report, Severity
from agent.verdict import outcome_of
from common.record import replace

if TYPE_CHECKING:
    from agent.nfs_want import Wish

MOUNT_CHECKS = frozenset({"nconnect", "nfs"})
"""The checks whose findings come from here."""


class MountJudge:
    """Judges the NFS mounts of one node by its settings."""

    def __init__(
        self,
        config: AgentConfig,
        storage: Storage,
        prober: Prober,
        volumes: Volumes | None = None,
    ) -> None:
        """Take the settings, where counters come from, who lists connections, the volumes."""
        self._config = config
        self._storage = storage
        self._prober = prober
        self._volumes = volumes if config.nfs_persistent_volumes else None
        self._services: dict[Address, str] = {}

    def ask(self, state: HostState, contacts: Mapping[Endpoint, Contact]) -> None:
        """Ask the servers of version 3 that answer for what a new mount needs; may take seconds."""
        answering = {each.address for each, contact in contacts.items() if contact.answered}
        servers = [server for server in answering if self._uses_version_3(server, state)]
        problems = side_by_side(self._prober.mount_service_problem, servers)
        self._services = dict(zip(servers, problems, strict=True))

    def _uses_version_3(self, server: Address, state: HostState) -> bool:
        if any(mount.server == server and mount.fstype == "nfs" for mount in state.mounts):
            return True
        if "vers" not in self._config.nfs_want:
            return False
        from agent.nfs_want import parse_want  # noqa: PLC0415 - where versions are wanted

        wish = parse_want(self._config.nfs_want)["vers"]
        return bool(
            wish and wish.accepts((3,)) and not wish.accepts((4, 1)) and not wish.accepts((4, 2))
        )

    def findings(self, state: HostState) -> tuple[Finding, ...]:
        """Return what is to be said of the mounts that exist now, and of new ones of version 3."""
        services = tuple(_unreachable(*item) for item in self._services.items() if item[1])
        return (*self._of_mounts(state), *services)

    def _of_mounts(self, state: HostState) -> tuple[Finding, ...]:
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
        asked, unread = self._asked(state.mounts)

        def wishes(mount: NfsMount) -> "Mapping[str, Wish]":
            return wishes_for(mount, want, exports, asked.get(mount.device, ()))

        return (*judge(seen, wishes), *unread)

    def _asked(
        self, mounts: Sequence[NfsMount]
    ) -> "tuple[Mapping[str, list[dict[str, Wish | None]]], tuple[Finding, ...]]":
        """Return what PersistentVolumes ask of the mounts by device, and why that is not known."""
        if self._volumes is None:
            return {}, ()
        from agent.volumes import names_of, wishes_of  # noqa: PLC0415 - off by default

        names = {name for mount in mounts for name in names_of(mount)}
        volumes, problem = self._volumes.known(names)
        asked = {
            mount.device: [wishes_of(volume) for volume in volumes.values() if volume.is_of(mount)]
            for mount in mounts
        }
        return asked, (_unread(problem),) if problem else ()

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


def _unread(problem: str) -> Finding:
    message = (
        f"what PersistentVolumes ask of their mounts is not known: {problem}; grant get on "
        "persistentvolumes, or set nfs.persistentVolumes to false"
    )
    return Finding("nfs", Severity.NOTE, Reason.NOT_CHECKABLE_HERE, "", message)


def _unreachable(server: Address, problem: str) -> Finding:
    message = (
        f"{server}: {problem}; NFSv3 mounts that exist go on, new ones will fail: open port 111 "
        "and mountd's port to this node, mount with mountport=, or use version 4"
    )
    return Finding("nfs", Severity.NOTE, Reason.MOUNT_SERVICE_UNREACHABLE, server, message)
