"""The read-ahead of every NFS mount: what to raise, what to leave alone, what cannot be. Pure."""

from collections.abc import Mapping

from agent.nfs import NfsMount
from agent.readahead import ReadAhead, ReadAheadChange, ReadAheadPolicy, Wanted, target_of, wanted
from agent.state import Finding, HostState, LeftAlone, Reason, Severity
from common.record import dataclass

BDI_FOLDER = "/sys/devices/virtual/bdi"
_REMEDY = f"give the agent {BDI_FOLDER} as a writable hostPath and name it in TUNEGATE_BDI"


@dataclass(frozen=True, slots=True)
class MountPlan:
    """What the mounts need; ``wanted_kib`` by device is what each should have at least."""

    changes: tuple[ReadAheadChange, ...]
    left_alone: tuple[LeftAlone, ...]
    findings: tuple[Finding, ...]
    wanted_kib: Mapping[str, int]


def plan_mounts(
    policy: ReadAheadPolicy, state: HostState, first_values: Mapping[str, str] | None = None
) -> MountPlan:
    """
    Return the writes that raise every NFS superblock's read-ahead to what is wanted.

    ``first_values`` are the first values by target of what still holds a value of ours: what
    earlier settings raised higher comes down to what is wanted now, but for a measured size, which
    varies by itself.
    """
    changes: list[ReadAheadChange] = []
    left_alone: list[LeftAlone] = []
    read_only: list[str] = []
    wanted_kib: dict[str, int] = {}
    for mount in state.mounts:
        target, now = target_of(mount.device), state.read_ahead.get(mount.device)
        if now is None:
            continue
        first_kib = int((first_values or {}).get(target, now.kib))
        aim = wanted(policy, state.round_trips.get(mount.server), _megabits(mount, state))
        if aim:
            wanted_kib[mount.device] = aim.kib
        floor_kib = now.kib if policy.is_measured else first_kib
        after_kib = max(aim.kib, floor_kib) if aim else first_kib
        if after_kib == now.kib:
            left_alone += [_left(target, now.kib, aim)] if aim else []
        elif now.is_writable:
            why = aim.why if aim and after_kib == aim.kib else "no longer wanted: its first value"
            changes.append(_change(mount, now, after_kib, why))
        else:
            read_only.append(mount.source)
    findings = [_read_only(read_only)] if read_only else []
    if policy.kib and state.mounts and state.read_ahead_problem:
        findings.append(_unreadable(state.read_ahead_problem))
    return MountPlan(tuple(changes), tuple(left_alone), tuple(findings), wanted_kib)


def _change(mount: NfsMount, now: ReadAhead, after_kib: int, why: str) -> ReadAheadChange:
    return ReadAheadChange(mount.device, now.superblock, mount.source, now.kib, after_kib, why)


def _left(target: str, now_kib: int, aim: Wanted) -> LeftAlone:
    why = "already at or above what is wanted" if now_kib > aim.kib else "as wanted"
    return LeftAlone(target, str(now_kib), why)


def _megabits(mount: NfsMount, state: HostState) -> int | None:
    """Return what the link that leads to the mount's server carries each second."""
    route = state.routes.get(mount.server)
    link = state.link(route.link_index) if route else None
    return state.link_megabits.get(link.name) if link else None


def _read_only(sources: list[str]) -> Finding:
    more = f" and of {len(sources) - 1} more NFS mounts" if len(sources) > 1 else ""
    message = f"the read-ahead of {sources[0]}{more} cannot be set, it is read-only here; "
    return Finding(
        "readahead", Severity.NOTE, Reason.READ_AHEAD_READ_ONLY, "readahead", message + _REMEDY
    )


def _unreadable(problem: str) -> Finding:
    message = f"the read-ahead of NFS mounts cannot be read: {problem}; {_REMEDY}"
    return Finding("readahead", Severity.NOTE, Reason.READ_AHEAD_UNREADABLE, "readahead", message)


def refused_finding(change: ReadAheadChange, detail: str, *, may_not: bool) -> Finding:
    """Return a note about a read-ahead that could not be written: no node fails for that."""
    message = f"the read-ahead of {change.source} stays {change.before} KiB: {detail}"
    reason = Reason.READ_AHEAD_REFUSED
    if may_not:
        message, reason = f"{message}; {_REMEDY}", Reason.READ_AHEAD_READ_ONLY
    return Finding("readahead", Severity.NOTE, reason, change.target, message)
