"""Laws of the counts of storage servers, as a reader of counters relies on them."""

from hypothesis import given
from hypothesis import strategies as st

from agent.nfs_totals import READ, Name, Reading, Totals

SECONDS: Name = ("nfs_round_trip_seconds", READ)
MILLISECONDS = st.integers(min_value=0, max_value=10**9)
LOOKS = st.lists(st.lists(MILLISECONDS, min_size=1, max_size=4), min_size=2, max_size=20)


def reading(key: int, milliseconds: int) -> Reading:
    """Return what one mount has counted, in seconds, as the agent reckons them."""
    return Reading(("mount", key), "10.0.0.9", {SECONDS: milliseconds * 1e-3})


@given(LOOKS)
def test_a_sum_of_seconds_never_falls(looks: list[list[int]]) -> None:
    """Not by the last digit either: Prometheus would take it for a restart and count all twice."""
    totals, before = Totals(), 0.0
    for counts in looks:
        totals.add(reading(key, count) for key, count in enumerate(counts))
        now = totals.sums["10.0.0.9"][SECONDS]
        assert now >= before
        before = now


@given(LOOKS)
def test_a_look_at_what_has_not_changed_changes_nothing(looks: list[list[int]]) -> None:
    """However odd the sum is that has come together so far."""
    totals = Totals()
    for counts in looks:
        totals.add(reading(key, count) for key, count in enumerate(counts))
        now = totals.sums["10.0.0.9"][SECONDS]
        totals.add(reading(key, count) for key, count in enumerate(counts))
        assert totals.sums["10.0.0.9"][SECONDS] == now
