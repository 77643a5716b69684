"""Counters of NFS mounts read from real mountstats files (tests/data/nfs) and from damaged ones."""

from pathlib import Path

import pytest

from agent.host.mounts import parse_mountinfo
from agent.host.mountstats import parse_mountstats
from agent.host.paths import HostPaths
from agent.host.storage import LinuxStorage
from agent.nfs import AC_DEFAULTS, NfsMount, nfs_mount
from agent.nfs_stats import MountStats, Statistics, Transport, clients

DATA = Path(__file__).parents[3] / "data" / "nfs"
KERNELS = ("6.1", "6.12")
CASES = sorted(path.parent for path in DATA.glob("*/*/COMMAND"))
MODEL_BYTES = 48 << 20
EACH_KERNEL = pytest.mark.parametrize("kernel", KERNELS)


def recorded(kernel: str, case: str) -> Statistics:
    """Return one recorded case's counters."""
    return parse_mountstats((DATA / kernel / case / "mountstats").read_text())


def at(kernel: str, case: str, path: str = "/mnt/a") -> MountStats:
    """Return the counters of one mount point."""
    return recorded(kernel, case).by_path[path]


def test_all_cases_are_there() -> None:
    """35 cases on two kernels."""
    assert len(CASES) == 70


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_every_case_agrees_with_its_mountinfo(case: Path) -> None:
    """Every mount has counters, as many transports as nconnect= says, and the same options."""
    statistics = parse_mountstats((case / "mountstats").read_text())
    table = parse_mountinfo((case / "mountinfo").read_text())
    assert table.mounts
    assert table.problems == ()
    for mount in table.mounts:
        stats = statistics.of(mount)
        assert stats is not None
        assert len(stats.transports) == mount.nconnect
        assert stats.rest.calls > 0
        shown = nfs_mount(mount.device, mount.points, mount.fstype, ",".join(_flags(stats)))
        for name in AC_DEFAULTS:
            assert getattr(shown, f"{name}_seconds") == getattr(mount, f"{name}_seconds")
        assert (shown.rsize_bytes, shown.is_noac) == (mount.rsize_bytes, mount.is_noac)
        assert set(mount.mount_points) <= set(statistics.by_path)


def _flags(stats: MountStats) -> list[str]:
    return [f"{name}={value}" if value else name for name, value in stats.options.items()]


@EACH_KERNEL
def test_reads_of_both_names_are_summed(kernel: str) -> None:
    """6.12 counts READ_PLUS, 6.1 counts READ."""
    stats = at(kernel, "v42-nconnect8-second-plain")
    assert stats.read_bytes == 3 * MODEL_BYTES
    assert stats.reads.calls == 288
    assert stats.reads.received_bytes > stats.read_bytes
    assert 0 < stats.reads.round_trip_seconds < 60
    assert 0 < stats.reads.queue_seconds < 60


@EACH_KERNEL
def test_transports_are_counted_though_not_connected(kernel: str) -> None:
    """nconnect=16 has 16 slots, of which 6 were not needed yet."""
    transports = at(kernel, "v42-nconnect16").transports
    assert len(transports) == 16
    assert [transport.connects for transport in transports].count(0) == 6


@EACH_KERNEL
def test_a_lost_server_shows(kernel: str) -> None:
    """Sent and not answered."""
    transports = at(kernel, "server-down").transports
    sends = sum(transport.sends for transport in transports)
    assert sends > sum(transport.receives for transport in transports)
    assert max(transport.idle_seconds for transport in transports) > 0


@EACH_KERNEL
def test_a_path_with_a_space_is_found(kernel: str) -> None:
    """Escapes are resolved as in mountinfo."""
    assert at(kernel, "v42-space", "/mnt/sp ace").source == "10.77.0.1:/with space"


@EACH_KERNEL
def test_mounts_of_one_client_are_told(kernel: str) -> None:
    """Another version has transports of its own, another superblock has not."""
    case = DATA / kernel / "v42-plain-second-nconnect8-nosharecache"
    assert [len(each) for each in clients(_mounts(case)).values()] == [2]
    case = DATA / kernel / "v42-plain-second-v41-nconnect8"
    assert [len(each) for each in clients(_mounts(case)).values()] == [1, 1]


def _mounts(case: Path) -> tuple[NfsMount, ...]:
    return parse_mountinfo((case / "mountinfo").read_text()).mounts


HEAD = "device srv:/m mounted on /mnt with fstype nfs4 statvers=1.1\n"


def test_other_file_systems_are_left_out() -> None:
    """So is nfsd, and a head that makes no sense."""
    text = "device tmpfs mounted on /srv with fstype tmpfs\n\topts:\tnconnect=8\n"
    text += "no device mounted on /x with fstype nfs4\ndevice nfs4\n"
    text += "device nfsd mounted on /proc/fs/nfsd with fstype nfsd\n"
    text += r"device s:/\09 mounted on /mnt with fstype nfs4 statvers=1.1"
    assert parse_mountstats(text) == parse_mountstats("")


def test_damaged_lines_cost_only_themselves() -> None:
    """What cannot be read is as if it were not there."""
    text = HEAD + "\tage:\tx\n\tbytes:\t1 2\n\txprt:\ttcp 0 0 x\n\txprt:\n\tREAD: 1 2\n\tjunk\n"
    stats = parse_mountstats(text + "\tage:\t7\n").by_path["/mnt"]
    assert (stats.age_seconds, stats.transports, stats.operations) == (7, (), {})


def test_every_kind_of_transport_is_read() -> None:
    """UDP has no connection, RDMA begins as TCP does, and an unknown one is there all the same."""
    text = HEAD + "\txprt:\tudp 717 1 9 8 0 9 5 2 0 0\n\txprt:\trdma 0 1 2 0 3 9 8 0 9 5 4 4\n"
    text += "\txprt:\tlocal 1 2 0 3 9 8 0 9 5 2 0 0\n\txprt:\tvsock 1 2\n"
    assert parse_mountstats(text).by_path["/mnt"].transports == (
        Transport("udp", sends=9, receives=8, backlog=5),
        Transport("rdma", connects=2, idle_seconds=3, sends=9, receives=8, backlog=5),
        Transport("local", connects=2, idle_seconds=3, sends=9, receives=8, backlog=5),
        Transport("vsock"),
    )


def test_rows_of_older_kernels_have_no_errors() -> None:
    """Eight numbers instead of nine."""
    row = parse_mountstats(HEAD + "\t READ: 5 6 1 2 3000 40 50 60\n").by_path["/mnt"].reads
    assert (row.calls, row.transmissions, row.timeouts, row.errors) == (5, 6, 1, 0)
    assert (row.received_bytes, row.queue_seconds, row.round_trip_seconds) == (3000, 0.04, 0.05)


def test_counters_that_may_not_be_read_are_a_problem(tmp_path: Path) -> None:
    """Absence is a sentence, never an error."""
    statistics = LinuxStorage(HostPaths(mountstats=str(tmp_path / "none"))).stats()
    assert statistics.by_path == {}
    assert statistics.problem == f"cannot read {tmp_path / 'none'}: No such file or directory"


def test_counters_are_read_from_where_the_host_keeps_them(tmp_path: Path) -> None:
    """The path may be another one in a container."""
    (tmp_path / "stats").write_text(HEAD + "\tage:\t7\n")
    paths = HostPaths.from_environment({"TUNEGATE_MOUNTSTATS": str(tmp_path / "stats")})
    assert LinuxStorage(paths).stats().by_path["/mnt"].age_seconds == 7
