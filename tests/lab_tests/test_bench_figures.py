"""The bench's arithmetic: quantiles, the API server's histogram, verdicts."""

import pytest

from tests.bench.webhook.figures import Histogram, added, quantile, verdict

NAME = "apiserver_admission_webhook_admission_duration_seconds"
BEFORE = f"""
{NAME}_bucket{{name="ours",operation="CREATE",rejected="false",type="admit",le="0.005"}} 10
{NAME}_bucket{{name="ours",operation="CREATE",rejected="false",type="admit",le="0.025"}} 10
{NAME}_bucket{{name="ours",operation="CREATE",rejected="false",type="admit",le="+Inf"}} 10
{NAME}_sum{{name="ours",operation="CREATE",rejected="false",type="admit"}} 0.02
{NAME}_count{{name="ours",operation="CREATE",rejected="false",type="admit"}} 10
"""
AFTER = f"""
{NAME}_bucket{{name="ours",operation="CREATE",rejected="false",type="admit",le="0.005"}} 60
{NAME}_bucket{{name="ours",operation="CREATE",rejected="false",type="admit",le="0.025"}} 110
{NAME}_bucket{{name="ours",operation="CREATE",rejected="false",type="admit",le="+Inf"}} 110
{NAME}_sum{{name="ours",operation="CREATE",rejected="false",type="admit"}} 0.82
{NAME}_count{{name="ours",operation="CREATE",rejected="false",type="admit"}} 110
{NAME}_count{{name="other",operation="CREATE",rejected="false",type="admit"}} 9000
"""


def test_a_quantile_lies_between_the_two_nearest_samples() -> None:
    """As numpy's default does."""
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([1.0, 2.0], 0.75) == 1.75
    assert quantile([7.0], 0.99) == 7.0


def test_only_the_calls_of_the_run_and_of_the_hook_count() -> None:
    """The counters go on from run to run."""
    seen = Histogram(AFTER, "ours").since(Histogram(BEFORE, "ours"))
    assert seen.count == 100
    assert seen.mean == pytest.approx(0.008)
    assert seen.quantile(0.5) == pytest.approx(0.005)
    assert seen.quantile(0.75) == pytest.approx(0.015)


def test_a_hook_that_was_never_called_has_no_samples() -> None:
    """The bench says so and divides by nothing."""
    assert Histogram(AFTER, "nobody").count == 0


def test_what_is_added_is_the_difference_of_quantiles() -> None:
    """Not the quantile of differences: the two creates of a pair are not one create."""
    times = {"base": [1.0, 2.0, 3.0], "ours": [2.0, 4.0, 9.0]}
    assert added(times, "ours", "base", 0.5) == 2.0


def test_a_verdict_says_the_limit() -> None:
    """A figure without its limit says nothing to who did not write the issue."""
    assert verdict(2.0, 2.0) == "ok: at most 2 wanted"
    assert verdict(0.7, 0.8, at_least=True) == "MISSED: at least 0.8 wanted"
