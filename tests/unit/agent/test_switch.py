"""What the Node says of itself: waited for, remembered for one boot, never guessed."""

import json
import threading
from pathlib import Path

import pytest

from agent import switch as module
from agent.facts import NodeFacts
from agent.mode import Mode, mode_of, unknown_word
from agent.switch import FILE_NAME, Switch
from common.names import LABEL_MODE

OBSERVED = NodeFacts({LABEL_MODE: "observe", "pool": "h100"}, "aws:///a/i-1")


def made(folder: Path, boot_id: str = "boot-1") -> tuple[Switch, list[str]]:
    """Return a switch and the list that grows with each change it tells of."""
    changes: list[str] = []
    return Switch(str(folder), boot_id, lambda: changes.append("changed")), changes


def test_what_was_never_read_is_not_known(tmp_path: Path) -> None:
    """An API server that is away ends the wait, and says nothing about the node."""
    switch, changes = made(tmp_path)
    switch.tell(None)
    assert switch.facts is None
    assert changes == []


def test_the_first_question_waits_for_the_answer(tmp_path: Path) -> None:
    """The loop asks while the Node is on its way; it gets the fresh word, not an old one."""
    first, _ = made(tmp_path)
    first.tell(NodeFacts({}))
    switch, changes = made(tmp_path)
    threading.Timer(0.05, switch.tell, (OBSERVED,)).start()
    assert switch.facts == OBSERVED
    assert changes == []


def test_a_boot_goes_on_as_it_was_told(tmp_path: Path) -> None:
    """Another agent of this boot finds what the last one read; another boot finds nothing."""
    first, _ = made(tmp_path)
    first.tell(OBSERVED)
    again, _ = made(tmp_path)
    again.tell(None)
    assert again.facts == OBSERVED
    rebooted, _ = made(tmp_path, "boot-2")
    rebooted.tell(None)
    assert rebooted.facts is None
    unreadable_boot, _ = made(tmp_path, "")
    unreadable_boot.tell(None)
    assert unreadable_boot.facts is None


def test_a_wait_without_any_answer_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet that is swallowed must not keep the process from being seen alive."""
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.01)
    switch, _ = made(tmp_path)
    assert switch.facts is None


def test_only_what_differs_is_told(tmp_path: Path) -> None:
    """The kubelet writes its Node every few minutes: that is no news."""
    switch, changes = made(tmp_path)
    switch.tell(OBSERVED)
    switch.tell(OBSERVED)
    assert changes == []
    switch.tell(NodeFacts({}))
    assert changes == ["changed"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"boot": "boot-1"}', '{"boot": "boot-1", "labels": 3}', "null"]
)
def test_a_damaged_memory_is_no_memory(tmp_path: Path, text: str) -> None:
    """A half-written file says nothing."""
    (tmp_path / FILE_NAME).write_text(text)
    switch, _ = made(tmp_path)
    switch.tell(None)
    assert switch.facts is None


def test_a_folder_that_cannot_be_written_costs_only_the_memory(tmp_path: Path) -> None:
    """A full disk must not keep a node from being tuned."""
    switch, _ = made(tmp_path / "absent")
    switch.tell(OBSERVED)
    assert switch.facts == OBSERVED


def test_the_memory_is_plain(tmp_path: Path) -> None:
    """People and later agents read it."""
    made(tmp_path)[0].tell(OBSERVED)
    assert json.loads((tmp_path / FILE_NAME).read_text()) == {
        "boot": "boot-1",
        "labels": {LABEL_MODE: "observe", "pool": "h100"},
        "providerID": "aws:///a/i-1",
    }


@pytest.mark.parametrize(
    ("word", "mode"),
    [
        (None, Mode.APPLY),
        ("apply", Mode.APPLY),
        ("observe", Mode.OBSERVE),
        ("off", Mode.OFF),
        ("OFF", Mode.OBSERVE),
        ("", Mode.OBSERVE),
    ],
)
def test_a_word_that_is_no_mode_only_observes(word: str | None, mode: Mode) -> None:
    """Who typed something meant less than all."""
    facts = NodeFacts({} if word is None else {LABEL_MODE: word})
    assert mode_of(facts) is mode
    assert bool(unknown_word(facts)) == (word in ("OFF", ""))
