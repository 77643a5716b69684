"""
Read the NFS mounts out of mountinfo's text.

Pure: nothing here touches a mount. A stat of an NFS path whose server is gone blocks for ever;
mountinfo never does. It runs on every look at the host: only lines of NFS are taken apart.

Source: kernel documentation, filesystems/proc.rst section 3.5 (mountinfo). Recorded files from
real mounts are in ``tests/data/nfs``.
"""

from agent.nfs import NfsMount, NfsPoint, nfs_mount
from common.record import dataclass, replace

_TYPES = frozenset({"nfs", "nfs4"})
_OCTAL_DIGITS = 3


@dataclass(frozen=True, slots=True)
class MountTable:
    """The NFS mounts of a mountinfo, and a sentence about the lines that made no sense."""

    mounts: tuple[NfsMount, ...]
    problems: tuple[str, ...]


def parse_mountinfo(text: str) -> MountTable:
    """Return the NFS mounts, one for each superblock, in the order of their first lines."""
    mounts: dict[str, NfsMount] = {}
    points: dict[str, list[NfsPoint]] = {}
    damaged = 0
    for line in text.split("\n"):  # splitlines() also splits at bytes that a path may hold
        if " - nfs" not in line:
            damaged += line != "" and " - " not in line
            continue
        before, _, after = line.partition(" - ")
        try:
            _take(before.split(" "), after.split(" "), mounts, points)
        except (ValueError, IndexError):
            damaged += 1
    problems = (f"mountinfo has {damaged} lines that cannot be read",) if damaged else ()
    found = (replace(mount, points=tuple(points[name])) for name, mount in mounts.items())
    return MountTable(tuple(found), problems)


def _take(
    before: list[str],
    after: list[str],
    mounts: dict[str, NfsMount],
    points: dict[str, list[NfsPoint]],
) -> None:
    """Add one line's mount, or its point to a mount that is known; nothing for nfsd."""
    kind, source, super_options = after[0], after[1], after[2]
    if kind not in _TYPES:
        return
    device = before[2]
    is_read_only = "ro" in before[5].split(",")
    point = NfsPoint(int(before[0]), unescaped(before[4]), unescaped(source), is_read_only)
    if device not in mounts:
        mounts[device] = nfs_mount(device, (), kind, super_options)
    points.setdefault(device, []).append(point)


def unescaped(text: str) -> str:
    r"""Return a field with its octal escapes resolved: ``\040`` is a space."""
    if "\\" not in text:
        return text
    head, *rest = text.split("\\")
    return head + "".join(chr(int(part[:_OCTAL_DIGITS], 8)) + part[_OCTAL_DIGITS:] for part in rest)
