"""What the figures of a bench cannot say, and what makes them less than they seem. Pure."""

from collections.abc import Sequence

from agent.bench.results import Mode, Result, Row, Run, Settings

SHORT_SECONDS = 0.5
LEAST_RUNS = 3
BUSY_SHARE = 0.9
CACHED_SHARE = 0.02
OTHERS_SHARE = 1.25


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
    always = (
        "the server's own cache, disks and other clients, and what offloads of the NICs spare "
        "or hide, cannot be seen from here"
    )
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
