"""What was measured and what it amounts to, also as JSON. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from statistics import median
from typing import Any

from common.record import dataclass, field

JSON_VERSION = 1
MEGABYTE = 1_000_000
ALIGNED_BYTES = 1 << 20
LEAST_PART_BYTES = 64 << 20


class Mode(StrEnum):
    """How the file is read, always from its lower to its higher bytes."""

    READ = "read"  # read(2), 1 MiB at a time
    MMAP = "mmap"  # page faults, as safetensors reads
    DIRECT = "direct"  # O_DIRECT, past the page cache
    USER = "user"  # libnfs, an NFS client outside the kernel


@dataclass(frozen=True, slots=True)
class Run:
    """
    One pass over one part of the file.

    ``cpu_seconds`` is what the reader computed, ``cached_share`` the part of the range (0 to 1)
    that was still in the page cache before, None where nobody can tell; ``received_bytes`` is what
    the storage link received meanwhile, None when there is no such link.
    """

    offset_bytes: int
    bytes: int
    seconds: float
    cpu_seconds: float = 0.0
    cached_share: float | None = None
    received_bytes: int | None = None
    is_cut: bool = False  # ended by the time limit

    @property
    def rate(self) -> float:
        """Return MB/s, a megabyte being 10^6 bytes."""
        return self.bytes / MEGABYTE / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """All runs of one mode, or why there are none."""

    mode: Mode
    runs: tuple[Run, ...] = ()
    skipped: str = ""

    @property
    def median(self) -> float:
        """Return the median of the rates, MB/s."""
        return median(run.rate for run in self.runs) if self.runs else 0.0

    @property
    def lowest(self) -> float:
        """Return the slowest run, MB/s."""
        return min((run.rate for run in self.runs), default=0.0)

    @property
    def highest(self) -> float:
        """Return the fastest run, MB/s."""
        return max((run.rate for run in self.runs), default=0.0)


@dataclass(frozen=True, slots=True)
class Settings:
    """
    What was in force while it was measured; 0 and "" for what could not be told.

    ``filesystem`` is "nfs" for NFS mounts, "other" for a file that is none.
    """

    kernel: str = ""
    filesystem: str = ""
    server: str = ""
    version: str = ""
    nconnect: int = 0
    rsize_bytes: int = 0
    read_ahead_kib: int = 0
    link: str = ""
    mtu_bytes: int = 0
    tcp_rmem: str = ""
    tcp_wmem: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """One bench: what was read, under which settings, all rows, what to know."""

    target: str
    size_bytes: int
    settings: Settings
    rows: tuple[Row, ...]
    warnings: tuple[str, ...] = field(default_factory=tuple)

    def row(self, mode: Mode) -> Row | None:
        """Return the row of a mode that was measured, or None."""
        return next((row for row in self.rows if row.mode is mode and row.runs), None)


def share_bytes(size_bytes: int, most_bytes: int, number: int) -> int:
    """Return how much each of so many runs reads: a part of its own where that is large enough."""
    part = size_bytes // max(number, 1) // ALIGNED_BYTES * ALIGNED_BYTES
    return min(most_bytes, part if part >= LEAST_PART_BYTES else size_bytes)


def offsets(size_bytes: int, bytes_a_run: int, number: int) -> tuple[int, ...]:
    """
    Return where each of so many runs begins: in parts that do not overlap while there are such.

    Reading a part again may come from the server's memory; a file smaller than all runs together
    has no other choice.
    """
    parts = max(1, size_bytes // bytes_a_run) if bytes_a_run else 1
    return tuple(index % parts * bytes_a_run for index in range(number))


def to_object(result: Result) -> dict[str, Any]:
    """Return the result as JSON's own types; ``from_object`` reads it back."""
    settings = result.settings
    return {
        "version": JSON_VERSION,
        "target": result.target,
        "sizeBytes": result.size_bytes,
        "settings": {_camel(name): getattr(settings, name) for name in _SETTINGS},
        "rows": [_row_object(row) for row in result.rows],
        "warnings": list(result.warnings),
    }


_SETTINGS = (
    *("kernel", "filesystem", "server", "version", "nconnect", "rsize_bytes"),
    *("read_ahead_kib", "link", "mtu_bytes", "tcp_rmem", "tcp_wmem"),
)
_RUN = (
    *("offset_bytes", "bytes", "seconds", "cpu_seconds"),
    *("cached_share", "received_bytes", "is_cut"),
)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


def _row_object(row: Row) -> dict[str, object]:
    return {
        "mode": row.mode.value,
        "medianMBps": round(row.median, 1),
        "lowestMBps": round(row.lowest, 1),
        "highestMBps": round(row.highest, 1),
        "runs": [{_camel(name): getattr(run, name) for name in _RUN} for run in row.runs],
        "skipped": row.skipped,
    }


def from_object(raw: object) -> Result:
    """
    Return a result that ``to_object`` made.

    Raises:
        ValueError: It is none, or of a version that is not known.
    """
    try:
        decoded: Mapping[str, Any] = raw if isinstance(raw, dict) else {}
        if decoded.get("version") != JSON_VERSION:
            raise ValueError(f"no result of this bench (version {JSON_VERSION})")
        held = decoded["settings"]
        rows = tuple(
            Row(
                Mode(row["mode"]),
                tuple(Run(**{name: run[_camel(name)] for name in _RUN}) for run in row["runs"]),
                row["skipped"],
            )
            for row in decoded["rows"]
        )
        settings = Settings(**{name: held[_camel(name)] for name in _SETTINGS})
        return Result(
            decoded["target"], decoded["sizeBytes"], settings, rows, tuple(decoded["warnings"])
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"damaged: {error!r}") from error
