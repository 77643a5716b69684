"""
From the journal and what is there to the writes that put first values back. Pure.

A value goes back only where one of ours still stands, on the very target that it was written to.
"""

from collections.abc import Mapping

from agent.links import stack
from agent.plan import held_up, in_order, link_target
from agent.readahead import ReadAheadChange, device_of
from agent.state import (
    Change,
    Finding,
    HostState,
    LeftAlone,
    LinkMtuChange,
    LinkName,
    Plan,
    Reason,
    Severity,
    SysctlChange,
    SysctlKey,
)
from agent.targets import current_value, link_name, superblock_of
from common.record import dataclass

_UNREAD = "cannot be read now"


@dataclass(frozen=True, slots=True)
class Original:
    """
    A target's first value and every value that we wrote over it since.

    ``superblock`` is that of a read-ahead's mount, 0 of all else: a device number is used again.
    """

    target: str
    first: str
    written: tuple[str, ...]
    superblock: int = 0


def plan_revert(originals: tuple[Original, ...], state: HostState) -> Plan:
    """
    Return the writes that put first values back, only where a value of ours still stands.

    A value that somebody else wrote since is left alone and named.
    """
    left_alone: list[LeftAlone] = []
    others: list[Change] = []
    wanted: dict[LinkName, int] = {}
    for original in originals:
        now = standing_value(original, state)
        if _is_unread(original, state):
            left_alone.append(LeftAlone(original.target, "unknown", _UNREAD))
        elif now is None:
            left_alone.append(LeftAlone(original.target, "absent", "it is gone"))
        elif now == original.first:
            left_alone.append(LeftAlone(original.target, now, "holds its first value"))
        elif now not in original.written:
            why = f"somebody else wrote it since; the first value was {original.first}"
            left_alone.append(LeftAlone(original.target, now, why))
        elif original.target.startswith("sysctl/"):
            key = SysctlKey(original.target.removeprefix("sysctl/"))
            others.append(SysctlChange(key, now, original.first, "first value"))
        elif device := device_of(original.target):
            others.append(_read_ahead_back(device, original, state))
        else:
            wanted[link_name(original.target)] = int(original.first)
    for name, child in held_up(wanted, state).items():
        why = f"{child.name} stands on it, and somebody else wrote its MTU {child.mtu_bytes}"
        left_alone.append(LeftAlone(link_target(name), str(wanted.pop(name)), why))
    return Plan((*_revert_links(wanted, state), *others), tuple(left_alone))


def held_back(originals: tuple[Original, ...], state: HostState) -> bool:
    """Return whether a link must keep a value of ours, so that its first one is wanted later."""
    wanted = {
        link_name(item.target): int(item.first)
        for item in originals
        if item.target.startswith("link/") and standing_value(item, state) in item.written
    }
    return bool(held_up(wanted, state))


def unread(originals: tuple[Original, ...], state: HostState) -> tuple[Finding, ...]:
    """Return a note for each target that may hold a value of ours, as it cannot be read now."""
    return tuple(
        Finding(
            "journal",
            Severity.NOTE,
            Reason.HOST_UNREADABLE,
            item.target,
            f"{item.target} {_UNREAD}, so its first value {item.first} stays in the journal",
        )
        for item in originals
        if _is_unread(item, state)
    )


def _is_unread(original: Original, state: HostState) -> bool:
    """Return whether a target may be there all the same: a read failed, and it was not found."""
    if device := device_of(original.target):
        mounted = {mount.device for mount in state.mounts}
        may_be_there = device in mounted or not mounted
        return bool(state.read_ahead_problem) and may_be_there and device not in state.read_ahead
    is_missing = current_value(original.target, state) is None
    return is_missing and any(original.target in problem for problem in state.problems)


def _read_ahead_back(device: str, original: Original, state: HostState) -> ReadAheadChange:
    source = next((mount.source for mount in state.mounts if mount.device == device), "")
    now = state.read_ahead[device]
    return ReadAheadChange(
        device, now.superblock, source, now.kib, int(original.first), "first value"
    )


def _revert_links(wanted: Mapping[LinkName, int], state: HostState) -> tuple[LinkMtuChange, ...]:
    ranked = sorted(
        (link for link in state.links if link.name in wanted),
        key=lambda link: len(stack(link, state)),
    )
    changes = [
        LinkMtuChange(link.name, link.index, link.mtu_bytes, wanted[link.name], "first value")
        for link in ranked
    ]
    return in_order(changes)


def value_held(change: Change, state: HostState) -> str | None:
    """Return what the very target of a change held in a state, None when it was not there."""
    superblock = change.superblock if isinstance(change, ReadAheadChange) else 0
    return standing_value(Original(change.target, change.before, (), superblock), state)


def standing_value(original: Original, state: HostState) -> str | None:
    """Return what the very target that was written holds now, None when that one is gone."""
    is_same = superblock_of(original.target, state) == original.superblock
    return current_value(original.target, state) if is_same else None
