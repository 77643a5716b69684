"""What a target's name, as the journal and the metrics have it, names on a host. Pure."""

from agent.readahead import device_of
from agent.state import HostState, LinkName, SysctlKey


def link_name(target: str) -> LinkName:
    """Return the link that a target ``link/NAME/mtu`` names."""
    return LinkName(target.removeprefix("link/").removesuffix("/mtu"))


def sysctl_key(target: str) -> SysctlKey | None:
    """Return the sysctl that a target names, None for anything else."""
    key = target.removeprefix("sysctl/")
    return SysctlKey(key) if key != target else None


def superblock_of(target: str, state: HostState) -> int:
    """Return the superblock that a read-ahead's target names now, 0 for all else."""
    read_ahead = state.read_ahead.get(device_of(target) or "")
    return read_ahead.superblock if read_ahead else 0


def current_value(target: str, state: HostState) -> str | None:
    """Return what a target holds now, as text, or None when it is gone."""
    if target.startswith("sysctl/"):
        sysctl = state.sysctls.get(SysctlKey(target.removeprefix("sysctl/")))
        return sysctl.value if sysctl else None
    if device := device_of(target):
        read_ahead = state.read_ahead.get(device)
        return str(read_ahead.kib) if read_ahead else None
    link = state.named(link_name(target))
    return str(link.mtu_bytes) if link else None
