"""
The write-ahead record of first values: what stood on the host before the first write of ours.

One JSON object a line, each with its own checksum, so that a damaged line costs itself and nothing
else. The file is replaced whole (write, fsync, rename, fsync of the folder): a crash leaves the
old one or the new one. It counts for one boot: after a reboot the kernel holds its own first
values again.
"""

import json
import os
from binascii import crc32
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

from agent.ports import AgentError
from agent.readahead import ReadAheadChange, device_of
from agent.revert import Original
from agent.state import Change, LinkName, Reason
from agent.verdict import Ceiling
from common.record import dataclass, replace

FILE_NAME = "journal.jsonl"
UNKNOWN_BOOT = "the boot ID cannot be read, so nobody can say whose first values these are"


class JournalError(AgentError):
    """The journal could not be written: nothing may be written to the host either."""


@dataclass(frozen=True, slots=True)
class Journal:
    """
    The first value of each target, and every value we wrote over it.

    ``ceilings`` are the MTUs that links were found able to use under the settings whose hash is
    ``settings_hash``, kept so that a restart does not try again what was found unsafe.
    ``problems`` says what could not be read back, one sentence each; the damaged file is kept
    beside the new one when the journal is written next. A file that could not be opened or read at
    all (``is_unread``) is not written over: the first values are in it.
    """

    folder: str
    boot_id: str
    originals: tuple[Original, ...] = ()
    ceilings: tuple[Ceiling, ...] = ()
    settings_hash: str = ""
    problems: tuple[str, ...] = ()
    is_unread: bool = False

    @property
    def path(self) -> str:
        """Return the journal's file."""
        return f"{self.folder}/{FILE_NAME}"

    def first_values(self, current: dict[str, str | None]) -> dict[str, str]:
        """Return the first value of each target that holds its first value or one of ours."""
        return {
            original.target: original.first
            for original in self.originals
            if current.get(original.target) in (original.first, *original.written)
        }

    def record(self, changes: Iterable[Change], gone: Collection[str] = ()) -> "Journal":
        """
        Write down what these changes are about to replace; return the journal that stands on disk.

        ``gone`` are targets that will not come back, such as unmounted mounts: they are forgotten.

        Raises:
            JournalError: The file cannot be written; the host must not be either.
        """
        by_target = {item.target: item for item in self.originals if item.target not in gone}
        for change in changes:
            fresh = Original(change.target, change.before, (), _superblock(change))
            known = by_target.get(change.target, fresh)
            if known.superblock != fresh.superblock:
                known = fresh  # the number went to another mount
            if change.after not in known.written and change.after != known.first:
                known = replace(known, written=(*known.written, change.after))
            by_target[change.target] = known
        return self._stored(replace(self, originals=tuple(by_target.values())))

    def knows(self, change: Change) -> bool:
        """Return whether this very target was written to before."""
        return any(
            item.superblock == _superblock(change)
            for item in self.originals
            if item.target == change.target
        )

    def has_written(self, change: Change) -> bool:
        """Return whether this very value was given to this very target before."""
        return any(
            change.after in item.written and item.superblock == _superblock(change)
            for item in self.originals
            if item.target == change.target
        )

    def has_held(self, change: Change) -> bool:
        """Return whether this value is the target's first one, or was given to it before."""
        is_first = any(
            item.target == change.target and item.first == change.after for item in self.originals
        )
        return is_first or self.has_written(change)

    def hold(self, ceilings: Iterable[Ceiling], settings_hash: str) -> "Journal":
        """
        Keep these ceilings, found under these settings, in place of the ones before.

        Raises:
            JournalError: The file cannot be written.
        """
        return self._stored(replace(self, ceilings=tuple(ceilings), settings_hash=settings_hash))

    def _stored(self, after: "Journal") -> "Journal":
        if after == self and not self.problems:
            return self
        if self.is_unread:
            why = "; ".join(self.problems)
            raise JournalError(f"cannot write {self.path}: first values may be in it, and {why}")
        if not self.boot_id:
            raise JournalError(f"{UNKNOWN_BOOT}, so {self.path} is left as it is")
        after = replace(after, problems=())
        _replace_file(after, keep=bool(self.problems))
        return after

    def erase(self) -> None:
        """Remove the file: the host holds its first values again."""
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise JournalError(f"cannot remove {self.path}: {error.strerror}") from error


def _superblock(change: Change) -> int:
    return change.superblock if isinstance(change, ReadAheadChange) else 0


def load(folder: str, boot_id: str) -> Journal:
    """Read the journal of this boot; what cannot be read is named in ``problems``."""
    empty = Journal(folder, boot_id)
    if not boot_id:
        return replace(empty, problems=(UNKNOWN_BOOT,))
    try:
        with open(empty.path, "rb") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return empty
    except OSError as error:
        problem = f"cannot read {empty.path}: {error.strerror}"
        return replace(empty, problems=(problem,), is_unread=True)
    entries: list[Original | tuple[Ceiling, str]] = []
    problems: list[str] = []
    for number, line in enumerate(lines, 1):
        try:
            entry = _decode(line, boot_id)
        except (ValueError, KeyError, TypeError, AttributeError):
            problems.append(f"{empty.path} line {number} is damaged and passed over")
            continue
        if entry:
            entries.append(entry)
    return replace(
        empty,
        originals=tuple(entry for entry in entries if isinstance(entry, Original)),
        ceilings=tuple(entry[0] for entry in entries if isinstance(entry, tuple)),
        settings_hash=next((entry[1] for entry in entries if isinstance(entry, tuple)), ""),
        problems=tuple(problems),
    )


def _decode(line: bytes, boot_id: str) -> Original | tuple[Ceiling, str] | None:
    """Return the entry, None for another boot's; raises ValueError and the like on damage."""
    entry = _entry(line)
    if entry["boot"] != boot_id:
        return None
    if "ceiling" in entry:
        name, mtu, reason, message = entry["ceiling"]
        return Ceiling(LinkName(name), int(mtu), Reason(reason), message), entry["settings"]
    return _original(entry)


def _original(entry: Mapping[str, Any]) -> Original:
    """Return the entry of a link, a sysctl or a read-ahead; raises ValueError for all else."""
    target, superblock = entry["target"], entry.get("superblock", 0)
    values = (entry["first"], *entry["written"])
    is_number = device_of(target) or (target.startswith("link/") and target.endswith("/mtu"))
    if not is_number and not _is_sysctl(target):
        raise ValueError(target)
    if not all(isinstance(value, str) and (value.isdecimal() or not is_number) for value in values):
        raise ValueError(target)
    return Original(target, values[0], values[1:], int(superblock))


def _is_sysctl(target: str) -> bool:
    """Return whether a target is ``sysctl/net.`` and plain words between dots (see host.sysctl)."""
    parts = target.removeprefix("sysctl/net.").replace("_", "").replace("-", "").split(".")
    is_plain = all(part.isascii() and part.isalnum() for part in parts)
    return target.startswith("sysctl/net.") and is_plain


def _entry(line: bytes) -> dict[str, Any]:
    head, _, body = line.partition(b" ")
    if int(head, 16) != crc32(body):
        raise ValueError(line)
    entry: dict[str, Any] = json.loads(body)
    return entry


def _lines(journal: Journal) -> list[bytes]:
    entries: list[dict[str, object]] = [
        {
            "target": item.target,
            "first": item.first,
            "written": list(item.written),
            **({"superblock": item.superblock} if item.superblock else {}),
        }
        for item in journal.originals
    ]
    entries += [
        {
            "ceiling": [item.link, item.mtu_bytes, item.reason.value, item.message],
            "settings": journal.settings_hash,
        }
        for item in journal.ceilings
    ]
    bodies = [json.dumps({"boot": journal.boot_id, **entry}).encode() for entry in entries]
    return [b"%08x %s\n" % (crc32(body), body) for body in bodies]


def _replace_file(journal: Journal, *, keep: bool) -> None:
    """Put the journal in place of the file, which stays beside it where asked to keep it."""
    temporary = f"{journal.path}.new"
    try:
        os.makedirs(journal.folder, mode=0o755, exist_ok=True)
        with open(temporary, "wb") as file:
            file.writelines(_lines(journal))
            file.flush()
            os.fsync(file.fileno())
        if keep:
            _keep_beside(journal.path)
        os.replace(temporary, journal.path)
        folder = os.open(journal.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise JournalError(f"cannot write {journal.path}: {error.strerror}") from error


def _keep_beside(path: str) -> None:
    """Give the damaged file a second name: at no moment is there no journal at all."""
    damaged = f"{path}.damaged"
    with suppress(FileNotFoundError):
        os.unlink(damaged)
    with suppress(FileNotFoundError):
        os.link(path, damaged)


def targets(folder: str) -> tuple[str, ...]:
    """Return every target that the file in this folder names, of whatever boot."""
    try:
        with open(f"{folder}/{FILE_NAME}", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return ()
    found: list[str] = []
    for line in lines:
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            found.append(_original(_entry(line)).target)
    return tuple(found)
