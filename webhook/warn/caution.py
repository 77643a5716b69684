"""What a warning is, and how many of them fit into an answer of the webhook."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from webhook.warn.scene import Scene

PAGE: Final = "docs/warnings.md"
MAX_LINE: Final = 256
MAX_LINES: Final = 4096
"""
Characters of one warning and of all: the API server cuts what is longer.

Source: k8s.io/apiserver pkg/endpoints/filters/warning.go (truncateAtTotalRunes,
truncateItemRunes).
"""
SPEAKER: Final = "tunegate"
_RESERVE: Final = 120


class Severity(IntEnum):
    """What happens if nobody listens; the worst comes first."""

    BREAKS = 0
    LOSES_REQUESTS = 1
    SLOWS = 2
    RISKS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """
    One documented mistake.

    Attributes:
        name: what people look up, CamelCase; it never changes.
        what, why, cure: sentences for docs/warnings.md.
        example: YAML that is right, for docs/warnings.md.
        judge: returns one sentence without a full stop about this pod, "" where nothing is wrong.
        is_of_pod: it is about the pod or its workload, whichever container serves.
    """

    name: str
    severity: Severity
    what: str
    why: str
    cure: str
    example: str
    judge: "Callable[[Scene], str]"
    is_of_pod: bool = False


@dataclass(frozen=True, slots=True)
class Caution:
    """One mistake in one manifest; `place` says where it is, "" if that is plain."""

    name: str
    severity: Severity
    message: str
    place: str = ""

    @property
    def line(self) -> str:
        """The warning as people read it, at most 256 characters."""
        place = f"{self.place}: " if self.place else ""
        return clipped(f"{self.name}: {place}{self.message}")

    @property
    def link(self) -> str:
        """Where its cure is written down."""
        return f"{PAGE}#{self.name.lower()}"


def clipped(text: str, longest: int = MAX_LINE) -> str:
    """Return a text on one line that is not longer than this, an ellipsis where it was cut."""
    line = "".join(char if char.isprintable() else " " for char in text)
    return line if len(line) <= longest else f"{line[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"


def bounded(cautions: Iterable[Caution]) -> tuple[str, ...]:
    """
    Return as many lines as an answer may hold; the last one tells how many more there are.

    Each says whose it is: kubectl prints the warnings of every webhook alike.
    """
    lines = [clipped(f"{SPEAKER} {caution.line}") for caution in cautions]
    kept, left = 0, MAX_LINES - _RESERVE
    for line in lines:
        left -= len(line)
        if left < 0:
            break
        kept += 1
    if kept == len(lines):
        return tuple(lines)
    more = len(lines) - kept
    return (
        *lines[:kept],
        f"{SPEAKER}: {more} more; kubectl tunegate explain -f FILE shows all of them",
    )
