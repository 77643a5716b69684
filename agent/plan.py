"""
From what is wanted and what is there to the list of writes, in order. Pure.

Verifying is planning again and finding the plan empty; ``agent.revert`` plans the way back.
"""

from collections.abc import Mapping, Sequence

from agent.links import (
    SETS_MEMBERS,
    STACKED_ON_LOWER,
    Choice,
    LinkPolicy,
    choose,
    members,
    stack,
)
from agent.mount_plan import plan_mounts
from agent.readahead import ReadAheadPolicy
from agent.state import (
    Change,
    Endpoint,
    Finding,
    HostState,
    LeftAlone,
    Link,
    LinkMtuChange,
    LinkName,
    Plan,
    Reason,
    Severity,
    SysctlChange,
)
from agent.sysctls import MemoryGuard, SysctlRow, guarded, value_to_write
from agent.targets import sysctl_key
from common.record import dataclass, field


@dataclass(frozen=True, slots=True)
class Desired:
    """
    What the configuration wants, narrowed by what this pass has learned.

    ``ceilings`` holds, per link, the largest MTU that was proven or accepted (a black hole, a
    refusal, a server that does not answer yet); ``first_values`` the journal's first value of each
    target that still holds a value of ours: no link is lowered below it. ``auto_from`` says what
    ``mtu_bytes`` comes from where it is auto, "" where a person named it. ``is_releasing``: links
    that earlier settings tuned and these do not get their first MTU back. ``limits`` are what the
    cloud carries on some links, below ``mtu_bytes``.
    """

    mtu_bytes: int
    rows: tuple[SysctlRow, ...]
    guard: MemoryGuard
    links: LinkPolicy = field(default_factory=LinkPolicy)
    read_ahead: ReadAheadPolicy = field(default_factory=ReadAheadPolicy)
    endpoints: tuple[Endpoint, ...] = ()
    ceilings: Mapping[LinkName, int] = field(default_factory=dict)
    first_values: Mapping[str, str] = field(default_factory=dict)
    ignored_targets: frozenset[str] = frozenset()
    auto_from: str = ""
    is_releasing: bool = False
    limits: Mapping[LinkName, int] = field(default_factory=dict)


def link_target(name: LinkName) -> str:
    """Return the target name of a link's MTU."""
    return f"link/{name}/mtu"


def plan(desired: Desired, state: HostState) -> Plan:
    """Return the writes that bring the host to what is desired, in the order they must happen."""
    choice = choose(state, desired.endpoints, desired.links)
    wanted = _wanted_mtus(choice, desired, state)
    changes: list[Change] = [*_link_changes(wanted, desired, state)]
    left_alone = list(choice.left_alone)
    findings = [*_endpoint_findings(desired, choice), *choice.findings]
    for row in desired.rows:
        _plan_sysctl(row, desired, state, changes, left_alone, findings)
    changes += _unwanted_sysctls(desired, state)
    findings += _maximum_findings(choice, desired, state)
    mounts = plan_mounts(desired.read_ahead, state, desired.first_values)
    links = {name: wanted[name] for name in choice.links}
    kept = [
        change
        for change in (*changes, *mounts.changes)
        if change.target not in desired.ignored_targets
    ]
    return Plan(
        tuple(kept),
        (*left_alone, *mounts.left_alone),
        (*findings, *mounts.findings),
        links,
        mounts.wanted_kib,
    )


def _endpoint_findings(desired: Desired, choice: Choice) -> tuple[Finding, ...]:
    if desired.endpoints or choice.links:
        return ()
    return (
        Finding(
            check="endpoints",
            severity=Severity.DEGRADED,
            reason=Reason.NO_STORAGE_ENDPOINT,
            target="",
            message="no storage endpoint is known, so no link was tuned; name the NFS server in "
            "storage.endpoints, or the link in links.include",
        ),
    )


def _maximum_findings(choice: Choice, desired: Desired, state: HostState) -> list[Finding]:
    """
    Return a note for each link that is held to its own maximum, e.g. 8896 or 3900 in clouds.

    Where the MTU is auto, that maximum is the target.
    """
    if desired.auto_from:
        return []
    held = {
        layer
        for name in choice.links
        if (link := state.named(name))
        for layer in stack(link, state)
        if layer.max_mtu_bytes and layer.max_mtu_bytes < desired.mtu_bytes
    }
    return [
        Finding(
            check="links",
            severity=Severity.NOTE,
            reason=Reason.LINK_BELOW_TARGET,
            target=link.name,
            message=f"{link.name} carries {link.max_mtu_bytes} at most, the target is "
            f"{desired.mtu_bytes}",
        )
        for link in sorted(held, key=lambda one: one.index)
    ]


def _wanted_mtus(choice: Choice, desired: Desired, state: HostState) -> dict[LinkName, int]:
    """Return the MTU of each chosen link and of all it stands on, computed from below."""
    wanted: dict[LinkName, int] = {}
    for name in choice.links:
        link = state.named(name)
        if link is None:
            continue
        layers = stack(link, state)
        ceiling = min(
            (desired.ceilings[layer.name] for layer in layers if layer.name in desired.ceilings),
            default=desired.mtu_bytes,
        )
        for layer in layers:
            mtu = _wanted_mtu(layer, min(ceiling, desired.mtu_bytes), wanted, desired, state)
            wanted[layer.name] = max(mtu, wanted.get(layer.name, 0))
    is_routed = not any(item.reason is Reason.ENDPOINT_UNROUTED for item in choice.findings)
    if desired.is_releasing and is_routed:
        wanted |= _released(wanted, desired, state)
    return wanted | _carried_down(wanted, desired, state)


def _released(
    wanted: Mapping[LinkName, int], desired: Desired, state: HostState
) -> dict[LinkName, int]:
    """Return the first MTU of each link of ours that is not wanted, but for what holds it up."""
    first = {
        link.name: int(desired.first_values[link_target(link.name)])
        for link in sorted(state.links, key=lambda link: len(stack(link, state)))
        if link.name not in wanted and link_target(link.name) in desired.first_values
    }
    held = held_up({**wanted, **first}, state)
    return {name: mtu for name, mtu in first.items() if name not in held}


def _carried_down(
    wanted: Mapping[LinkName, int], desired: Desired, state: HostState
) -> dict[LinkName, int]:
    """
    Return the new MTU of links of ours that stand on one about to shrink below them.

    The kernel would clamp them by itself, to a value that no journal knows as ours.
    """
    found: dict[LinkName, int] = {}
    for link in sorted(state.links, key=lambda link: len(stack(link, state))):
        if link.name in wanted or link_target(link.name) not in desired.first_values:
            continue
        for lower in members(link, state) if link.kind in STACKED_ON_LOWER else ():
            mtu = found.get(lower.name, wanted.get(lower.name, link.mtu_bytes))
            if mtu < link.mtu_bytes:
                found[link.name] = mtu
    return found


def _wanted_mtu(
    link: Link,
    target_bytes: int,
    below: Mapping[LinkName, int],
    desired: Desired,
    state: HostState,
) -> int:
    if link_target(link.name) in desired.ignored_targets:
        return link.mtu_bytes
    lowers = members(link, state)
    limits = [below[lower.name] for lower in lowers if lower.name in below]
    every = (link, *_bonded(link, state))
    limits += [each.max_mtu_bytes for each in every if each.max_mtu_bytes]
    limits += [desired.limits[each.name] for each in every if each.name in desired.limits]
    mtu = max(min([target_bytes, *limits]), floor_bytes(link, desired.first_values))
    if link.kind in SETS_MEMBERS and any(
        lower.mtu_bytes > mtu > link.mtu_bytes for lower in lowers
    ):
        return link.mtu_bytes  # growing to this would lower that member
    return mtu


def _bonded(link: Link, state: HostState) -> tuple[Link, ...]:
    """Return the members of the bond that the link belongs to: all get the bond's MTU."""
    bond = state.link(link.master_index) if link.master_index else None
    return members(bond, state) if bond and bond.kind in SETS_MEMBERS else ()


def floor_bytes(link: Link, first_values: Mapping[str, str]) -> int:
    """Return the MTU below which the link is never brought: its first value, or today's."""
    return int(first_values.get(link_target(link.name), link.mtu_bytes))


def _link_changes(
    wanted: Mapping[LinkName, int], desired: Desired, state: HostState
) -> tuple[LinkMtuChange, ...]:
    """Return the writes, shrinking uppers before lowers, then growing lowers before uppers."""
    changes = [
        LinkMtuChange(link.name, link.index, link.mtu_bytes, mtu, _why(link, mtu, desired))
        for name, mtu in wanted.items()
        if (link := state.named(name)) and link.mtu_bytes != mtu
    ]
    return in_order(changes)


def in_order(changes: Sequence[LinkMtuChange]) -> tuple[LinkMtuChange, ...]:
    """Return changes given lowest link first: uppers shrink before lowers, lowers grow first."""
    grow = [change for change in changes if change.after_bytes > change.before_bytes]
    shrink = [change for change in changes if change.after_bytes < change.before_bytes]
    return (*reversed(shrink), *grow)


def _why(link: Link, mtu_bytes: int, desired: Desired) -> str:
    """Return which of the target, the link, the path and the other links decided."""
    if mtu_bytes == desired.mtu_bytes:
        return f"mtu auto, {desired.auto_from}" if desired.auto_from else "mtu"
    if desired.is_releasing and desired.first_values.get(link_target(link.name)) == str(mtu_bytes):
        return "no longer wanted: its first value"
    target = "auto" if desired.auto_from else desired.mtu_bytes
    if mtu_bytes == link.max_mtu_bytes:
        return f"mtu {target}, held to the link's own maximum"
    if mtu_bytes == desired.limits.get(link.name):
        return f"mtu auto, {desired.auto_from} on this link's driver"
    if mtu_bytes == desired.ceilings.get(link.name):
        return f"mtu {target}, held to what the path passes"
    return f"mtu {target}, held to the links below or to the first value"


def _plan_sysctl(
    row: SysctlRow,
    desired: Desired,
    state: HostState,
    changes: list[Change],
    left_alone: list[LeftAlone],
    findings: list[Finding],
) -> None:
    held = guarded(row, desired.guard.limit_bytes(state.memory_bytes))
    if held is not row:
        findings.append(_guard_finding(row, held))
    sysctl = state.sysctls.get(row.key)
    if sysctl is None:
        findings.append(_sysctl_finding(row, Reason.SYSCTL_ABSENT, "is absent on this kernel"))
        return
    try:
        first = desired.first_values.get(f"sysctl/{row.key}")
        after = value_to_write(held, sysctl.value, first)
    except ValueError:
        message = f"holds {sysctl.value!r}, which does not compare with {row.text!r}"
        findings.append(_sysctl_finding(row, Reason.SYSCTL_REFUSED, message))
        return
    if after is None:
        why = "already at or above what is wanted" if sysctl.value != held.text else "as wanted"
        left_alone.append(LeftAlone(f"sysctl/{row.key}", sysctl.value, why))
    elif not sysctl.is_writable:
        message = f"is {sysctl.value!r} and read-only here, by its network namespace or its mount"
        findings.append(_sysctl_finding(row, Reason.SYSCTL_READ_ONLY, message))
    else:
        changes.append(SysctlChange(row.key, sysctl.value, after, row.why))


def _unwanted_sysctls(desired: Desired, state: HostState) -> list[SysctlChange]:
    """Return the writes that put back what earlier settings wanted, where ours still stands."""
    wanted = {row.key for row in desired.rows}
    return [
        SysctlChange(key, sysctl.value, first, "no longer wanted: its first value")
        for target, first in desired.first_values.items()
        if (key := sysctl_key(target)) and key not in wanted
        if (sysctl := state.sysctls.get(key)) and sysctl.is_writable and sysctl.value != first
    ]


def _guard_finding(row: SysctlRow, held: SysctlRow) -> Finding:
    return Finding(
        check="memory",
        severity=Severity.NOTE,
        reason=Reason.MEMORY_GUARD,
        target=row.key,
        message=f"{row.key} is held to {held.wanted[-1]} bytes, in proportion to the node's memory",
    )


def _sysctl_finding(row: SysctlRow, reason: Reason, what: str) -> Finding:
    """Return a failure for a required row and a note for an advisory one."""
    return Finding(
        check="sysctls",
        severity=Severity.FAILED if row.is_required else Severity.NOTE,
        reason=reason,
        target=row.key,
        message=f"{row.key} {what}",
    )


def held_up(wanted: Mapping[LinkName, int], state: HostState) -> dict[LinkName, Link]:
    """Return the links that cannot shrink without clamping a link above that is not ours."""
    held: dict[LinkName, Link] = {}
    for link in sorted(state.links, key=lambda link: -len(stack(link, state))):
        stays = link.mtu_bytes if link.name in held else wanted.get(link.name, link.mtu_bytes)
        for lower in members(link, state) if link.kind in STACKED_ON_LOWER else ():
            if stays > wanted.get(lower.name, stays):
                held[lower.name] = link
    return held
