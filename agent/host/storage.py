"""
What the kernel knows of its NFS clients beyond the mounts themselves; implements ports.Storage.

Loaded on the way to the open gate, where mostly nothing is mounted yet: what reads is imported by
the first that asks.
"""

from typing import TYPE_CHECKING

from agent.host.mounts import parse_mountinfo
from agent.host.paths import HostPaths, read_text
from agent.nfs import NfsMount

if TYPE_CHECKING:
    from agent.nfs_stats import Statistics


class LinuxStorage:
    """The NFS clients of this node, read from files that never wait for a server."""

    def __init__(self, paths: HostPaths) -> None:
        """Keep where to look."""
        self._paths = paths

    def mounts(self) -> tuple[NfsMount, ...]:
        """Return the NFS mounts that exist, none where mountinfo cannot be read."""
        try:
            return parse_mountinfo(read_text(self._paths.mountinfo)).mounts
        except OSError:
            return ()

    def stats(self) -> "Statistics":
        """Return mountstats, or why it cannot be read: it belongs to root."""
        from agent.host.mountstats import parse_mountstats  # noqa: PLC0415 - once there are mounts
        from agent.nfs_stats import Statistics  # noqa: PLC0415 - once there are mounts

        try:
            return parse_mountstats(read_text(self._paths.mountstats))
        except OSError as error:
            return Statistics(problem=f"cannot read {self._paths.mountstats}: {error.strerror}")
