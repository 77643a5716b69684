"""
``make demo``: a GPU node joins, is tuned, proven and opened; then things go wrong, and are mended.

Every value on the screen is read from the kernel or the API server at that moment. Exit codes: 0
only when every step really happened; 1 one did not; 2 this machine cannot; 128 + signal when ended.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.lab.demo_story import AGENT, Story
from tests.lab.lab import Lab, missing_programs
from tests.lab.screen import Screen

AGENT_LINES = 15
OTHER_LINES = 3
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(BaseException):
    """A person or the system ended the demo; not to be taken for a step that failed."""

    def __init__(self, number: int) -> None:
        """Keep the signal."""
        super().__init__(number)
        self.number = number


def main() -> int:
    """Tell the story; return the exit code."""
    lacking = missing_programs()
    if lacking:
        print(f"the demo needs {', '.join(lacking)}: run it by `make demo`, as root")
        return 2
    screen = Screen()
    _end_once()
    try:
        screen.head("A lab of real parts: network namespaces, nfs-ganesha, Kubernetes")
        with _closed(Lab.up(progress=screen.line), screen) as lab:
            Story(lab, screen).tell()
    except Ended as ended:
        screen.line(f"ended by {signal.Signals(ended.number).name}; the lab is gone", "warn")
        return 128 + ended.number
    except Exception as error:  # noqa: BLE001 - whatever it was, the person is told
        screen.line(f"the demo failed: {_reason(error)}", "bad")
        return 1
    _farewell(screen)
    return 0


@contextmanager
def _closed(lab: Lab, screen: Screen) -> Iterator[Lab]:
    """End the lab whatever happens; on a failure show what its parts said last."""
    try:
        yield lab
    except Exception as error:
        screen.line(f"this did not happen: {_reason(error)}", "bad")
        _show_logs(lab.lab_dir.path / "logs", screen)
        raise
    finally:
        _end_no_more()
        lab.close()


def _show_logs(folder: Path, screen: Screen) -> None:
    """Quote the end of every log, the agent's last and longest."""
    for log in sorted(folder.iterdir(), key=lambda path: path.stem == AGENT):
        lines = log.read_text(errors="replace").splitlines()
        shown = AGENT_LINES if log.stem == AGENT else OTHER_LINES
        screen.line(f"{log.name}: {len(lines)} lines, the last of them:", "warn")
        screen.quote("\n".join(line[:300] for line in lines[-shown:]))


def _reason(error: Exception) -> str:
    """Return the text of an expected error, and the kind of any other before it."""
    text = str(error)[:600]
    return text if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}"


def _end_once() -> None:
    """Have the first signal end the story; more of them cannot disturb the cleaning up."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        _end_no_more()
        raise Ended(number)

    for number in _ENDING:
        # under nohup a terminal that closes is no reason to end
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


def _end_no_more() -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


def _farewell(screen: Screen) -> None:
    screen.line("everything is cleaned up")
    screen.head("To look around yourself:")
    for command, what in (
        ("make lab-up", "the same lab, left running"),
        ("make lab-shell", "a shell on its GPU node: tunegate-agent plan, kubectl, ip link"),
        ("make lab-down", "and away with it"),
        ("make test", "all tests; `make check` those that need no root; `make help` the rest"),
    ):
        print(f"  {command:<15} {what}")


if __name__ == "__main__":
    sys.exit(main())
