"""What was measured, what it amounts to, and what it cannot say. Pure."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from statistics import median
from typing import Any

from common.record import dataclass, field

JSON_VERSION = 1
MEGABYTE = 1_000_000
SHORT_SECONDS = 0.5
LEAST_RUNS = 3
BUSY_SHARE = 0.9
CACHED_SHARE = 0.02
ALIGNED_BYTES = 1 << 20
LEAST_PART_BYTES = 64 << 20
OTHERS_SHARE = 1.25


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


def warnings_of(settings: Settings, rows: Sequence[Row]) -> tuple[str, ...]:
    """Return a sentence for each thing that makes the figures less than they seem."""
    runs = [run for row in rows for run in row.runs]
    found = (
        _not_nfs(settings),
        _few(rows),
        _repeated(rows),
        _cached(rows),
        _short(runs),
        _cpu_bound(rows),
        _others(runs),
    )
    always = "the server's own cache, its disks and its other clients cannot be seen from here"
    return (*(sentence for sentence in found if sentence), always)


def _not_nfs(settings: Settings) -> str:
    if settings.filesystem != "other":
        return ""
    return "this file is not on NFS: what is measured is a disk or memory of this node"


def _few(rows: Sequence[Row]) -> str:
    if not any(0 < len(row.runs) < LEAST_RUNS for row in rows):
        return ""
    return f"fewer than {LEAST_RUNS} runs say little of the spread"


def _repeated(rows: Sequence[Row]) -> str:
    starts = [run.offset_bytes for row in rows for run in row.runs]
    if len(set(starts)) == len(starts):
        return ""
    return (
        "the file is too small for a part of its own for each run: the later ones may have come "
        "from the server's memory, so the first one is the one to believe"
    )


def _cached(rows: Sequence[Row]) -> str:
    shares = [
        run.cached_share
        for row in rows
        if row.mode is not Mode.DIRECT
        for run in row.runs
        if run.cached_share is not None
    ]
    worst = max(shares, default=0.0)
    if worst <= CACHED_SHARE:
        return ""
    return (
        f"up to {worst:.0%} of what was read stood in this node's page cache and could not be "
        "dropped (another process has it mapped): the true figures are lower"
    )


def _short(runs: Sequence[Run]) -> str:
    if not runs or min(run.seconds for run in runs) >= SHORT_SECONDS:
        return ""
    return (
        f"a run took less than {SHORT_SECONDS:g} s: a larger file or more --bytes give steadier "
        "figures"
    )


def _cpu_bound(rows: Sequence[Row]) -> str:
    busy = [
        row.mode.value
        for row in rows
        if any(run.cpu_seconds >= BUSY_SHARE * run.seconds for run in row.runs)
    ]
    if not busy:
        return ""
    return (
        f"the reader was short of CPU ({', '.join(busy)}): these figures are a processor's limit, "
        "not the network's"
    )


def _others(runs: Sequence[Run]) -> str:
    mine = sum(run.bytes for run in runs if run.received_bytes is not None)
    all_of_it = sum(run.received_bytes or 0 for run in runs)
    if all_of_it <= OTHERS_SHARE * mine:
        return ""
    return (
        f"the link received {all_of_it / max(mine, 1):.1f} times what was read here: other traffic "
        "took its part"
    )


def comparison_notes(before: Result, after: Result) -> tuple[str, ...]:
    """Return a sentence for each thing that makes a comparison less than it seems."""
    notes = []
    if (before.target, before.size_bytes) != (after.target, after.size_bytes):
        notes.append(f"what it is compared with was measured on {before.target}")
    same = [
        row.mode.value
        for row in after.rows
        if (earlier := before.row(row.mode)) and row.runs
        if earlier.lowest <= row.highest and row.lowest <= earlier.highest
    ]
    if same:
        notes.append(f"the runs before and after overlap ({', '.join(same)}): no difference shown")
    return tuple(notes)


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
