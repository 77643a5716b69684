"""Thousands of lines of mountinfo: all NFS among them, and no work for the others."""

import sys
from types import FrameType

import pytest

from agent.host.mounts import MountTable, parse_mountinfo
from tests.agent_lab.mount_tables import table

SERVERS = ("10.71.0.2", "fd71::2", "10.72.0.2")


def calls_of(text: str) -> tuple[MountTable, int]:
    """Return what is read, and how many calls that took, of Python and of C."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        found = parse_mountinfo(text)
    finally:
        sys.setprofile(before)
    return found, calls


@pytest.mark.parametrize("lines", [3, 50, 5000])
def test_every_nfs_mount_is_found_among_many_lines(lines: int) -> None:
    """Wherever it stands, the last line included."""
    found = parse_mountinfo(table(lines, SERVERS))
    assert [mount.server for mount in found.mounts] == list(SERVERS)
    assert found.problems == ()


def test_lines_of_others_cost_no_call() -> None:
    """Each look at the host pays for the NFS mounts alone: 5,000 lines cost as 50 do."""
    few, calls_for_few = calls_of(table(50, SERVERS))
    many, calls_for_many = calls_of(table(5000, SERVERS))
    assert len(few.mounts) == len(many.mounts)
    assert calls_for_many == calls_for_few
