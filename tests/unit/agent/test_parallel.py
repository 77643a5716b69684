"""Questions asked at the same time."""

import threading

import pytest

from agent.parallel import side_by_side


def test_answers_keep_the_order_and_the_calls_overlap() -> None:
    """Every call waits for every other: one after the other they would never end."""
    together = threading.Barrier(3, timeout=10)

    def ask(number: int) -> int:
        together.wait()
        return number * 2

    assert side_by_side(ask, [3, 1, 2]) == [6, 2, 4]


def test_one_question_is_asked_by_the_caller_itself() -> None:
    """The common case starts no thread."""
    assert side_by_side(lambda _: threading.current_thread(), [1]) == [threading.current_thread()]
    assert side_by_side(str, []) == []


def test_a_failing_call_fails_the_whole() -> None:
    """An error is never lost among the answers."""
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda number: 1 // number, [1, 0, 2])


@pytest.mark.parametrize("had", [0, 1])
def test_where_no_thread_can_be_had_the_caller_asks(
    monkeypatch: pytest.MonkeyPatch, had: int
) -> None:
    """As under a limit on processes: every answer is there, each question was asked."""
    start, left = threading.Thread.start, [had]

    def refused(thread: threading.Thread) -> None:
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    assert side_by_side(str, [1, 2, 3]) == ["1", "2", "3"]
