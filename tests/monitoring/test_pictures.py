"""The pictures of the dashboards, and how numbers are written in them."""

import re
from pathlib import Path

import pytest

from docs.dashboards.files import DASHBOARDS
from tests.monitoring.pictures.units import written

PAGE = Path("docs/monitoring.md")
LARGEST_BYTES = 400_000
PNG = b"\x89PNG\r\n\x1a\n"


def test_the_page_shows_a_small_picture_of_each_dashboard() -> None:
    """And none of a dashboard that is gone."""
    shown = set(re.findall(r"\]\((pictures/[^)]+)\)", PAGE.read_text()))
    assert shown == {f"pictures/dashboard-{name}.png" for name in DASHBOARDS}
    assert {f"pictures/{path.name}" for path in (PAGE.parent / "pictures").iterdir()} == shown
    for picture in shown:
        content = (PAGE.parent / picture).read_bytes()
        assert content.startswith(PNG)
        assert len(content) <= LARGEST_BYTES


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "text"),
    [
        (0.0015, "s", None, "1.5 ms"),
        (2_592_000, "s", None, "30 d"),
        (0, "s", None, "0 s"),
        (15_728_640, "bytes", None, "15 MiB"),
        (880_000_000, "Bps", None, "880 MB/s"),
        (0.9, "percentunit", None, "90%"),
        (9000, "none", None, "9000"),
        (3, "short", 0, "3"),
        (float("nan"), "s", None, "NaN"),
    ],
)
def test_numbers_are_written_with_their_units(
    value: float, unit: str, decimals: int | None, text: str
) -> None:
    """As Grafana writes them."""
    assert written(value, unit, decimals) == text
