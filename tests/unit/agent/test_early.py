"""Judging connections: the recorded ones of two kernels, and each rule at its edge."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.connections import TcpConnection
from agent.early import (
    BULK_BYTES,
    SEEN_BYTES,
    Served,
    arrived_bytes,
    is_clamped,
    is_early,
    is_early_for_writes,
    serve,
    shown,
)
from agent.host.mounts import parse_mountinfo
from agent.state import ARPHRD_ETHER, Address, Endpoint, Link, LinkName, Proof, Reason, Verdict
from tests.fakes import mounted
from tests.unit.agent.sockets import opened, read

RECORDED = Path("tests/data/nfs")
CASES = sorted(path.parent for path in RECORDED.glob("*/*/pyroute2_diag.txt"))
EARLY_CASES = {"mss-2-raised", "mss-3-remount", "mss-4-remount-while-shared", "v3-mss-locked"}
SERVER = "10.1.0.10"
MIB = 1 << 20


def proof(mtu: int, server: str = SERVER, **details: object) -> Proof:
    """Return a proof that this size passes both ways; details replace."""
    endpoint = Endpoint(server, Address(server), 2049, "mount /mnt/models")
    passed = Proof(endpoint, Verdict.PASSED, mtu, mtu, mtu, "icmp", Reason.TUNED)
    return replace(passed, **details)  # type: ignore[arg-type]  # fields of Proof


def link(mtu: int) -> Link:
    """Return a storage link with this MTU."""
    return Link(2, LinkName("eth1"), "", ARPHRD_ETHER, mtu, 68, None, is_up=True)


def recorded(case: Path) -> Iterator[TcpConnection]:
    """Yield a case's connections; all of them had timestamps, the kernel's default."""
    for line in (case / "pyroute2_diag.txt").read_text().splitlines():
        fields = ast.literal_eval(line)
        yield opened(
            fields["dst"],
            snd_mss_bytes=fields["mss"],
            advmss_bytes=fields["advmss"],
            rcv_mss_bytes=fields["rcvmss"],
            pmtu_bytes=fields["pmtu"],
            received_bytes=fields["rx"],
            received_ago_seconds=0.2,
        )


def served(case: Path) -> Served:
    """Return a case's server as the agent would, at the MTU that the link had then."""
    connections = tuple(recorded(case))
    mtu = max((item.info.pmtu_bytes for item in connections), default=9000)
    mounts = parse_mountinfo((case / "mountinfo").read_text()).mounts
    server = connections[0].remote if connections else mounts[0].server
    return serve(proof(mtu, server), link(mtu), None, connections, mounts)


def test_all_recorded_cases_are_there() -> None:
    """A folder that lost its files would make the next tests true of nothing."""
    assert len(CASES) == 70


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_recorded_connections_are_judged_right(case: Path) -> None:
    """Early are those of mounts made before the MTU was raised, and none else."""
    found = served(case)
    assert len(found.early) == (len(found.connections) if case.name in EARLY_CASES else 0)
    assert found.mounts
    assert (found.early_for_writes, found.clamped, found.doubt) == ((), (), "")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_recorded_reads_show_what_arrives(case: Path) -> None:
    """A connection that read a file at 9000 proves the way back; a fresh one, or a small, not."""
    connections = tuple(recorded(case))
    has_read = any(item.info.received_bytes > MIB for item in connections)
    is_large = any(item.info.rcv_mss_bytes > 1448 for item in connections)
    assert (arrived_bytes(connections) == 9000) is (has_read and is_large)


@pytest.mark.parametrize(("server", "overhead"), [(SERVER, 40), ("fd01::10", 60)])
@pytest.mark.parametrize("has_timestamps", [True, False])
def test_slack_and_headers_are_counted(server: str, overhead: int, *, has_timestamps: bool) -> None:
    """A hundred bytes are not worth a new connection, one more is; whichever the options."""
    for missing, expected in ((100, False), (101, True)):
        announced = 9000 - overhead - missing
        advmss = announced - 12 * has_timestamps
        connection = opened(server, advmss_bytes=advmss, has_timestamps=has_timestamps)
        assert is_early(connection, 9000) is expected


def test_writes_are_judged_by_what_the_path_lets_out() -> None:
    """A learned path MTU is no announcement of the server's, nor is MTU probing's small start."""
    assert is_early_for_writes(opened(mtu=9000, peer_mtu=1500), 9000)
    assert not is_early_for_writes(opened(mtu=9000, peer_mtu=1500, pmtu_bytes=1500), 9000)
    assert not is_early_for_writes(opened(mtu=9000, snd_mss_bytes=1012), 9000)
    assert not is_early_for_writes(opened(mtu=9000), 9000)


@pytest.mark.parametrize(
    ("size", "packet", "segments", "expected"),
    [
        (18879240, 1500, 13073, True),  # as mss-2-raised, but for what was announced
        (18879240, 9000, 2200, False),
        (BULK_BYTES - 1, 1500, 11586, False),
        (BULK_BYTES, 1500, 40000, False),  # many small replies, one of them large
        (BULK_BYTES, 1500, 0, False),  # a kernel that does not count segments
    ],
)
def test_bulk_in_small_segments_is_clamped(
    size: int, packet: int, segments: int, *, expected: bool
) -> None:
    """Only much data in nothing but full segments shows a bound; small files have small ones."""
    connection = opened(
        mtu=9000,
        received_bytes=size,
        rcv_mss_bytes=packet - 52,
        received_segments=segments,
    )
    assert is_clamped(connection, 9000) is expected


def test_a_server_that_grew_since_is_not_taken_for_a_clamp() -> None:
    """Its data may have come when it could send no larger segments; only writes are bounded now."""
    old = read(opened(mtu=9000, peer_mtu=1500), 100 * MIB, 1500)
    found = serve(proof(9000), link(9000), None, [old], [mounted()])
    assert (found.early, found.early_for_writes, found.clamped) == ((), (old,), ())


@pytest.mark.parametrize(
    "details",
    [
        {"received_bytes": SEEN_BYTES - 1},
        {"received_ago_seconds": 61.0},
        {"rcv_mss_bytes": 1448},
    ],
)
def test_little_old_or_small_data_proves_nothing(details: dict[str, float]) -> None:
    """Rcvmss begins at 536 and stays what it was while nothing comes."""
    good = read(opened(mtu=9000), MIB, 9000)
    assert arrived_bytes([good]) == 9000
    assert arrived_bytes([replace(good, info=replace(good.info, **details))]) == 0  # type: ignore[arg-type]  # fields of TcpInfo


def test_only_the_servers_own_data_shows_its_way_back() -> None:
    """And only packets as large as those that pass on the way there."""
    unproven = proof(9000, way_back="unproven")
    assert shown(unproven, [read(opened("10.1.0.11", 9000), MIB, 9000)]) is unproven
    assert shown(unproven, [read(opened(mtu=4000), MIB, 4000)]) is unproven
    by_reads = shown(unproven, [read(opened(mtu=9000), MIB, 9000)])
    assert by_reads.way_back == "reads"
    assert "9000 bytes" in by_reads.signs[-1]
    assert shown(proof(9000), [read(opened(mtu=9000), MIB, 9000)]) == proof(9000)


@pytest.mark.parametrize(
    ("details", "doubt"),
    [
        ({}, ""),
        ({"way_back": "unproven"}, "could not be shown"),
        ({"wanted_bytes": 4000}, "not proven"),
        ({"verdict": Verdict.INCONCLUSIVE}, "not proven"),
        ({"verdict": Verdict.SMALLER, "reason": Reason.BLACK_HOLE}, "do not pass"),
        ({"verdict": Verdict.SMALLER, "reason": Reason.SERVER_BELOW_TARGET}, ""),
    ],
)
def test_doubt_says_why_the_full_size_is_not_proven(details: dict[str, object], doubt: str) -> None:
    """An end of the path that is small is no doubt: nothing larger is sent to it."""
    found = serve(proof(9000, SERVER, **details), link(9000), None, [opened()], [mounted()])
    assert doubt in found.doubt
    assert bool(found.doubt) is bool(doubt)


def test_mounts_of_other_servers_ports_and_protocols_do_not_count() -> None:
    """A connection belongs to who is mounted from its very far end, over TCP."""
    others = (
        mounted(source="10.1.0.11:/models"),
        mounted(options="vers=4.2,hard,proto=tcp,port=2050"),
        mounted(options="vers=4.2,hard,proto=rdma"),
    )
    mine = mounted(options="vers=3,hard,proto=tcp")
    found = serve(proof(9000), link(9000), None, [opened()], (*others, mine))
    assert found.mounts == (mine,)
