"""The metrics of storage servers, made at each scrape from what the kernel has counted."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from agent.nfs_totals import READ, REST, Name, Present
from common.names import AGENT_METRIC_PREFIX

Read = Callable[[], tuple[dict[str, dict[Name, float]], dict[str, Present]]]

BY_SERVER = {
    "nfs_read_bytes": "Bytes fetched from the server; page cache hits are not in it.",
    "nfs_backlog": "Calls found waiting for a free slot, added up at each call sent.",
    "nfs_tcp_retransmits": "TCP segments that this node sent again.",
}
BY_OPERATION = {
    "nfs_operations": "Calls to the server.",
    "nfs_retransmissions": "Calls sent again because no answer came.",
    "nfs_timeouts": "Calls of which all repeats went unanswered.",
    "nfs_queue_seconds": "Time that calls waited in this node before they were sent.",
    "nfs_round_trip_seconds": "Time from sending a call to the server's answer.",
}


class NfsCollector(Collector):
    """Turns what is read of the NFS clients into metric families."""

    def __init__(self, read: Read) -> None:
        """Read by this at each scrape."""
        self._read = read

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: to register must not read the host."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        sums, now = self._read()
        for name, text in BY_SERVER.items():
            family = _counter(name, text, ("server",))
            for server, counts in sorted(sums.items()):
                if (name, "") in counts:
                    family.add_metric((server,), counts[name, ""])
            yield family
        for name, text in BY_OPERATION.items():
            family = _counter(name, text, ("server", "operation"))
            for server, counts in sorted(sums.items()):
                for operation in (READ, REST):
                    if (name, operation) in counts:
                        family.add_metric((server, operation), counts[name, operation])
            yield family
        yield from _present(now)


def _present(now: dict[str, Present]) -> Iterator[Metric]:
    transports = _gauge("nfs_transports", "Connections that mounts of the server may use.")
    connections = _gauge("nfs_connections", "Established connections from the node's namespace.")
    times = _gauge("nfs_tcp_round_trip_seconds", "TCP's own round-trip time, mean of connections.")
    for server, found in sorted(now.items()):
        transports.add_metric((server,), found.transports)
        connections.add_metric((server,), found.connections)
        if found.round_trip_seconds is not None:
            times.add_metric((server,), found.round_trip_seconds)
    yield from (transports, connections, times)


def _counter(name: str, text: str, labels: tuple[str, ...]) -> CounterMetricFamily:
    return CounterMetricFamily(f"{AGENT_METRIC_PREFIX}_{name}", text, labels=labels)


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{AGENT_METRIC_PREFIX}_{name}", text, labels=("server",))
