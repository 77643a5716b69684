"""
Read and write ``read_ahead_kb`` of backing devices below one folder of sysfs.

A file is held to its inode number: between two looks its device number may have gone to another
mount. Nothing here touches a mounted path.

Source: kernel documentation, ABI/testing/sysfs-class-bdi.
"""

import errno
import os
from collections.abc import Iterable

from agent.host.paths import read_descriptor
from agent.ports import HostError
from agent.readahead import ReadAhead, ReadAheadChange
from common.record import dataclass

_OWNER_WRITES = 0o200
_GONE = (errno.ENOENT, errno.ENODEV, errno.ENOTDIR)


@dataclass(frozen=True, slots=True)
class ReadAheads:
    """The read-ahead of each device that has one, and what kept others from being read."""

    by_device: dict[str, ReadAhead]
    problem: str


def read_all(folder: str, devices: Iterable[str]) -> ReadAheads:
    """Return the read-ahead of these devices; one that has gone meanwhile is left out."""
    found: dict[str, ReadAhead] = {}
    problem = ""
    for device in devices:
        try:
            found[device] = _read(_path(folder, device))
        except OSError as error:
            if error.errno not in _GONE:
                problem = f"{_path(folder, device)}: {error.strerror}"
            elif not os.path.isdir(folder):
                problem = f"{folder} is not there"
        except ValueError as error:
            problem = f"{_path(folder, device)}: {error}"
    return ReadAheads(found, problem)


def write(folder: str, change: ReadAheadChange) -> None:
    """
    Write a mount's read-ahead and read it back.

    Raises:
        HostError: ENODEV when the mount has gone or another one has its number now, the kernel's
            errno when it refused, EINVAL when it took something else.
    """
    path = _path(folder, change.device)
    try:
        _held(change, os.stat(path).st_ino)
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            _held(change, os.fstat(descriptor).st_ino)
            os.write(descriptor, change.after.encode())
        finally:
            os.close(descriptor)
        now = _read(path)
    except OSError as error:
        code = errno.ENODEV if error.errno in _GONE else error.errno or 0
        raise HostError(change.target, code, error.strerror or str(error)) from error
    except ValueError as error:
        raise HostError(change.target, errno.EINVAL, str(error)) from error
    _held(change, now.superblock)
    if now.kib != change.after_kib:
        message = f"set {change.after} KiB and it is now {now.kib}"
        raise HostError(change.target, errno.EINVAL, message)


def _held(change: ReadAheadChange, superblock: int) -> None:
    """Raise HostError where a file is not that of the very mount that was planned for."""
    if superblock != change.superblock:
        raise HostError(change.target, errno.ENODEV, "another mount has its number now")


def _read(path: str) -> ReadAhead:
    """Return one device's read-ahead; raises OSError or ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        is_writable = bool(status.st_mode & _OWNER_WRITES) and not (
            os.fstatvfs(descriptor).f_flag & os.ST_RDONLY
        )
        return ReadAhead(int(read_descriptor(descriptor)), status.st_ino, is_writable)
    finally:
        os.close(descriptor)


def _path(folder: str, device: str) -> str:
    return f"{folder}/{device}/read_ahead_kb"
