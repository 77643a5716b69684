"""Sizes and durations: strict, and the same way back."""

from decimal import Decimal

import pytest

from webhook.quantities import (
    GIB,
    duration_seconds,
    duration_text,
    quantity,
    size_bytes,
    size_text,
)


@pytest.mark.parametrize(
    ("raw", "amount"),
    [
        ("1", 1),
        (8, 8),
        (0.5, Decimal("0.5")),
        ("1.5Gi", Decimal("1.5") * GIB),
        ("16Gi", 16 * GIB),
        ("2G", 2 * 10**9),
        ("100m", Decimal("0.1")),
        ("1e3", 1000),
        ("1E", 10**18),
        ("1E3", 1000),
        (".5", Decimal("0.5")),
        ("5.", 5),
        ("+3", 3),
        ("-1k", -1000),
    ],
)
def test_quantities_are_read_as_kubernetes_reads_them(raw: object, amount: object) -> None:
    """Its own forms, JSON numbers too."""
    assert quantity(raw) == amount


@pytest.mark.parametrize(
    "raw", ["", " 1", "1 ", "1GB", "1gi", "Gi", "1e", "1e999", "one", "0x1", "9" * 65, True, None]
)
def test_what_is_no_quantity_is_refused(raw: object) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="quantity"):
        quantity(raw)


def test_huge_sizes_are_numbers_like_others() -> None:
    """They are cut by limits, not by an accident of arithmetic."""
    assert size_bytes("9e99") > 2**64
    assert size_bytes("1m") == 1


@pytest.mark.parametrize("raw", ["0", "-5Gi", "lots", None, []])
def test_a_size_is_above_zero(raw: object) -> None:
    """No size is no size."""
    with pytest.raises(ValueError, match="16Gi"):
        size_bytes(raw)


@pytest.mark.parametrize(
    ("raw", "seconds"), [("30m", 1800), ("120s", 120), ("1h30m", 5400), ("1h0m5s", 3605)]
)
def test_durations_are_read(raw: str, seconds: int) -> None:
    """Hours, minutes, seconds, in this order."""
    assert duration_seconds(raw) == seconds


@pytest.mark.parametrize("raw", ["", "30", 30, "0s", "1.5h", "5s3m", "-1m", "1 m", "1d", "1M"])
def test_what_is_no_duration_is_refused(raw: object) -> None:
    """A number without a unit may mean anything."""
    with pytest.raises(ValueError, match="30m"):
        duration_seconds(raw)


@pytest.mark.parametrize("seconds", [1, 59, 60, 90, 120, 300, 301, 3600, 5400, 86400])
def test_a_duration_is_written_in_a_form_that_is_accepted(seconds: int) -> None:
    """What a message shows can be copied."""
    assert duration_seconds(duration_text(seconds)) == seconds


@pytest.mark.parametrize(
    ("size", "written"),
    [
        *((GIB, "1Gi"), (1536 * 2**20, "1536Mi"), (1024 * GIB, "1Ti"), (2**60, "1Ei")),
        *((1000, "1k"), (10**9, "1G"), (1500, "1500"), (1_024_000, "1000Ki"), (999, "999")),
    ],
)
def test_sizes_are_written_as_kubernetes_writes_them(size: int, written: str) -> None:
    """Else the API server rewrites them, and a later pass would not know its own."""
    assert size_text(size) == written
    assert size_bytes(written) == size
