"""The lab's programs are built once, wholly or not at all, and noticed when damaged."""

import io
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab import binaries, golang
from tests.lab.binaries import MissingBinaryError, Program, Shelf
from tests.lab.golang import GoError
from tests.lab.lab import API_PROGRAMS
from tests.lab.progress import Progress

NAME = "hello"
GO_MOD = """\
module example.com/wrapper

go 1.26.0

require example.com/hello v1.2.3

replace example.com/hello v1.2.3 => ./hello
"""
SLOW_BUILD = """\
import sys, time
from pathlib import Path
from tests.lab.cache import Slot
from tests.lab.progress import Progress

def build(path: Path, lock: int) -> None:
    path.write_text("half")
    print("half-way", flush=True)
    time.sleep(60)

Slot(Path(sys.argv[1]), "hello", "1.2.3").publish(build, Progress())
"""


def _go_is_there() -> bool:
    try:
        golang.find_go()
    except GoError:
        return False
    return True


pytestmark = pytest.mark.timeout(900)
builds = pytest.mark.skipif(not _go_is_there(), reason="needs Go 1.26 or newer to build with")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Give a shelf with one tiny Go program and a cache of its own."""
    wrapper = tmp_path / "wrapper"
    (wrapper / "hello").mkdir(parents=True)
    (wrapper / "go.mod").write_text(GO_MOD)
    (wrapper / "hello" / "go.mod").write_text("module example.com/hello\n\ngo 1.26.0\n")
    source = 'package main\n\nvar version = "none"\n\nfunc main() { println(version) }\n'
    (wrapper / "hello" / "main.go").write_text(source)
    program = Program(
        wrapper, "example.com/hello", "example.com/hello", 2, "-X main.version=VERSION"
    )
    return Shelf({NAME: program}, tmp_path / "cache", None)


def _ensure(shelf: Shelf) -> tuple[Path, str]:
    """Ensure the program and return (its path, what was said)."""
    said = io.StringIO()
    path = shelf.ensure([NAME], Progress(said))[NAME]
    return path, said.getvalue()


@builds
def test_a_program_is_built_once_at_its_pinned_version(shelf: Shelf) -> None:
    """The first run builds and says so, with the time to expect; the second is silent."""
    path, said = _ensure(shelf)
    assert "once: hello. About 2 s." in said
    shown = subprocess.run([path], capture_output=True, text=True, check=True)
    assert shown.stderr == "1.2.3\n"
    assert path.parent.name == "hello-1.2.3"
    assert _ensure(shelf) == (path, "")
    assert shelf.find(NAME) == path
    sums = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=path.parent, check=False)
    assert sums.returncode == 0


def test_a_missing_program_is_not_found_but_named(shelf: Shelf) -> None:
    """`find` never builds: it says what to run."""
    with pytest.raises(MissingBinaryError, match=r"python -m tests\.lab\.binaries hello"):
        shelf.find(NAME)


@builds
@pytest.mark.parametrize("keep_mtime", [True, False])
def test_a_damaged_program_is_built_again(shelf: Shelf, *, keep_mtime: bool) -> None:
    """`ensure` compares the whole checksum; `find` sees a changed size or mtime."""
    path, _ = _ensure(shelf)
    whole, times = path.read_bytes(), path.stat()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    if keep_mtime:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    else:
        with pytest.raises(MissingBinaryError):
            shelf.find(NAME)
    assert "building hello" in _ensure(shelf)[1]
    assert path.read_bytes() == whole


@builds
def test_a_touched_program_is_still_good(shelf: Shelf) -> None:
    """A new mtime alone (a restored backup) costs one checksum, not a build."""
    path, _ = _ensure(shelf)
    path.touch()
    assert shelf.find(NAME) == path


@builds
def test_a_killed_build_leaves_nothing_half_made(shelf: Shelf) -> None:
    """SIGKILL in the middle: nothing is found, and the next run sweeps and builds."""
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILD, str(shelf.root)], stdout=subprocess.PIPE, text=True
    ) as builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "half-way\n"
        with pytest.raises(MissingBinaryError):
            shelf.find(NAME)
        builder.send_signal(signal.SIGKILL)
    assert list(shelf.root.glob(".building-*"))
    path, _ = _ensure(shelf)
    assert path.stat().st_size > 1000
    assert not list(shelf.root.glob(".building-*"))


def test_a_second_builder_waits_for_the_first(shelf: Shelf) -> None:
    """The lock is held while one builds; the other says what it waits for."""
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILD, str(shelf.root)], stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        first.stdout.readline()
        second = subprocess.Popen(
            [sys.executable, "-c", SLOW_BUILD, str(shelf.root)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        with second:
            assert second.stderr is not None
            assert "another process is building it" in second.stderr.readline()
            second.kill()
        first.kill()


@builds
def test_a_compile_error_is_shown(shelf: Shelf) -> None:
    """What the compiler said reaches the person; nothing is published."""
    program = shelf.items[NAME]
    (program.wrapper / "hello" / "main.go").write_text("package main\n\nfunc main() { nonsense }\n")
    with pytest.raises(GoError, match="undefined: nonsense"):
        _ensure(shelf)
    assert not list(shelf.root.glob("hello-1.2.3/*"))
    assert not list(shelf.root.glob(".building-*"))


def test_given_assets_are_used_as_they_are(shelf: Shelf, tmp_path: Path) -> None:
    """KUBEBUILDER_ASSETS wins over the cache, and nothing is built."""
    given = tmp_path / "assets" / NAME
    given.parent.mkdir()
    given.write_text("#!/bin/sh\n")
    assert _ensure(replace(shelf, assets=given.parent)) == (given, "")


def test_the_environment_names_cache_and_assets(monkeypatch: pytest.MonkeyPatch) -> None:
    """TUNEGATE_CACHE and KUBEBUILDER_ASSETS are read when the shelf is made."""
    monkeypatch.setenv("TUNEGATE_CACHE", "/somewhere/cache")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", "/somewhere/assets")
    shelf = binaries.default_shelf()
    assert (shelf.root, shelf.assets) == (Path("/somewhere/cache"), Path("/somewhere/assets"))


def test_an_old_go_is_refused_with_the_command_that_helps(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Go from the distribution is often too old: say how to get another."""
    old = tmp_path / "bin" / "go"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho go1.19.8\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(old.parent))
    monkeypatch.setattr(golang, "FALLBACK", Path("/nonexistent/go"))
    with pytest.raises(
        GoError,
        match=r"go is 1\.19\.8.*\n  apt-get install -y curl && curl -fsSL https://go\.dev/dl/go1\.26",
    ):
        _ensure(shelf)


def test_a_log_hears_of_a_long_step_now_and_then() -> None:
    """A terminal's line is overwritten every second; a log gets its first sign after 15 s."""
    terminal, log = io.StringIO(), io.StringIO()
    now = [0.0]
    for stream, is_terminal in ((terminal, True), (log, False)):
        now[0] = 0.0
        progress = Progress(stream, terminal=is_terminal, clock=lambda: now[0])
        progress.start("building")
        for seconds in (0.5, 1.0, 1.5, 14.5, 15.0, 15.4):
            now[0] = seconds
            progress.tick("building")
        progress.line("done")
    again = "\r\x1b[K"
    signs = ("  building ... 1 s", "  building ... 14 s", "done\n")
    assert terminal.getvalue() == "building\n" + again.join(signs)
    assert log.getvalue() == "building\n  building ... 15 s\ndone\n"


def test_every_pinned_program_has_its_version_in_go_mod() -> None:
    """The wrappers' go.mod files are the only place where versions stand."""
    versions = {name: item.version() for name, item in binaries.ITEMS.items()}
    assert versions["kube-apiserver"].startswith("1.36.")
    assert versions["kwok"] == versions["kwok-stages"]
    assert all(versions.values())


def test_the_demo_builds_what_the_lab_runs() -> None:
    """A program of the lab that its set-up does not name would be missing on a new machine."""
    script = (Path(binaries.__file__).parent / "bootstrap.sh").read_text(encoding="utf-8")
    named = re.search(r"DEMO_PROGRAMS=\(([^)]*)\)", script)
    assert named is not None
    assert sorted(named[1].split()) == sorted(API_PROGRAMS)
