"""What counts as growth in a soak."""

import pytest

from tests.lab.footprint import Footprint
from tests.soak.growth import GROWTH_KIB, growth


def series(*rss_kib: int, descriptors: tuple[int, ...] = (), threads: int = 6) -> list[Footprint]:
    """Return one sample for each RSS, with these descriptors or ten each."""
    counts = descriptors or (10,) * len(rss_kib)
    pairs = zip(counts, rss_kib, strict=True)
    return [Footprint(count, threads, rss) for count, rss in pairs]


@pytest.mark.parametrize(
    "samples",
    [
        series(25000, 33000, 33000),
        series(25000, 33000, 33000, 34000, 33500, 33100, 33000),
        series(25000, 33000, 40000, 33000),
        series(25000, 33000, 33000 + GROWTH_KIB),
        series(25000, 33000, 33000, descriptors=(6, 11, 11)),
        series(25000, 33000, 33000, 33000, descriptors=(6, 11, 15, 10)),
    ],
)
def test_a_start_and_what_goes_by_are_no_growth(samples: list[Footprint]) -> None:
    """Imports after the start, a peak in between, an arena."""
    assert growth(samples) == []


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (series(25000, 33000, 33001 + GROWTH_KIB), "RSS: 32.2 MiB and then 34.2 MiB"),
        (series(25000, *range(33000, 42000, 1000)), "RSS"),
        (series(1, 1, 1, descriptors=(6, 11, 12)), "descriptors: 11 and then 12"),
        (series(1, 1, 1)[:2] + series(1, threads=7), "threads: 6 and then 7"),
        (series(1, 1), "2 samples tell nothing"),
    ],
)
def test_what_stays_is_growth(samples: list[Footprint], said: str) -> None:
    """One descriptor for each round is a leak; so is memory that climbs."""
    (sentence,) = growth(samples)
    assert said in sentence
