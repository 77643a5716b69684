"""The NFS mounts of this node: what is in force, and their read-ahead. Pure."""

from agent.doctor.facts import Facts
from agent.doctor.remark import Group, Mark, Remark
from agent.nfs import NfsMount
from agent.readahead import ReadAheadChange


def judge_mounts(facts: Facts) -> tuple[Remark, ...]:
    """Return a remark for each mount; what is wrong with its options is among the findings."""
    planned = {
        change.device: change
        for change in facts.report.plan.changes
        if isinstance(change, ReadAheadChange)
    }
    return tuple(_mount(facts, mount, planned.get(mount.device)) for mount in facts.state.mounts)


def _mount(facts: Facts, mount: NfsMount, change: ReadAheadChange | None) -> Remark:
    held = facts.state.read_ahead.get(mount.device)
    words = [mount.source, f"NFS {mount.version}" if mount.version else "NFS"]
    words += [f"nconnect {mount.nconnect}"]
    words += [f"read-ahead {held.kib} KiB"] if held else []
    message = f"{mount.mount_point}: {', '.join(words)}"
    if change is None:
        return Remark(Group.MOUNTS, Mark.GOOD, "mount", mount.mount_point, message)
    message += f" instead of {change.after_kib}"
    action = "`tunegate-agent apply` raises it; files that are open now keep the old one"
    return Remark(Group.MOUNTS, Mark.PROBLEM, "mount", mount.mount_point, message, action)
