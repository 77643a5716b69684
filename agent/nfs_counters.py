"""Reads what this node's NFS clients have counted, at each scrape; never waits for a server."""

import threading

from agent.connections import TcpConnection
from agent.nfs_stats import Statistics
from agent.nfs_totals import Name, Present, Totals, present, readings
from agent.ports import HostError, Prober, Server, Storage


class NfsCounters:
    """The counts by storage server, since this process began to look."""

    def __init__(self, storage: Storage, prober: Prober) -> None:
        """Take where mounts and counters come from, and who lists connections."""
        self._storage = storage
        self._prober = prober
        self._totals = Totals()
        self._lock = threading.Lock()  # two scrapes may come at once

    def read(self) -> tuple[dict[str, dict[Name, float]], dict[str, Present]]:
        """Return, by server, what was counted so far and how it is reached now."""
        with self._lock:
            mounts = self._storage.mounts()
            statistics = self._storage.stats() if mounts else Statistics()
            servers = {(mount.server, mount.port) for mount in mounts if mount.server}
            connections = self._connections(servers)
            self._totals.add(readings(mounts, statistics, connections))
            sums = {server: dict(counts) for server, counts in self._totals.sums.items()}
            return sums, present(mounts, statistics, connections)

    def _connections(self, servers: set[Server]) -> tuple[TcpConnection, ...]:
        try:
            return self._prober.connections(servers).connections if servers else ()
        except HostError:
            return ()
