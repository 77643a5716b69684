"""What was read from each server: recorded mounts added up, and counts that only ever grow."""

from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from agent.connections import TcpConnection, TcpInfo
from agent.host.mounts import parse_mountinfo
from agent.host.mountstats import parse_mountstats
from agent.host.paths import HostPaths
from agent.host.storage import LinuxStorage
from agent.nfs_counters import NfsCounters
from agent.nfs_metrics import NfsCollector
from agent.nfs_stats import MountStats, Operations, Statistics, Transport
from agent.nfs_totals import (
    MAX_SERVERS,
    OTHER,
    READ,
    REST,
    Present,
    Reading,
    Totals,
    label,
    present,
    readings,
)
from agent.ports import HostError
from agent.state import Address
from tests.fake_network import FakeProber
from tests.fakes import FakeHost, FakeStorage, mounted

DATA = Path(__file__).parents[2] / "data" / "nfs"
MODEL_BYTES = 48 << 20
EACH_KERNEL = pytest.mark.parametrize("kernel", ["6.1", "6.12"])
SERVER = Address("10.1.0.10")


def connection(number: int, retransmits: int, rtt_seconds: float = 0.002) -> TcpConnection:
    """Return one connection to the server."""
    info = TcpInfo(
        has_timestamps=True,
        snd_mss_bytes=8948,
        rcv_mss_bytes=8948,
        pmtu_bytes=9000,
        rtt_seconds=rtt_seconds,
        advmss_bytes=8948,
        retransmits=retransmits,
        acked_bytes=1,
        received_bytes=1,
    )
    own = Address("10.1.0.5")
    return TcpConnection(2, own, 700 + number, SERVER, 2049, info, bytes([number]))


@EACH_KERNEL
def test_what_is_shared_is_counted_once(kernel: str) -> None:
    """Two exports on one superblock and one client: not twice the bytes, not 16 transports."""
    folder = DATA / kernel / "v42-nconnect8-second-plain"
    mounts = parse_mountinfo((folder / "mountinfo").read_text()).mounts
    statistics = parse_mountstats((folder / "mountstats").read_text())
    totals = Totals()
    totals.add(readings(mounts, statistics, ()))
    (counts,) = totals.sums.values()
    assert counts["nfs_read_bytes", ""] == 3 * MODEL_BYTES
    assert counts["nfs_operations", READ] == 288
    assert 0 < counts["nfs_operations", REST] < 288
    assert counts["nfs_round_trip_seconds", READ] > counts["nfs_round_trip_seconds", REST]
    assert counts["nfs_retransmissions", READ] == 0
    assert present(mounts, statistics, ()) == {"10.77.0.1": Present(8, 0, None)}


@EACH_KERNEL
def test_two_versions_are_two_clients_of_one_server(kernel: str) -> None:
    """One transport of 4.2 and eight of 4.1."""
    folder = DATA / kernel / "v42-plain-second-v41-nconnect8"
    mounts = parse_mountinfo((folder / "mountinfo").read_text()).mounts
    statistics = parse_mountstats((folder / "mountstats").read_text())
    assert present(mounts, statistics, ())["10.77.0.1"].transports == 9


def reading(key: str, read_bytes: float, server: str = "s") -> Reading:
    """Return one superblock's bytes."""
    return Reading(key, server, {("nfs_read_bytes", ""): read_bytes})


def test_a_sum_never_falls() -> None:
    """A mount that goes takes nothing away; one that comes under its name adds all it has."""
    totals = Totals()
    name = ("nfs_read_bytes", "")
    for seen, expected in (
        ([reading("0:50", 100), reading("0:51", 1)], 101),
        ([reading("0:50", 150)], 151),
        ([reading("0:50", 150), reading("0:51", 7)], 158),
        ([reading("0:50", 20)], 178),
        ([], 178),
    ):
        totals.add(seen)
        assert totals.sums["s"][name] == expected


def test_servers_have_a_bound() -> None:
    """A metric's label must not grow without end."""
    totals = Totals()
    totals.add(reading(f"0:{n}", 1, f"10.0.0.{n}") for n in range(MAX_SERVERS + 10))
    assert len(totals.sums) == MAX_SERVERS + 1
    assert totals.sums[OTHER]["nfs_read_bytes", ""] == 10
    many = [mounted(source=f"10.0.1.{n}:/m", device=f"0:{n}") for n in range(MAX_SERVERS + 10)]
    assert len(present(many, Statistics(), ())) == MAX_SERVERS


@pytest.mark.parametrize(
    ("address", "port", "shown"),
    [
        ("10.0.0.1", 2049, "10.0.0.1"),
        ("fd00::1", 2049, "fd00::1"),
        ("127.0.0.1", 20443, "127.0.0.1:20443"),
        ("fd00::1", 20443, "[fd00::1]:20443"),
    ],
)
def test_a_server_is_named_by_its_address(address: str, port: int, shown: str) -> None:
    """The port only where it tells two servers apart."""
    assert label(address, port) == shown


def scrape(storage: FakeStorage | LinuxStorage, prober: FakeProber) -> list[str]:
    """Return the samples of one scrape."""
    registry = CollectorRegistry()
    registry.register(NfsCollector(NfsCounters(storage, prober).read))
    lines = generate_latest(registry).decode().splitlines()
    return [
        line for line in lines if line.startswith("tunegate_agent_nfs") and "_created" not in line
    ]


def test_a_scrape_shows_each_server() -> None:
    """Mounts, calls and connections, each under its name."""
    rows = {
        "READ_PLUS": Operations(10, 12, 1, 5000, 0.5, 2.0),
        "GETATTR": Operations(3, 3, 0, 300, 0.25, 0.125),
    }
    transports = (Transport("tcp", backlog=4),) * 8
    stats = MountStats("/mnt/models", "10.1.0.10:/models", {}, 60, 4096, transports, rows)
    storage = FakeStorage(Statistics({"/mnt/models": stats}), (mounted(),))
    prober = FakeProber(FakeHost(), opened=[connection(1, 5), connection(2, 7, 0.004)])
    assert scrape(storage, prober) == [
        'tunegate_agent_nfs_read_bytes_total{server="10.1.0.10"} 4096.0',
        'tunegate_agent_nfs_backlog_total{server="10.1.0.10"} 32.0',
        'tunegate_agent_nfs_tcp_retransmits_total{server="10.1.0.10"} 12.0',
        'tunegate_agent_nfs_operations_total{operation="read",server="10.1.0.10"} 10.0',
        'tunegate_agent_nfs_operations_total{operation="other",server="10.1.0.10"} 3.0',
        'tunegate_agent_nfs_retransmissions_total{operation="read",server="10.1.0.10"} 2.0',
        'tunegate_agent_nfs_retransmissions_total{operation="other",server="10.1.0.10"} 0.0',
        'tunegate_agent_nfs_timeouts_total{operation="read",server="10.1.0.10"} 1.0',
        'tunegate_agent_nfs_timeouts_total{operation="other",server="10.1.0.10"} 0.0',
        'tunegate_agent_nfs_queue_seconds_total{operation="read",server="10.1.0.10"} 0.5',
        'tunegate_agent_nfs_queue_seconds_total{operation="other",server="10.1.0.10"} 0.25',
        'tunegate_agent_nfs_round_trip_seconds_total{operation="read",server="10.1.0.10"} 2.0',
        'tunegate_agent_nfs_round_trip_seconds_total{operation="other",server="10.1.0.10"} 0.125',
        'tunegate_agent_nfs_transports{server="10.1.0.10"} 8.0',
        'tunegate_agent_nfs_connections{server="10.1.0.10"} 2.0',
        'tunegate_agent_nfs_tcp_round_trip_seconds{server="10.1.0.10"} 0.003',
    ]


def test_connections_that_come_and_go_add_up() -> None:
    """A new connection begins at nothing, and the old one's count stays."""
    storage = FakeStorage(shown=(mounted(),))
    prober = FakeProber(FakeHost(), opened=[connection(1, 5)])
    counters = NfsCounters(storage, prober)
    counters.read()
    prober.opened = [connection(2, 1)]
    sums, now = counters.read()
    assert sums["10.1.0.10"]["nfs_tcp_retransmits", ""] == 6
    assert now["10.1.0.10"].connections == 1
    prober.cannot_list = HostError("connections", 2, "no module")
    sums, now = counters.read()
    assert sums["10.1.0.10"]["nfs_tcp_retransmits", ""] == 6
    assert now["10.1.0.10"] == Present(8, 0, None)


def test_a_node_without_mounts_reads_no_counters() -> None:
    """And serves no sample."""
    storage = FakeStorage()
    assert scrape(storage, FakeProber(FakeHost())) == []
    assert storage.reads == 0


def test_a_host_that_shows_nothing_serves_nothing(tmp_path: Path) -> None:
    """Neither file can be read: no sample, no error."""
    paths = replace(HostPaths(), mountinfo=str(tmp_path / "a"), mountstats=str(tmp_path / "b"))
    assert scrape(LinuxStorage(paths), FakeProber(FakeHost())) == []
