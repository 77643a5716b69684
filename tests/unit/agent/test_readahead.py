"""How much read-ahead is wanted, and how a read-ahead is named."""

import pytest

from agent.readahead import (
    DEFAULT_KIB,
    MAX_KIB,
    MIN_KIB,
    ReadAheadPolicy,
    device_of,
    target_of,
    wanted,
)
from agent.readers import AUTO, read_ahead_kib

TEN_GIGABITS = 10_000


def test_a_number_is_wanted_as_it_is() -> None:
    """Nothing measured changes what the settings say."""
    aim = wanted(ReadAheadPolicy(4096), 0.01, TEN_GIGABITS)
    assert aim is not None
    assert aim.kib == 4096


def test_zero_leaves_it_alone() -> None:
    """Nothing is wanted then."""
    assert wanted(ReadAheadPolicy(0), 0.01, TEN_GIGABITS) is None


@pytest.mark.parametrize(
    ("round_trip_seconds", "megabits", "kib"),
    [
        (0.010, 2_000, 2048),  # 2.5 MB on the way, two windows of 1.25 MB
        (0.002, TEN_GIGABITS, 2048),
        (0.010, TEN_GIGABITS, 8192),
        (0.002, 100_000, 16384),
        (0.0001, TEN_GIGABITS, MIN_KIB),
        (0.2, 100_000, MAX_KIB),
    ],
)
def test_auto_fills_the_path_within_bounds(
    round_trip_seconds: float, megabits: int, kib: int
) -> None:
    """Two windows for each round trip carry at least what the link does, unless bounded."""
    aim = wanted(ReadAheadPolicy(AUTO), round_trip_seconds, megabits)
    assert aim is not None
    assert aim.kib == kib
    carried = 2 * kib * 1024 / round_trip_seconds
    assert kib == MAX_KIB or carried >= megabits * 125_000


def test_auto_says_its_numbers() -> None:
    """A person can reckon it again."""
    aim = wanted(ReadAheadPolicy(AUTO), 0.0021, TEN_GIGABITS)
    assert aim is not None
    assert "10000 Mbit/s x 2.10 ms" in aim.why


def test_a_delay_that_varies_a_little_wants_the_same() -> None:
    """Each look measures another delay: the value must not move with every one."""
    delays = (0.0090, 0.0094, 0.0100, 0.0103, 0.0120)
    found = {wanted(ReadAheadPolicy(AUTO), delay, 8_000) for delay in delays}
    assert {aim.kib for aim in found if aim} == {8192}


@pytest.mark.parametrize(
    ("round_trip_seconds", "megabits", "missing"),
    [(None, TEN_GIGABITS, "round trip"), (0.01, None, "bandwidth"), (None, None, "round trip")],
)
def test_auto_takes_the_default_while_something_is_not_known(
    round_trip_seconds: float | None, megabits: int | None, missing: str
) -> None:
    """A fresh mount without a measurement is not left at 128 KiB; the reason is said."""
    aim = wanted(ReadAheadPolicy(AUTO), round_trip_seconds, megabits)
    assert aim is not None
    assert (aim.kib, missing in aim.why) == (DEFAULT_KIB, True)


def test_a_configured_bandwidth_wins_over_the_links() -> None:
    """The server may be slower than the link."""
    policy = ReadAheadPolicy(AUTO, megabits=1000)
    aim = wanted(policy, 0.01, TEN_GIGABITS)
    assert aim is not None
    assert aim.kib == 1024


@pytest.mark.parametrize("device", ["0:50", "259:1048575"])
def test_a_target_names_its_device(device: str) -> None:
    """There and back."""
    assert device_of(target_of(device)) == device


@pytest.mark.parametrize(
    "target", ["0:50", "readahead/", "readahead/0", "readahead/../0:5", "readahead/0:5/x", "link/a"]
)
def test_other_targets_name_no_device(target: str) -> None:
    """A damaged journal leads to no other file."""
    assert device_of(target) is None


@pytest.mark.parametrize("raw", [0, 64, 128, 15360, 1 << 20, "auto"])
def test_whole_pages_and_auto_are_read(raw: object) -> None:
    """Every page size in use divides them."""
    assert read_ahead_kib(raw) == raw


@pytest.mark.parametrize("raw", [-64, 100, 15361, (1 << 20) + 64, True, "15360k", None, 128.0])
def test_anything_else_is_refused(raw: object) -> None:
    """The kernel would round it down, and no look would ever find what was written."""
    with pytest.raises(ValueError, match="multiple of 64"):
        read_ahead_kib(raw)
