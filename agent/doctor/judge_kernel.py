"""
What this kernel brings by itself and what it cannot do. Pure.

Sources: commit 572be9bf9d0d (6.16: tcp_rmem's maximum is 32 MiB), kernel documentation
networking/ip-sysctl.rst; CONFIG_INET_DIAG_DESTROY in net/ipv4/Kconfig.
"""

import re

from agent.doctor.facts import Kernel
from agent.doctor.remark import Group, Mark, Remark

LARGE_TCP_RMEM = (6, 16)
_VERSION = re.compile(r"^(\d+)\.(\d+)")


def version_of(release: str) -> tuple[int, int] | None:
    """Return (major, minor) of a release such as ``6.12.111-cloud-amd64``, or None."""
    found = _VERSION.match(release)
    return (int(found.group(1)), int(found.group(2))) if found else None


def judge_kernel(kernel: Kernel) -> tuple[Remark, ...]:
    """Return what the release means for the defaults, and whether connections can be ended."""
    return (_release(kernel), _destroy(kernel))


def _release(kernel: Kernel) -> Remark:
    version = version_of(kernel.release)
    head = f"kernel {kernel.release}"
    if version is None:
        message = f"{head}: its version cannot be told, so nothing is said of its defaults"
        return Remark(Group.KERNEL, Mark.NOTE, "kernel", "", message)
    if version >= LARGE_TCP_RMEM:
        message = f"{head} lets tcp_rmem grow to 32 MiB by itself (less on small machines); "
        message += "16 MiB would lower that, so it is left"
    else:
        message = f"{head} lets tcp_rmem grow to 6 MiB by itself (since 6.16: 32 MiB)"
    return Remark(Group.KERNEL, Mark.GOOD, "kernel", "", message)


def _destroy(kernel: Kernel) -> Remark:
    check = "socket-destroy"
    if kernel.destroys_sockets:
        message = f"can end connections opened too early (INET_DIAG_DESTROY, {kernel.told_by})"
        return Remark(Group.KERNEL, Mark.GOOD, check, "", message)
    if kernel.destroys_sockets is None:
        message = "whether it can end connections opened too early cannot be told from here "
        message += "(no /boot/config-* or /proc/config.gz): the agent tries, and says so if not"
        return Remark(Group.KERNEL, Mark.NOTE, check, "", message)
    message = f"cannot end connections opened too early ({kernel.told_by} is without "
    message += "CONFIG_INET_DIAG_DESTROY)"
    action = "unmount every mount of that server and NFS version before the next mount; a remount "
    action += "does not help"
    return Remark(Group.KERNEL, Mark.NOTE, check, "", message, action)
