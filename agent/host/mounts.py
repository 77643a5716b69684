"""
Read the NFS mounts out of mountinfo's text.

Pure: nothing here touches a mount. A stat of an NFS path whose server is gone blocks for ever;
mountinfo never does.

Source: kernel documentation, filesystems/proc.rst section 3.5 (mountinfo); nfs(5). Recorded
files from real mounts are in ``tests/data/nfs``.
"""

from agent.state import Address, NfsMount
from common.record import dataclass

_TYPES = frozenset({"nfs", "nfs4"})
_DEFAULT_PORT = 2049
_SOFT = frozenset({"soft", "softerr"})
_OCTAL_DIGITS = 3


@dataclass(frozen=True, slots=True)
class MountTable:
    """The NFS mounts of a mountinfo, and a sentence about the lines that made no sense."""

    mounts: tuple[NfsMount, ...]
    problems: tuple[str, ...]


def parse_mountinfo(text: str) -> MountTable:
    """Return the NFS mounts, one for each superblock: bind mounts are folded into the first."""
    by_device: dict[str, NfsMount] = {}
    damaged = 0
    for line in filter(None, text.split("\n")):  # splitlines() also splits at bytes a path may hold
        before, separator, after = line.partition(" - ")
        if not separator:
            damaged += 1
        elif after.startswith("nfs"):
            try:
                device, mount = _mount(before.split(" "), after.split(" "))
            except (ValueError, IndexError):
                damaged += 1
                continue
            if mount is not None:
                by_device.setdefault(device, mount)
    problems = (f"mountinfo has {damaged} lines that cannot be read",) if damaged else ()
    return MountTable(tuple(by_device.values()), problems)


def _mount(before: list[str], after: list[str]) -> tuple[str, NfsMount | None]:
    """Return (device, mount) of one line's fields, no mount for nfsd and the like."""
    device, mount_point = before[2], before[4]
    kind, source, super_options = after[0], after[1], after[2]
    if kind not in _TYPES:
        return device, None
    flags = super_options.split(",")
    options = dict(flag.partition("=")[::2] for flag in flags)
    return device, NfsMount(
        mount_point=_unescaped(mount_point),
        source=_unescaped(source),
        version=options.get("vers", ""),
        server=Address(options.get("addr", "")),
        port=int(options.get("port", 0)) or _DEFAULT_PORT,
        is_soft=not _SOFT.isdisjoint(flags),
    )


def _unescaped(field: str) -> str:
    r"""Return a field with its octal escapes resolved: ``\040`` is a space."""
    head, *rest = field.split("\\")
    return head + "".join(chr(int(part[:_OCTAL_DIGITS], 8)) + part[_OCTAL_DIGITS:] for part in rest)
