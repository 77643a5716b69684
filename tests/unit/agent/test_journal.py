"""First values outlive a crash between any two steps, damage, and other boots."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from agent.journal import Journal, JournalError, load, targets
from agent.revert import Original
from agent.state import LinkMtuChange, LinkName, Reason, SysctlChange, SysctlKey
from agent.verdict import Ceiling
from tests.fakes import Crash

BOOT = "boot-1"
RAISE = LinkMtuChange(LinkName("eth1"), 2, 1500, 9000, "mtu")
LOWER = LinkMtuChange(LinkName("eth1"), 2, 9000, 4000, "mtu")
PROBING = SysctlChange(SysctlKey("net.ipv4.tcp_mtu_probing"), "0", "1", "why")
CEILING = Ceiling(LinkName("eth1"), 4000, Reason.BLACK_HOLE, "lost above 4000")
STEPS = ("open", "makedirs", "fsync", "replace", "link", "unlink", "close")


def lines(folder: Path) -> list[str]:
    """Return the lines of the journal file."""
    return (folder / "journal.jsonl").read_text().splitlines()


def test_a_folder_without_a_journal_is_empty(tmp_path: Path) -> None:
    """The folder need not exist before the first write."""
    journal = load(str(tmp_path / "new"), BOOT)
    assert (journal.originals, journal.ceilings, journal.problems) == ((), (), ())
    journal.record([RAISE])
    assert load(str(tmp_path / "new"), BOOT).originals[0].first == "1500"


def test_the_first_value_stands_and_every_written_one_is_known(tmp_path: Path) -> None:
    """Later writes add to what is ours, and never touch the first value."""
    journal = load(str(tmp_path), BOOT).record([RAISE, PROBING]).record([LOWER])
    back = LinkMtuChange(LinkName("eth1"), 2, 4000, 1500, "mtu")
    journal = journal.record([back, RAISE])
    assert load(str(tmp_path), BOOT) == journal
    assert journal.originals == (
        Original("link/eth1/mtu", "1500", ("9000", "4000")),
        Original("sysctl/net.ipv4.tcp_mtu_probing", "0", ("1",)),
    )


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    """The file is replaced only when it says something new."""
    journal = load(str(tmp_path), BOOT).record([RAISE])
    stamp = (tmp_path / "journal.jsonl").stat().st_ino
    assert journal.record([RAISE]) == journal
    assert (tmp_path / "journal.jsonl").stat().st_ino == stamp


def test_first_values_count_while_a_value_of_ours_stands(tmp_path: Path) -> None:
    """What somebody else wrote since is not ours to judge by."""
    journal = load(str(tmp_path), BOOT).record([RAISE])
    for now, expected in (("1500", 1), ("9000", 1), ("2000", 0), (None, 0)):
        assert len(journal.first_values({"link/eth1/mtu": now})) == expected


def test_ceilings_stand_with_their_settings(tmp_path: Path) -> None:
    """They are replaced as a whole, and found again after a restart."""
    journal = load(str(tmp_path), BOOT).record([RAISE]).hold([CEILING], "abc")
    assert load(str(tmp_path), BOOT) == journal
    assert (journal.ceilings, journal.settings_hash) == ((CEILING,), "abc")
    journal.hold([], "abc")
    assert load(str(tmp_path), BOOT).ceilings == ()


def test_another_boot_begins_anew(tmp_path: Path) -> None:
    """After a reboot the kernel holds its own first values again."""
    load(str(tmp_path), BOOT).record([RAISE])
    journal = load(str(tmp_path), "boot-2")
    assert (journal.originals, journal.problems) == ((), ())
    journal.record([PROBING])
    assert targets(str(tmp_path)) == ("sysctl/net.ipv4.tcp_mtu_probing",)


def sealed(body: str) -> str:
    """Return a line with a right checksum."""
    return f"{crc32(body.encode()):08x} {body}"


@pytest.mark.parametrize(
    "garbage",
    [
        "garbage",
        "",
        "00000000 {}",
        sealed("[]"),
        sealed("{}"),
        sealed("not json"),
        sealed('{"boot": "boot-1"}'),
        sealed('{"boot": "boot-1", "ceiling": ["eth1", 1], "settings": ""}'),
        sealed('{"boot": "boot-1", "ceiling": ["eth1", 1, "NoSuchReason", ""], "settings": ""}'),
        sealed('{"boot": "boot-1", "target": "link/eth1/mtu", "first": 1500, "written": []}'),
        sealed('{"boot": "boot-1", "target": "link/eth1/mtu", "first": "x", "written": []}'),
        sealed('{"boot": "boot-1", "target": "x", "first": "x", "written": []}'),
        sealed('{"boot": "boot-1", "target": "link/eth1/mtu", "first": "1", "written": [1]}'),
    ],
)
def test_a_damaged_line_costs_itself_only(tmp_path: Path, garbage: str) -> None:
    """The others are read, the damage is told, and the file is kept when it is replaced."""
    load(str(tmp_path), BOOT).record([RAISE, PROBING])
    first, second = lines(tmp_path)
    damaged = f"{first}\n{garbage}\n{second}\n"
    (tmp_path / "journal.jsonl").write_text(damaged)
    journal = load(str(tmp_path), BOOT)
    assert [original.target for original in journal.originals] == [RAISE.target, PROBING.target]
    assert len(journal.problems) == 1
    assert "line 2 is damaged" in journal.problems[0]
    assert {RAISE.target, PROBING.target} <= set(targets(str(tmp_path)))
    after = journal.record([LOWER])
    assert after.problems == ()
    assert load(str(tmp_path), BOOT) == after
    assert (tmp_path / "journal.jsonl.damaged").read_text() == damaged


@pytest.mark.parametrize("kept", [0, 1, 20, -2])
def test_a_half_written_last_line_is_damage(tmp_path: Path, kept: int) -> None:
    """Whatever wrote half a file, the whole lines count."""
    load(str(tmp_path), BOOT).record([RAISE, PROBING])
    first, second = lines(tmp_path)
    (tmp_path / "journal.jsonl").write_text(f"{first}\n{second[:kept]}")
    journal = load(str(tmp_path), BOOT)
    assert [original.target for original in journal.originals] == [RAISE.target]
    assert len(journal.problems) == bool(kept)


def test_a_file_that_cannot_be_read_is_told_and_nothing_replaces_it(tmp_path: Path) -> None:
    """A folder in the journal's place cannot be kept beside, so nothing may be written."""
    (tmp_path / "journal.jsonl").mkdir()
    journal = load(str(tmp_path), BOOT)
    assert len(journal.problems) == 1
    with pytest.raises(JournalError, match=r"cannot write"):
        journal.record([RAISE])
    with pytest.raises(JournalError, match=r"cannot remove"):
        journal.erase()
    assert targets(str(tmp_path)) == ()


def test_a_journal_without_a_boot_is_not_written(tmp_path: Path) -> None:
    """Entries nobody can date would replace those of this boot."""
    load(str(tmp_path), BOOT).record([RAISE])
    kept = lines(tmp_path)
    journal = load(str(tmp_path), "")
    assert journal.problems
    with pytest.raises(JournalError, match=r"boot ID"):
        journal.record([PROBING])
    assert lines(tmp_path) == kept


def test_a_folder_that_takes_nothing_is_an_error(tmp_path: Path) -> None:
    """The message says which file and why."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(JournalError, match=r"cannot write .*/file/new/journal\.jsonl: "):
        load(str(blocked / "new"), BOOT).record([RAISE])


def test_erasing_twice_is_erasing(tmp_path: Path) -> None:
    """What is gone is gone."""
    journal = load(str(tmp_path), BOOT).record([RAISE])
    journal.erase()
    journal.erase()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_damaged", [False, True])
@pytest.mark.parametrize("dies_after", [False, True])
@pytest.mark.parametrize("number", range(1, 10))
def test_a_crash_between_any_two_steps_loses_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    *,
    is_damaged: bool,
    dies_after: bool,
) -> None:
    """The old journal or the new one stands, whole, at every moment."""
    load(str(tmp_path), BOOT).record([RAISE, PROBING])
    if is_damaged:
        with (tmp_path / "journal.jsonl").open("a") as file:
            file.write("garbage\n")
    journal = load(str(tmp_path), BOOT)
    calls = 0

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **details: Any) -> Any:  # noqa: ANN401 - any function of os
            nonlocal calls
            calls += 1
            if calls == number and not dies_after:
                raise Crash
            answer = real(*args, **details)
            if calls == number:
                raise Crash
            return answer

        return step

    with monkeypatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, dying(getattr(os, name)))
        try:
            journal.record([LOWER])
            done = True
        except Crash:
            done = False
    found = load(str(tmp_path), BOOT)
    written = found.originals[0].written
    assert [original.first for original in found.originals] == ["1500", "0"]
    assert written in (("9000",), ("9000", "4000"))
    assert not done or written == ("9000", "4000")
    assert found.record([LOWER]).originals[0].written == ("9000", "4000")


def test_a_journal_is_what_it_says() -> None:
    """Its path is in its folder."""
    assert Journal("/var/lib/x", BOOT).path == "/var/lib/x/journal.jsonl"
