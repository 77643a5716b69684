"""
Read and write the kernel's ``net.*`` settings below one folder, and never believe a write.

The kernel applies the first fields of a bad vector before it refuses the rest, and one number
alone sets only the first field: every write is read back and compared field by field.

Source: kernel documentation, admin-guide/sysctl/net.rst and networking/ip-sysctl.rst.
"""

import errno
import os

from agent.host.paths import read_descriptor
from agent.ports import HostError
from agent.state import Sysctl, SysctlKey

_PREFIX = "net"
_OWNER_WRITES = 0o200


def sysctl_path(folder: str, key: SysctlKey) -> str:
    """
    Return the file of a key such as ``net.ipv4.tcp_rmem`` below the folder of ``net``.

    Raises:
        HostError: EINVAL, the key is not ``net.`` and plain words between dots. (Keys of an
            interface with a dot in its name are not covered.)
    """
    prefix, *parts = key.split(".")
    if prefix != _PREFIX or not parts or not all(map(_is_word, parts)):
        raise HostError(_target(key), errno.EINVAL, f"{key!r} is not a net.* sysctl key")
    return "/".join((folder, *parts))


def read_sysctl(folder: str, key: SysctlKey) -> Sysctl | None:
    """
    Return a setting, None when this kernel or network namespace does not have it.

    Whether it is writable comes from the mode bits and the mount: access(2) says yes to root
    even for ``net.core.rmem_max`` of a child namespace, which nobody can write.

    Raises:
        HostError: it is there and cannot be read, or the key is not one.
    """
    path = sysctl_path(folder, key)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            is_writable = bool(os.fstat(descriptor).st_mode & _OWNER_WRITES) and not (
                os.fstatvfs(descriptor).f_flag & os.ST_RDONLY
            )
            return Sysctl(_folded(read_descriptor(descriptor)), is_writable)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise HostError(_target(key), error.errno or 0, error.strerror or "") from error


def write_sysctl(folder: str, key: SysctlKey, value: str) -> None:
    """
    Write the whole value, then read it back.

    Raises:
        HostError: ENOENT when it is absent, the kernel's errno when it refused, EINVAL when it
            took something else than we wrote. Fields that it applied before it refused are put
            back, because no journal knows such a mixture as ours; the detail says so.
    """
    before = read_sysctl(folder, key)
    if before is None:
        raise HostError(_target(key), errno.ENOENT, "not in this kernel or network namespace")
    refused = _write(sysctl_path(folder, key), value)
    after = read_sysctl(folder, key)
    now = "" if after is None else after.value
    if refused is not None:
        detail = refused.strerror or ""
        if now != before.value:
            detail += f"; partly applied as {now!r}{_put_back(folder, key, before.value)}"
        raise HostError(_target(key), refused.errno or 0, detail) from refused
    if now.split() != value.split():
        raise HostError(_target(key), errno.EINVAL, f"wrote {value!r} and it is now {now!r}")


def _put_back(folder: str, key: SysctlKey, value: str) -> str:
    """Write the value before once more; return how that went, as the end of a sentence."""
    _write(sysctl_path(folder, key), value)
    after = read_sysctl(folder, key)
    if after is not None and after.value.split() == value.split():
        return ", and is put back"
    return f", and cannot be put back to {value!r}"


def _write(path: str, value: str) -> OSError | None:
    """Write a value in one write(2), as the kernel wants it; return the refusal."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        return error
    return None


def _is_word(part: str) -> bool:
    """Return whether a part of a key is plain: no slash, no second dot, no white space."""
    return part.isascii() and part.replace("_", "").replace("-", "").isalnum()


def _folded(text: str) -> str:
    """Return kernel text with single spaces between its fields."""
    return " ".join(text.split())


def _target(key: SysctlKey) -> str:
    """Return the journal's name of a setting, as SysctlChange.target has it."""
    return f"sysctl/{key}"
