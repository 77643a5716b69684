"""Which storage servers there are: from settings, a file that may change, mounts, and the DNS."""

from pathlib import Path

from agent.endpoints import (
    Known,
    Listed,
    RememberingResolver,
    from_mounts,
    gather,
    merge,
    parse_file,
    read_file,
)
from agent.state import Address, Endpoint, Reason, Severity
from tests.fake_network import FakeResolver
from tests.fakes import mounted

NOTHING = Listed((), ())


def test_a_file_has_one_endpoint_a_line() -> None:
    """Comments and empty lines are nothing, doubles count once, bad lines are named."""
    listed = parse_file("# servers\n\nnfs:20049 # fast\n 10.0.0.1\n10.0.0.1\nno good\n[::1\n")
    assert listed.hosts == (("nfs", 20049), ("10.0.0.1", 2049))
    assert [problem.partition(":")[0] for problem in listed.problems] == ["line 6", "line 7"]


def test_a_file_that_is_not_there_lists_nothing(tmp_path: Path) -> None:
    """It may come later, so it is no problem but told apart; no file at all is as an empty one."""
    assert read_file(str(tmp_path / "none")) == Listed((), (), is_missing=True)
    assert read_file("") == NOTHING


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    """A folder, or bytes that are no text."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\n")
    for path in (tmp_path, tmp_path / "bytes"):
        listed = read_file(str(path))
        assert (listed.hosts, len(listed.problems)) == ((), 1)


def test_a_mount_is_an_endpoint_when_its_address_is_shown() -> None:
    """The kernel's own addr= needs no name."""
    shown = mounted("/mnt/a", "nfs:/a", "vers=4.2,port=20049,hard,addr=10.1.0.10")
    hidden = mounted("/mnt/b", "nfs:/b", "vers=3,soft")
    assert from_mounts((shown, hidden)) == (
        Endpoint("10.1.0.10", Address("10.1.0.10"), 20049, "mount /mnt/a"),
    )


def test_every_address_of_a_name_counts_once() -> None:
    """The first origin keeps it."""
    resolver = FakeResolver({"nfs": ("10.1.0.10", "fd00::10")})
    listed = Listed((("10.1.0.10", 2049), ("10.1.0.11", 2049)), ())
    known = gather((("nfs", 2049),), listed, "servers", resolver)
    assert [(item.host, item.address, item.origin) for item in known.endpoints] == [
        ("nfs", "10.1.0.10", "configuration"),
        ("nfs", "fd00::10", "configuration"),
        ("10.1.0.11", "10.1.0.11", "endpoints file"),
    ]
    assert known.findings == ()


def test_what_does_not_resolve_is_pending_and_a_bad_line_a_note() -> None:
    """The name may resolve later; the line will not mend itself, and the others are used."""
    known = gather((("nfs", 2049),), Listed((), ("line 1: bad",)), "servers", FakeResolver())
    assert [(f.reason, f.severity, f.target) for f in known.findings] == [
        (Reason.ENDPOINTS_FILE_INVALID, Severity.NOTE, "servers"),
        (Reason.ENDPOINT_UNRESOLVED, Severity.PENDING, "nfs"),
    ]


def test_the_last_answer_stands_while_the_dns_is_away() -> None:
    """A known address does not become unknown, and the trouble is told as a note."""
    inner = FakeResolver({"nfs": ("10.1.0.10",)})
    resolver = RememberingResolver(inner)
    gather((("nfs", 2049),), NOTHING, "", resolver)
    inner.names.clear()
    known = gather((("nfs", 2049),), NOTHING, "", resolver)
    assert [item.address for item in known.endpoints] == ["10.1.0.10"]
    assert [finding.severity for finding in known.findings] == [Severity.NOTE]
    inner.names["nfs"] = ("10.1.0.11",)
    known = gather((("nfs", 2049),), NOTHING, "", resolver)
    assert [item.address for item in known.endpoints] == ["10.1.0.11"]


def test_mounts_add_what_was_not_known() -> None:
    """A configured server keeps its name."""
    named = Endpoint("nfs", Address("10.1.0.10"), 2049, "configuration")
    same = Endpoint("10.1.0.10", Address("10.1.0.10"), 2049, "mount /mnt/a")
    port = Endpoint("10.1.0.10", Address("10.1.0.10"), 20049, "mount /mnt/b")
    assert merge(Known((named,), ()), (same, port)).endpoints == (named, port)
