"""Runs in their order, within their limits, from a real process that reads real files."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.bench.measure import Limits, Measured, measure
from agent.bench.results import Mode, Run
from agent.bench.sources import (
    BenchError,
    FileError,
    LocalFile,
    ModeError,
    ServerFile,
    Task,
    Tell,
)
from common.record import dataclass, field

MIB = 1 << 20
SIZE = 8 * MIB


@dataclass(slots=True)
class FakeSource:
    """A source in memory; ``fails`` says what each mode raises."""

    modes: tuple[Mode, ...] = (Mode.READ, Mode.MMAP, Mode.DIRECT)
    size_bytes: int = 100 << 30
    fails: dict[Mode, BenchError] = field(default_factory=dict)
    before: Callable[[], None] | None = None
    tasks: list[Task] = field(default_factory=list)

    def run(self, task: Task, tell: Tell) -> Run:
        """Do one run."""
        self.tasks.append(task)
        if self.before:
            self.before()
        if task.mode in self.fails:
            raise self.fails[task.mode]
        tell(task.bytes, 1.0)
        return Run(task.offset_bytes, task.bytes, 1.0)

    def close(self) -> str:
        """End nothing."""
        return ""


def done(source: FakeSource, runs: int = 3, seconds: float = 60.0) -> Measured:
    """Measure a source."""
    into = Measured()
    counter = iter(range(0, 10**9, 1000))
    limits = Limits(64 * MIB, seconds, runs)
    measure(source, limits, into, lambda *_: None, lambda: next(counter))
    return into


def test_each_mode_runs_once_before_any_runs_again() -> None:
    """A slow hour hits all of them; no part is read twice; the link's counter is taken along."""
    source = FakeSource()
    measured = done(source)
    assert [task.mode for task in source.tasks] == [Mode.READ, Mode.MMAP, Mode.DIRECT] * 3
    assert len({task.offset_bytes for task in source.tasks}) == 9
    assert {len(row.runs) for row in measured.rows()} == {3}
    assert measured.rows()[0].runs[0].received_bytes == 1000
    assert measured.problem == ""


def test_time_left_is_shared_by_the_runs_left() -> None:
    """No run may take the others' part."""
    source = FakeSource()
    done(source, runs=1, seconds=9.0)
    assert [round(task.seconds) for task in source.tasks] == [3, 4, 9]


def test_without_time_nothing_is_begun() -> None:
    """And that is said."""
    source = FakeSource()
    measured = done(source, seconds=0.1)
    assert (source.tasks, measured.rows()) == ([], ())
    assert measured.problem == "the time limit of 0.1 s ended it"


def test_a_mode_that_fails_is_not_tried_again() -> None:
    """The others go on."""
    source = FakeSource(fails={Mode.DIRECT: ModeError("Invalid argument")})
    measured = done(source)
    assert [task.mode for task in source.tasks].count(Mode.DIRECT) == 1
    direct = next(row for row in measured.rows() if row.mode is Mode.DIRECT)
    assert (direct.skipped, direct.runs) == ("Invalid argument", ())


def test_a_server_that_goes_away_ends_it_with_what_there_is() -> None:
    """The runs before stand."""
    source = FakeSource(fails={Mode.MMAP: BenchError("nothing came")})
    measured = done(source)
    assert measured.problem == "nothing came"
    assert [len(row.runs) for row in measured.rows()] == [1]


def test_an_interrupt_loses_nothing() -> None:
    """What ended before Ctrl-C is there."""
    source = FakeSource()

    def interrupt() -> None:
        if len(source.tasks) == 3:
            raise KeyboardInterrupt

    source.before = interrupt
    into = Measured()
    with pytest.raises(KeyboardInterrupt):
        measure(source, Limits(MIB, 60.0, 3), into, lambda *_: None, lambda: None)
    assert [row.mode for row in into.rows()] == [Mode.READ, Mode.MMAP]


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Give a file of 8 MiB."""
    made = tmp_path / "weights.bin"
    made.write_bytes(os.urandom(SIZE))
    return str(made)


@pytest.fixture
def local(path: str) -> Iterator[LocalFile]:
    """Give the file opened by its reader."""
    source = LocalFile(path)
    yield source
    assert source.close() == ""


@pytest.mark.parametrize("mode", [Mode.READ, Mode.MMAP, Mode.DIRECT])
def test_a_real_file_is_read_whole_and_in_parts(local: LocalFile, mode: Mode) -> None:
    """Never more than asked for, never beyond its end."""
    assert local.size_bytes == SIZE
    try:
        whole = local.run(Task(mode, 0, SIZE, 30.0), lambda *_: None)
        part = local.run(Task(mode, 2 * MIB, 3 * MIB, 30.0), lambda *_: None)
    except ModeError:
        pytest.skip(f"this file system has no {mode} read")
    assert (whole.bytes, whole.is_cut) == (SIZE, False)
    assert (part.bytes, part.offset_bytes) == (3 * MIB, 2 * MIB)
    assert whole.seconds > 0


def test_the_page_cache_is_dropped_before_each_run(local: LocalFile, path: str) -> None:
    """As mincore(2) tells; the file was read a moment ago."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)  # pages that are not on the disk yet cannot be dropped
    os.close(descriptor)
    Path(path).read_bytes()
    cached = local.run(Task(Mode.READ, 0, SIZE, 30.0), lambda *_: None).cached_share
    if cached is None or os.statvfs(path).f_fsid == 0:
        pytest.skip("this file system has no page cache to drop")
    assert cached < 0.02


def test_a_run_ends_with_its_time(local: LocalFile) -> None:
    """And says that it was cut."""
    run = local.run(Task(Mode.READ, 0, SIZE, 0.0), lambda *_: None)
    assert run.is_cut
    assert 0 < run.bytes < SIZE


@pytest.mark.parametrize("name", ["/nowhere/w.bin", "/proc", "/dev/zero"])
def test_what_is_no_file_is_refused(name: str) -> None:
    """By its name, with the reason; a device is not read for ever."""
    with pytest.raises(FileError, match=name):
        LocalFile(name)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """There is nothing to measure."""
    (tmp_path / "empty").touch()
    with pytest.raises(FileError, match="is empty"):
        LocalFile(str(tmp_path / "empty"))


class SilentFile(LocalFile):
    """A file whose reader hangs, as on a mount whose server is gone."""

    _program = ("-c", "import time; time.sleep(60)")


def test_a_reader_that_hangs_is_not_waited_for() -> None:
    """It is told after the deadline, and the process is ended."""
    with pytest.raises(BenchError, match=r"nothing came for 0.2 s; its server does not answer"):
        SilentFile("/mnt/gone/w.bin", answer_seconds=0.2)


DIES = """
import os, signal, sys
print('{"opened": {"size": 9, "device": "0:1"}}', flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGBUS)
"""


class DyingFile(LocalFile):
    """A file that was truncated under its mapping: the reader dies of SIGBUS."""

    _program = ("-c", DIES)


def test_a_reader_that_dies_is_told() -> None:
    """With its code."""
    source = DyingFile("/mnt/w.bin")
    with pytest.raises(BenchError, match=r"ended by itself \(code -7\)"):
        source.run(Task(Mode.MMAP, 0, 9, 1.0), lambda *_: None)
    source.close()


class FakeCat(ServerFile):
    """A client that only complains."""

    program = sys.executable


def test_a_client_that_fails_gives_its_last_words() -> None:
    """As far as it has any."""
    with pytest.raises(BenchError, match=r"nfs://a/b: .*No such file"):
        FakeCat("nfs://a/b").run(Task(Mode.USER, 0, MIB, 1.0), lambda *_: None)


class NoCat(ServerFile):
    """A client that is not installed."""

    program = "/nowhere/nfs-cat"


def test_a_client_that_is_not_there_is_told_with_the_package() -> None:
    """And with the other way."""
    with pytest.raises(BenchError, match="install libnfs-utils, or measure a mounted file"):
        NoCat("nfs://a/b").run(Task(Mode.USER, 0, MIB, 1.0), lambda *_: None)
