"""Why the loop wakes, and when it wakes by itself."""

import time
from enum import Enum, auto
from math import inf

from agent.ports import AgentError
from common.record import dataclass

SPACING_SECONDS = 0.02
"""The least time between two looks at the host, so that a storm of news costs little."""


class News(Enum):
    """Why the loop wakes."""

    HOST = auto()  # a link, route, address or mount changed
    SWITCH = auto()  # the Node says something new of itself: its mode, its pool
    RETRY_FULL = auto()  # a person asks to try the full size again
    STOP = auto()


class HeldBackError(AgentError):
    """The Node does not say, or not yet, that its host may be written to."""


@dataclass(slots=True)
class Due:
    """When the loop wakes by itself, monotonic seconds."""

    poll: float = 0.0
    prove: float = 0.0
    judge: float = inf  # mounts came or went since they were judged


def space(began_seconds: float) -> None:
    """Sleep until the next look at the host may begin."""
    spent = time.monotonic() - began_seconds
    if spent < SPACING_SECONDS:
        time.sleep(SPACING_SECONDS - spent)
