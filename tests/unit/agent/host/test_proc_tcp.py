"""Connections counted in /proc/net/tcp: only established ones, only by their remote port."""

from pathlib import Path

import pytest

from agent.host import proc_tcp
from agent.host.proc_tcp import count_established

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
LINE = "   {number}: 0200010A:{local} {remote}:{port} {state} 00000000:00000000 00:00000000\n"


def table(*rows: tuple[str, str, str]) -> str:
    """Return a file's text from (local port, remote port, state)."""
    lines = [
        LINE.format(number=number, local=local, remote="0A00010A", port=port, state=state)
        for number, (local, port, state) in enumerate(rows)
    ]
    return "".join((HEAD, *lines))


def test_both_families_are_counted(tmp_path: Path) -> None:
    """Sockets of one port stand in two files."""
    (tmp_path / "tcp").write_text(table(("03CC", "0801", "01"), ("03CD", "0801", "01")))
    mapped = "   0: {0}:03CC 0000000000000000FFFF00000A00010A:0801 01 00000000:00000000\n"
    (tmp_path / "tcp6").write_text(HEAD + mapped.format("0" * 32))
    assert count_established(2049, str(tmp_path)) == 3


def test_only_established_connections_to_the_port_count(tmp_path: Path) -> None:
    """A listener, a server's own side, a handshake, another port: none is one."""
    (tmp_path / "tcp").write_text(
        table(("0801", "0000", "0A"), ("0801", "03CC", "01"), ("03CC", "0801", "02"))
        + table(("03CC", "1801", "01"))
    )
    assert count_established(2049, str(tmp_path)) == 0


@pytest.mark.parametrize("part_bytes", range(7, 40))
def test_a_line_cut_in_two_counts_once(
    tmp_path: Path, part_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a read ends."""
    monkeypatch.setattr(proc_tcp, "_PART_BYTES", part_bytes)
    (tmp_path / "tcp").write_text(table(*[("03CC", "0801", "01")] * 9))
    assert count_established(2049, str(tmp_path)) == 9


def test_no_file_counts_nothing(tmp_path: Path) -> None:
    """A kernel without IPv6 has no tcp6."""
    assert count_established(2049, str(tmp_path)) == 0
