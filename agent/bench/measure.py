"""The order of the runs: each mode once before any a second time, within bytes and time."""

import time
from collections.abc import Callable

from agent.bench.results import Mode, Row, Run, offsets, share_bytes
from agent.bench.sources import BenchError, ModeError, Source, Task
from common.record import dataclass, field, replace

LEAST_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a bench may read and how long it may take: bytes a run, seconds in all."""

    bytes: int
    seconds: float
    runs: int
    modes: tuple[Mode, ...] = tuple(Mode)


@dataclass(slots=True)
class Measured:
    """What has been measured so far; ``problem`` says why there is no more, "" when all is done."""

    runs: dict[Mode, list[Run]] = field(default_factory=dict)
    skipped: dict[Mode, str] = field(default_factory=dict)
    problem: str = ""

    def rows(self) -> tuple[Row, ...]:
        """Return a row for each mode that was tried."""
        modes = dict.fromkeys((*self.runs, *self.skipped))
        return tuple(
            Row(mode, tuple(self.runs.get(mode, ())), self.skipped.get(mode, "")) for mode in modes
        )


Told = Callable[[Mode, int, float, float], None]
"""Told of progress: the mode, which run, the part of it that is done (0 to 1), MB/s so far."""
Received = Callable[[], int | None]
"""Tells how many bytes the storage link has received since boot, None when there is none."""


def measure(source: Source, limits: Limits, into: Measured, tell: Told, received: Received) -> None:
    """Do all runs, adding to ``into`` as they end, so that an interrupt loses none."""
    modes = [mode for mode in source.modes if mode in limits.modes]
    number = len(modes) * limits.runs
    a_run = share_bytes(source.size_bytes, limits.bytes, number) or limits.bytes
    starts = offsets(source.size_bytes, a_run, number)
    deadline = time.monotonic() + limits.seconds
    for index, start in enumerate(starts):
        mode, left = modes[index % len(modes)], deadline - time.monotonic()
        if mode in into.skipped:
            continue
        if left < LEAST_SECONDS:
            into.problem = f"the time limit of {limits.seconds:g} s ended it"
            return
        seconds = left / (number - index)
        try:
            run = _run(
                source, Task(mode, start, a_run, seconds), index // len(modes), tell, received
            )
        except ModeError as error:
            into.skipped[mode] = str(error)
        except BenchError as error:
            into.problem = str(error)
            return
        else:
            into.runs.setdefault(mode, []).append(run)


def _run(source: Source, task: Task, number: int, tell: Told, received: Received) -> Run:
    def on(done: int, seconds: float) -> None:
        tell(task.mode, number, done / task.bytes, done / 1e6 / max(seconds, 1e-6))

    tell(task.mode, number, 0.0, 0.0)
    before = received()
    run = source.run(task, on)
    after = received()
    if before is None or after is None:
        return run
    return replace(run, received_bytes=after - before)
