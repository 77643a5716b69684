"""The sysctl table and its arithmetic."""

import pytest

from agent.state import SysctlKey
from agent.sysctls import (
    DEFAULT_ROWS,
    MIB,
    Compare,
    MemoryGuard,
    SysctlRow,
    fields,
    guarded,
    value_to_write,
)

ROWS = {row.key: row for row in DEFAULT_ROWS}
RMEM = ROWS[SysctlKey("net.ipv4.tcp_rmem")]


def test_the_rows_are_the_published_ones() -> None:
    """What is wanted by default, and which rows the node cannot do without."""
    assert {row.key: (row.text, row.is_required) for row in DEFAULT_ROWS} == {
        "net.core.rmem_max": ("16777216", False),
        "net.core.wmem_max": ("16777216", False),
        "net.ipv4.tcp_rmem": ("4096 87380 16777216", True),
        "net.ipv4.tcp_wmem": ("4096 65536 16777216", True),
        "net.ipv4.tcp_mtu_probing": ("1", True),
        "net.ipv4.tcp_window_scaling": ("1", True),
    }
    assert all(row.compare is Compare.AT_LEAST for row in DEFAULT_ROWS)


@pytest.mark.parametrize(
    ("current", "after"),
    [
        ("4096 131072 6291456", "4096 131072 16777216"),
        ("4096 131072 33554432", None),
        ("4096\t87380\t16777216", None),
        ("8192 1 1", "8192 87380 16777216"),
    ],
)
def test_a_vector_is_raised_field_by_field(current: str, after: str | None) -> None:
    """No field is lowered to raise another."""
    assert value_to_write(RMEM, current) == after


@pytest.mark.parametrize("current", ["", "1 2", "1 2 3 4", "one two three", "4096 131072 max"])
def test_what_does_not_compare_is_an_error(current: str) -> None:
    """Another shape than expected is not guessed at."""
    with pytest.raises(ValueError, match=r".*"):
        value_to_write(RMEM, current)


def test_exact_rows_may_lower() -> None:
    """Only a row that says so takes a value away."""
    row = SysctlRow(SysctlKey("net.x.y"), (1,), Compare.EXACT, is_required=True, why="")
    assert [value_to_write(row, text) for text in ("0", "1", "2")] == ["1", None, "1"]


def test_text_becomes_numbers_or_nothing() -> None:
    """The kernel parts fields by tabs."""
    assert fields("1\t2  3\n") == (1, 2, 3)
    assert fields("cubic") is None


@pytest.mark.parametrize(
    ("memory_mib", "limit_kib"),
    [(256 * 1024, 256 * 1024), (16 * 1024, 16 * 1024), (1000, 960), (1, 64), (0, 64)],
)
def test_the_guard_is_in_proportion(memory_mib: int, limit_kib: int) -> None:
    """An eighth of memory for sixty-four connections with two buffers each, in 64 KiB steps."""
    assert MemoryGuard(64, 0.125).limit_bytes(memory_mib * MIB) == limit_kib * 1024


def test_the_guard_holds_buffers_only() -> None:
    """The vector stays in rising order, and switches are not sizes."""
    held = guarded(RMEM, 65536)
    assert held.wanted == (4096, 65536, 65536)
    assert guarded(RMEM, 16 * MIB) is RMEM
    switch = ROWS[SysctlKey("net.ipv4.tcp_mtu_probing")]
    assert guarded(switch, 0) is switch
