"""A bench as a table for people or JSON for scripts, and its progress bar. Pure."""

import json
from collections.abc import Mapping

from agent.bench.cautions import comparison_notes
from agent.bench.results import Mode, Result, Row, Settings, to_object
from common.wording import wrapped

WIDTH = 80
BAR_WIDTH = 20
NAMES = {
    Mode.READ: "sequential read, 1 MiB",
    Mode.MMAP: "mmap read",
    Mode.DIRECT: "direct read (O_DIRECT)",
    Mode.USER: "user-space read (libnfs)",
}
_NAME_WIDTH = max(map(len, NAMES.values()))
_GIB = 1 << 30
_PLAIN_FROM = 100  # MB/s from which a tenth is not worth its place
_DEFAULT_READ_AHEAD_KIB = 128  # VM_READAHEAD_PAGES; NFS since 5.4 (commit c128e575514c)
_DEFAULT_MTU_BYTES = 1500
_DEFAULT_RMEM = ("4096 131072 6291456", "4096 131072 33554432")  # before and from 6.16


def ratios(before: Result, after: Result) -> Mapping[Mode, float]:
    """Return the median after over the median before, for each mode that both measured."""
    found = {}
    for row in after.rows:
        earlier = before.row(row.mode)
        if row.runs and earlier and earlier.median:
            found[row.mode] = row.median / earlier.median
    return found


def bench_json(result: Result, before: Result | None, problem: str) -> str:
    """Return the result as one JSON object, with ``before`` and ``ratios`` where there is one."""
    compared = ratios(before, result) if before else {}
    return json.dumps(
        {
            **to_object(result),
            "problem": problem,
            "before": to_object(before) if before else None,
            "notes": list(comparison_notes(before, result)) if before else [],
            "ratios": {mode.value: round(ratio, 3) for mode, ratio in compared.items()},
        },
        indent=2,
    )


def bench_text(result: Result, before: Result | None, problem: str) -> str:
    """Return what was read, the table, what was in force, what to know; 80 columns."""
    lines = wrapped(f"{result.target}{_about(result)}", WIDTH, then="  ")
    lines += ["", *(_compared(before, result) if before else _alone(result)), ""]
    lines += _settings_lines(before.settings if before else None, result.settings)
    notes = comparison_notes(before, result) if before else ()
    for sentence in (*notes, *result.warnings):
        lines += wrapped(f"- {sentence}", WIDTH, then="  ")
    if problem:
        lines += wrapped(f"Stopped: {problem}", WIDTH, then="  ")
    return "\n".join(lines)


def _about(result: Result) -> str:
    held = result.settings
    parts = [_size(result.size_bytes)] if result.size_bytes else []
    if held.server:
        parts.append(f"NFS {held.version} from {held.server}".replace("  ", " "))
    if held.nconnect:
        parts.append(f"nconnect {held.nconnect}, rsize {held.rsize_bytes >> 10} KiB")
    return f" ({', '.join(parts)})" if parts else ""


def _size(size_bytes: int) -> str:
    return f"{size_bytes / _GIB:.1f} GiB" if size_bytes >= _GIB else f"{size_bytes >> 20} MiB"


def _alone(result: Result) -> list[str]:
    head = f"{'MB/s':<{_NAME_WIDTH}}  {'median':>8}  {'lowest':>8}  {'highest':>8}  {'runs':>4}"
    return [head, *(_row(row) for row in result.rows)]


def _row(row: Row) -> str:
    name = f"{NAMES[row.mode]:<{_NAME_WIDTH}}"
    if not row.runs:
        return f"{name}  not measured: {row.skipped or 'no run ended'}"
    figures = "  ".join(f"{value:>8.1f}" for value in (row.median, row.lowest, row.highest))
    return f"{name}  {figures}  {len(row.runs):>4}"


def _compared(before: Result, after: Result) -> list[str]:
    head = f"{'MB/s, median (spread)':<{_NAME_WIDTH}}  {'before':>18}  {'after':>18}  {'ratio':>6}"
    compared = ratios(before, after)
    lines = [head]
    for row in after.rows:
        ratio = f"{compared[row.mode]:.2f}x" if row.mode in compared else "-"
        cells = "  ".join(f"{_cell(item):>18}" for item in (before.row(row.mode), row))
        lines.append(f"{NAMES[row.mode]:<{_NAME_WIDTH}}  {cells}  {ratio:>6}")
    return lines


def _cell(row: Row | None) -> str:
    if row is None or not row.runs:
        return "-"
    digits = 0 if row.highest >= _PLAIN_FROM else 1
    return f"{row.median:.1f} ({row.lowest:.{digits}f}-{row.highest:.{digits}f})"


def _settings_lines(before: Settings | None, now: Settings) -> list[str]:
    """Return what was in force, and what the kernel would have had by itself."""
    rows = (
        (f"MTU of {now.link}", now.link, before and before.mtu_bytes, now.mtu_bytes),
        ("read-ahead, KiB", now.version, before and before.read_ahead_kib, now.read_ahead_kib),
        ("tcp_rmem", True, before and before.tcp_rmem, now.tcp_rmem),
        ("nconnect", now.version, before and before.nconnect, now.nconnect),
    )
    lines = [f"  {name:<16} {_change(name, old, new)}" for name, known, old, new in rows if known]
    return [f"kernel {now.kernel}", *lines, ""]


def _change(name: str, earlier: object, later: object) -> str:
    """Return a value, or both where it changed, with a word about the kernel's own."""
    if earlier and earlier != later:
        word = " (from default)" if _is_default(name, earlier) else ""
        return f"{earlier} -> {later}{word}"
    return f"{later}{'  (the default)' if _is_default(name, later) else ''}"


def _is_default(name: str, value: object) -> bool:
    """Return whether this is what the kernel has by itself."""
    defaults: dict[str, bool] = {
        "read-ahead, KiB": value == _DEFAULT_READ_AHEAD_KIB,
        "tcp_rmem": value in _DEFAULT_RMEM,
        "nconnect": value == 1,
    }
    return defaults.get(name, name.startswith("MTU") and value == _DEFAULT_MTU_BYTES)


def progress_line(mode: Mode, number: int, runs: int, part: float, rate: float) -> str:
    """Return one line of progress, narrower than 80 columns."""
    filled = round(min(part, 1.0) * BAR_WIDTH)
    bar = "#" * filled + "." * (BAR_WIDTH - filled)
    shown = f"{rate:7.0f} MB/s" if rate else ""
    return f"{NAMES[mode]:<{_NAME_WIDTH}} {number + 1}/{runs} [{bar}] {shown:<12}"
