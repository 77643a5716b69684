"""What read-ahead is worth to a model loader, by the agent itself."""

import json

import pytest

from agent.readahead import DEFAULT_KIB
from tests.vm import loading
from tests.vm.storage import ENDPOINT, Storage

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def prepared(counted_storage: Storage) -> Storage:
    """Give a server with a file to load."""
    loading.prepare(counted_storage)
    return counted_storage


@pytest.mark.parametrize(("milliseconds", "least"), loading.WANTED_RATIOS.items())
def test_a_mapped_file_loads_several_times_as_fast(
    prepared: Storage, milliseconds: int, least: float
) -> None:
    """The delay's share of the time goes when pages are asked for long before they are needed."""
    gain = loading.measure(prepared, milliseconds)
    assert (gain.before_kib, gain.after_kib) == (128, DEFAULT_KIB)
    assert gain.ratio >= least


def test_a_mount_has_its_read_ahead_before_a_pod_reads(prepared: Storage) -> None:
    """The agent is at each new mount at once, by a clock that a busy machine does not move."""
    found = loading.waits(prepared, 4)
    assert max(found) < loading.SOON_MILLISECONDS


def test_bench_shows_it_to_a_person(prepared: Storage) -> None:
    """`bench --apply` on the mounted file: the ratio, and the read-ahead that brought it."""
    prepared.delay(10)
    path = f"{loading.FOLDER}/{loading.FILE.rpartition('/')[2]}"
    argv = ("bench", "--file", path, "--mode", "mmap", "--runs", "1", "--apply", "--seconds", "99")
    with prepared.mount(loading.FOLDER, loading.OPTIONS):
        ended = prepared.guest.agent(
            *argv, "--output", "json", variables=ENDPOINT, timeout_seconds=200.0
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout)
    assert found["ratios"]["mmap"] >= 4
    kib = [held["settings"]["readAheadKib"] for held in (found["before"], found)]
    assert kib == [128, DEFAULT_KIB]
