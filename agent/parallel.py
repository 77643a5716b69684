"""Wait for several network answers at the same time."""

from collections.abc import Callable, Sequence
from typing import TypeVar

MAX_THREADS = 16

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def side_by_side(ask: Callable[[Item], Answer], items: Sequence[Item]) -> list[Answer]:
    """
    Return the answers in the order of the items; raises what the first failing call raised.

    A single item is asked by the calling thread: the common case pays for no import. So is each
    where no thread can be had, one after the other.
    """
    if len(items) < 2:  # noqa: PLR2004 - one needs no company
        return [ask(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - 10 ms, seldom needed

    with ThreadPoolExecutor(max_workers=min(len(items), MAX_THREADS)) as pool:
        try:
            asked = [pool.submit(ask, item) for item in items]
        except RuntimeError:  # can't start new thread
            pool.shutdown(wait=True, cancel_futures=True)
            return [ask(item) for item in items]
        return [answer.result() for answer in asked]
