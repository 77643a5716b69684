"""Single settings: from a raw value to a checked one, or a sentence that says why not."""

from collections.abc import Callable
from typing import Any

import pytest

from agent.readers import endpoint, endpoints, patterns, sysctl_rows
from agent.sysctls import DEFAULT_ROWS, Compare
from common.names import GATE_TAINTS
from common.readers import boolean, choice, integer, number, taint_keys, text

LABEL = "a" * 63


@pytest.mark.parametrize(
    ("read", "raw"),
    [
        (integer(1, 9), 0),
        (integer(1, 9), 10),
        (integer(1, 9), True),
        (integer(1, 9), 1.0),
        (integer(1, 9), "1"),
        (integer(1, 9), None),
        (number(0, 1), -0.1),
        (number(0, 1), float("nan")),
        (number(0, 1), float("inf")),
        (number(0, 1), False),
        (number(0, 1), "0.5"),
        (choice("open", "hold"), "shut"),
        (choice("open", "hold"), ["open"]),
        (text, 1),
        (text, "two\nlines"),
        (boolean, 1),
        (boolean, "true"),
        (patterns, 1),
        (patterns, [1]),
        (patterns, ["a b"]),
        (patterns, [""]),
        (patterns, ["10.0.0.0/33"]),
        (patterns, ["eth1/8"]),
        (taint_keys, ["key=value"]),
        (taint_keys, ["a/b/c d"]),
        (taint_keys, ["-a/b"]),
        (taint_keys, ["/b"]),
        (taint_keys, ["a/"]),
        (taint_keys, [f"{LABEL}a"]),
    ],
)
def test_what_is_not_a_value_is_refused(read: Callable[[Any], Any], raw: object) -> None:
    """The sentence begins with what was expected, or names the part at fault."""
    with pytest.raises(ValueError, match=r"must be|is not"):
        read(raw)


@pytest.mark.parametrize(
    ("read", "raw", "value"),
    [
        (integer(1, 9), 9, 9),
        (number(0, 1), 1, 1),
        (number(0, 1), 0.5, 0.5),
        (choice("open", "hold"), "hold", "hold"),
        (text, "", ""),
        (text, "nœud-1", "nœud-1"),
        (boolean, False, False),
        (patterns, "eth1, 10.0.0.0/8,,", ("eth1", "10.0.0.0/8")),
        (patterns, ["e*", "e*", "fd00::1/8"], ("e*", "fd00::1/8")),
        (patterns, [], ()),
        (taint_keys, list(GATE_TAINTS), GATE_TAINTS),
        (taint_keys, "a.b_c-d", ("a.b_c-d",)),
    ],
)
def test_what_is_a_value_is_read(read: Callable[[Any], Any], raw: object, value: object) -> None:
    """One string is split at commas, as an environment variable needs it; doubles go."""
    assert read(raw) == value


@pytest.mark.parametrize(
    ("item", "pair"),
    [
        ("nfs", ("nfs", 2049)),
        ("nfs.example.com.", ("nfs.example.com.", 2049)),
        ("fs_1.internal:20049", ("fs_1.internal", 20049)),
        ("10.0.0.1", ("10.0.0.1", 2049)),
        ("10.0.0.1:1", ("10.0.0.1", 1)),
        ("FD00::0:1", ("fd00::1", 2049)),
        ("[fd00::1]", ("fd00::1", 2049)),
        ("[fd00::1]:65535", ("fd00::1", 65535)),
        ("[::ffff:10.0.0.1]:1", ("10.0.0.1", 1)),
        ("169.254.0.9", ("169.254.0.9", 2049)),
    ],
)
def test_endpoints_are_names_or_addresses(item: str, pair: tuple[str, int]) -> None:
    """The port is NFS's unless said; addresses become canonical."""
    assert endpoint(item) == pair


@pytest.mark.parametrize(
    "item",
    [
        "",
        ":2049",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "10.0.0.1:x",
        "10.0.0.1:²",
        "10.0.0.256",
        "10.0.1",
        "fd00::g",
        "[fd00::1",
        "[fd00::1]2049",
        "[fd00::1]:",
        "nfs..example",
        "-nfs",
        "nfs/export",
        "nfs export",
        f"{LABEL}a",
        "nœud",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::ffff:0.0.0.0]",
        "[ff02::1]:2049",
        "fe80::1%eth1",
        "[fe80::1]",
    ],
)
def test_what_is_not_an_endpoint_is_named(item: str) -> None:
    """The error shows the item as it was written."""
    with pytest.raises(ValueError, match=r"'") as caught:
        endpoint(item)
    assert repr(item) in str(caught.value)


def test_all_bad_items_are_named_at_once() -> None:
    """One round is enough to mend a list."""
    with pytest.raises(ValueError, match=r"a b.*; .*c d"):
        endpoints(["a b", "nfs", "c d"])


def test_sysctl_rows_lie_over_the_built_in_ones() -> None:
    """A value, a mapping, null, and a key of one's own."""
    rows = {
        row.key: row
        for row in sysctl_rows(
            {
                "net.ipv4.tcp_rmem": "4096 131072 33554432",
                "net.core.rmem_max": None,
                "net.core.somaxconn": 4096,
                "net.ipv4.tcp_mtu_probing": {"value": 2, "compare": "exact", "required": False},
            }
        )
    }
    assert len(rows) == len(DEFAULT_ROWS)
    assert "net.core.rmem_max" not in rows
    built_in = rows["net.ipv4.tcp_rmem"]  # type: ignore[index]
    assert (built_in.wanted, built_in.is_guarded) == ((4096, 131072, 33554432), True)
    own = rows["net.core.somaxconn"]  # type: ignore[index]
    assert (own.wanted, own.compare, own.is_required) == ((4096,), Compare.AT_LEAST, True)
    exact = rows["net.ipv4.tcp_mtu_probing"]  # type: ignore[index]
    assert (exact.wanted, exact.compare, exact.is_required) == ((2,), Compare.EXACT, False)


@pytest.mark.parametrize(
    "raw",
    [
        [],
        {"kernel.panic": 1},
        {"net.ipv4": 1},
        {"net.ipv4.../x": 1},
        {7: 1},
        {"net.a.b": True},
        {"net.a.b": "one"},
        {"net.a.b": -1},
        {"net.a.b": 1.5},
        {"net.a.b": ""},
        {"net.a.b": [1, 2]},
        {"net.a.b": 2**31},
        {"net.a.b": "3 2 1"},
        {"net.a.b": {}},
        {"net.a.b": {"value": 1, "typo": 2}},
        {"net.a.b": {"value": 1, "compare": "never"}},
        {"net.a.b": {"value": 1, "required": "yes"}},
        {"net.ipv4.tcp_rmem": 1},
    ],
)
def test_rows_that_cannot_be_written_are_refused(raw: object) -> None:
    """A bad vector would be applied in part, so it never reaches the kernel."""
    with pytest.raises(ValueError, match=r".+"):
        sysctl_rows(raw)


def test_all_bad_rows_are_named_at_once() -> None:
    """Each with its key."""
    with pytest.raises(ValueError, match=r"net\.a\.b: .*; net\.c\.d: "):
        sysctl_rows({"net.a.b": "x", "net.c.d": "y"})
