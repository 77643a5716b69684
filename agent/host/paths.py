"""
Where the host's own files are seen from here, and how they are read.

On a node they are where the kernel puts them. In a container ``/proc/sys/net`` and
``/proc/1/mountinfo`` of the host are bound to other places, which the chart names in the
environment.
"""

import os
from collections.abc import Mapping

from common.record import dataclass

READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class HostPaths:
    """The host's files and folders that the agent reads or writes."""

    proc_sys_net: str = "/proc/sys/net"
    mountinfo: str = "/proc/1/mountinfo"
    mountstats: str = "/proc/1/mountstats"
    boot_id: str = "/proc/sys/kernel/random/boot_id"
    meminfo: str = "/proc/meminfo"
    sockstat: str = "/proc/net/sockstat"
    dmi: str = "/sys/class/dmi/id"
    bdi: str = "/sys/devices/virtual/bdi"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "HostPaths":
        """Return the paths that the environment names; unset or empty keeps the default."""
        named = {
            field: environment[variable]
            for field, variable in ENVIRONMENT.items()
            if environment.get(variable)
        }
        return cls(**named)


ENVIRONMENT: Mapping[str, str] = {
    "proc_sys_net": "TUNEGATE_PROC_SYS_NET",
    "mountinfo": "TUNEGATE_MOUNTINFO",
    "mountstats": "TUNEGATE_MOUNTSTATS",
    "boot_id": "TUNEGATE_BOOT_ID_FILE",
    "meminfo": "TUNEGATE_MEMINFO",
    "sockstat": "TUNEGATE_SOCKSTAT",
    "dmi": "TUNEGATE_DMI",
    "bdi": "TUNEGATE_BDI",
}
"""The environment variable of each path."""


def read_text(path: str) -> str:
    """
    Return a kernel file's whole text; raises OSError.

    Undecodable bytes (a mount point may hold any) survive as surrogates. Plain read(2) takes a
    third of the time of a buffered text file, and every pass reads a dozen of them.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return read_descriptor(descriptor)
    finally:
        os.close(descriptor)


def read_descriptor(descriptor: int) -> str:
    """Return the text from here to the end of an open file; raises OSError."""
    chunks = []
    while chunk := os.read(descriptor, READ_BYTES):
        chunks.append(chunk)
    return b"".join(chunks).decode("utf-8", "surrogateescape")
