"""What runs amount to, what is warned of, what a comparison shows."""

import json
import re
from typing import Any

import pytest

from agent.bench.cautions import comparison_notes, warnings_of
from agent.bench.near_pods import pods_of, reasons_to_wait
from agent.bench.results import (
    Mode,
    Result,
    Row,
    Run,
    Settings,
    from_object,
    offsets,
    share_bytes,
    to_object,
)
from agent.bench.show import bench_json, bench_text, progress_line, ratios
from common.record import replace
from tests.fakes import mounted

MIB, GIB = 1 << 20, 1 << 30
NFS = Settings(
    kernel="6.12.111",
    filesystem="nfs",
    server="10.0.0.5",
    version="4.2",
    nconnect=1,
    rsize_bytes=MIB,
    read_ahead_kib=128,
    link="eth1",
    mtu_bytes=1500,
    tcp_rmem="4096 131072 6291456",
    tcp_wmem="4096 16384 4194304",
)
TUNED = replace(NFS, mtu_bytes=9000, read_ahead_kib=15360, tcp_rmem="4096 131072 16777216")


def run(rate: float, offset: int = 0, **changes: Any) -> Run:  # noqa: ANN401 - fields of Run
    """Return a run of two seconds at this many MB/s."""
    return replace(Run(offset, int(rate * 2e6), 2.0), **changes)


def row(mode: Mode, *rates: float) -> Row:
    """Return a row of runs over parts of their own."""
    return Row(mode, tuple(run(rate, index * GIB) for index, rate in enumerate(rates)))


def result(settings: Settings = NFS, *rows: Row, target: str = "/mnt/models/w.bin") -> Result:
    """Return a result of these rows."""
    return Result(target, 140 * GIB, settings, rows, warnings_of(settings, rows))


def test_median_and_spread_come_from_the_runs() -> None:
    """Not the mean: one slow run does not decide."""
    measured = row(Mode.READ, 400.0, 10.0, 420.0)
    assert (measured.median, measured.lowest, measured.highest) == (400.0, 10.0, 420.0)
    assert Row(Mode.READ).median == 0.0


@pytest.mark.parametrize(
    ("size", "number", "share"),
    [
        (140 * GIB, 9, GIB),
        (5 * GIB, 9, 568 * MIB),
        (9 * 64 * MIB, 9, 64 * MIB),
        (GIB // 4, 9, GIB // 4),
    ],
)
def test_each_run_has_a_part_of_its_own_where_the_file_is_large_enough(
    size: int, number: int, share: int
) -> None:
    """At most what was asked for; a small file is read whole each time."""
    assert share_bytes(size, GIB, number) == share
    starts = offsets(size, share, number)
    assert len(starts) == number
    assert len(set(starts)) == (1 if share == size else number)
    assert max(starts) + share <= size


def test_nothing_is_claimed_of_the_server() -> None:
    """That sentence stands always, and alone where all was well."""
    (sentence,) = warnings_of(NFS, [row(Mode.READ, 400.0, 410.0, 405.0)])
    assert sentence.startswith("the server's own cache")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cached_share": 0.4}, "40% of what was read stood in this node's page cache"),
        ({"seconds": 0.1}, "took less than 0.5 s"),
        ({"cpu_seconds": 1.95}, "short of CPU (read)"),
        ({"received_bytes": 1_600_000_000}, "2.0 times what was read here"),
    ],
)
def test_what_spoils_a_figure_is_told(changes: dict[str, Any], words: str) -> None:
    """Each with its measure."""
    told = warnings_of(NFS, [Row(Mode.READ, (run(400.0, **changes),))])
    assert any(words in sentence for sentence in told)


def test_one_run_shows_no_spread() -> None:
    """Nor do two."""
    assert any("fewer than 3 runs" in text for text in warnings_of(NFS, [row(Mode.READ, 1.0, 2.0)]))


def test_a_part_that_is_read_again_is_told() -> None:
    """It may come from the server's memory; so is a file on no NFS."""
    again = [Row(Mode.READ, (run(1.0), run(2.0)))]
    assert any("too small for a part of its own" in text for text in warnings_of(NFS, again))
    local = replace(NFS, filesystem="other")
    assert any("not on NFS" in text for text in warnings_of(local, [row(Mode.READ, 1.0)]))


def test_the_page_cache_does_not_matter_to_direct_reads() -> None:
    """They go past it."""
    rows = [Row(Mode.DIRECT, (run(400.0, cached_share=1.0),))]
    assert not any("page cache" in sentence for sentence in warnings_of(NFS, rows))


def test_ratios_are_of_medians() -> None:
    """Only for what both measured."""
    before = result(NFS, row(Mode.READ, 100.0), row(Mode.DIRECT, 50.0))
    after = result(TUNED, row(Mode.READ, 250.0), row(Mode.MMAP, 200.0))
    assert ratios(before, after) == {Mode.READ: 2.5}


def test_overlapping_runs_show_no_difference() -> None:
    """Nor does another file."""
    before = result(NFS, row(Mode.READ, 100.0, 200.0), target="/mnt/other")
    after = result(TUNED, row(Mode.READ, 190.0, 300.0))
    assert comparison_notes(before, after) == (
        "what it is compared with was measured on /mnt/other",
        "the runs before and after overlap (read): no difference shown",
    )
    apart = result(TUNED, row(Mode.READ, 201.0, 300.0), target="/mnt/other")
    assert comparison_notes(before, apart) == ()


def test_a_result_survives_its_file() -> None:
    """All of it."""
    measured = result(NFS, row(Mode.READ, 100.0, 120.0), Row(Mode.DIRECT, (), "Invalid argument"))
    assert from_object(json.loads(json.dumps(to_object(measured)))) == measured


@pytest.mark.parametrize(
    "raw", [None, [], {}, {"version": 2}, {"version": 1}, {"version": 1, "rows": 3}]
)
def test_a_file_that_is_no_result_is_refused(raw: object) -> None:
    """With a word, not with a traceback."""
    with pytest.raises(ValueError, match=r"no result|damaged"):
        from_object(raw)


def test_the_json_names_what_it_is_compared_with() -> None:
    """Null where there is nothing."""
    before = result(NFS, row(Mode.READ, 100.0))
    decoded = json.loads(bench_json(result(TUNED, row(Mode.READ, 250.0)), before, ""))
    assert decoded["ratios"] == {"read": 2.5}
    assert decoded["before"]["settings"]["mtuBytes"] == 1500
    assert decoded["rows"][0]["medianMBps"] == 250.0
    alone = json.loads(bench_json(before, None, "interrupted"))
    assert (alone["before"], alone["ratios"], alone["problem"]) == (None, {}, "interrupted")


def test_the_table_is_for_people() -> None:
    """What was in force before and now, with the kernel's own values named; 80 columns."""
    before = result(NFS, row(Mode.READ, 100.0), row(Mode.MMAP, 23.0))
    after = result(TUNED, row(Mode.READ, 250.0), row(Mode.MMAP, 198.0))
    text = bench_text(after, before, "")
    assert max(map(len, text.splitlines())) <= 80
    assert "2.50x" in text
    assert "8.61x" in text
    assert "MTU of eth1      1500 -> 9000 (from default)\n" in text
    assert "read-ahead, KiB  128 -> 15360 (from default)\n" in text
    alone = bench_text(before, None, "interrupted")
    assert "read-ahead, KiB  128  (the default)\n" in alone
    assert alone.endswith("Stopped: interrupted")
    assert max(map(len, alone.splitlines())) <= 80


def test_a_mode_that_does_not_work_is_a_row_that_says_so() -> None:
    """The others stand."""
    text = bench_text(result(NFS, Row(Mode.DIRECT, (), "Invalid argument")), None, "")
    assert re.search(
        r"^direct read \(O_DIRECT\) +not measured: Invalid argument$", text, re.MULTILINE
    )


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0, 1.7])
def test_progress_fits_a_line(part: float) -> None:
    """Also beyond its end."""
    assert len(progress_line(Mode.MMAP, 1, 3, part, 12345.6)) < 80


POD = "/var/lib/kubelet/pods/6c1f/volumes/kubernetes.io~nfs/models"


def test_a_pods_mount_is_known_by_its_path() -> None:
    """The kubelet's own folder may be elsewhere; a folder of that name is no pod."""
    assert pods_of(mounted(POD)) == ("6c1f",)
    assert pods_of(mounted("/data/kubelet/pods/6c1f/volume-subpaths/models/vllm/0")) == ("6c1f",)
    assert pods_of(mounted("/srv/pods/weights")) == ()
    assert pods_of(mounted("/mnt/models")) == ()


def test_pods_of_the_same_server_keep_the_bench_away() -> None:
    """So does a busy link; another server's pods do not."""
    mounts = (mounted(POD, "10.0.0.5:/models", device="0:51"),)
    (reason,) = reasons_to_wait("10.0.0.5", mounts, 0.0)
    assert "pod 6c1f" in reason
    assert reasons_to_wait("10.0.0.6", mounts, 0.0) == ()
    assert reasons_to_wait("", mounts, 0.0) == ()
    (busy,) = reasons_to_wait("10.0.0.6", mounts, 120e6)
    assert "120 MB/s already" in busy


def test_what_cannot_be_told_keeps_it_away_too() -> None:
    """Pods may be there."""
    (reason,) = reasons_to_wait("10.0.0.5", (), 0.0, "/proc/1/mountinfo: Permission denied")
    assert "cannot be told (/proc/1/mountinfo: Permission denied)" in reason
