"""Reads under which settings a bench runs: the mount, its read-ahead, the link, the sysctls."""

import os
from collections.abc import Mapping
from ipaddress import ip_address

from agent.bench.results import Settings
from agent.host.linux import LinuxHost
from agent.host.mounts import parse_mountinfo
from agent.host.paths import HostPaths, read_text
from agent.nfs import NfsMount
from agent.ports import HostError
from agent.state import Address, SysctlKey
from common.record import dataclass, replace

_RMEM, _WMEM = SysctlKey("net.ipv4.tcp_rmem"), SysctlKey("net.ipv4.tcp_wmem")
_DEVICES = "/proc/net/dev"


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where the file is: its mount (None: on no NFS mount) and all NFS mounts of the node.

    ``problem`` says why the mounts could not be read, "" where they could.
    """

    mount: NfsMount | None
    mounts: tuple[NfsMount, ...]
    problem: str = ""


def place_of(device: str, environment: Mapping[str, str]) -> Place:
    """Return the mount of a device (major:minor), and the others."""
    path = HostPaths.from_environment(environment).mountinfo
    try:
        mounts = parse_mountinfo(read_text(path)).mounts
    except OSError as error:
        return Place(None, (), f"{path}: {error.strerror}")
    return Place(next((item for item in mounts if item.device == device), None), mounts)


def settings_of(mount: NfsMount | None, server: str, environment: Mapping[str, str]) -> Settings:
    """
    Return what is in force towards a server now; what cannot be told is empty.

    Args:
        mount: The file's NFS mount, if there is one.
        server: The server's address, "" where there is none.
        environment: Where the host's files are.
    """
    host = LinuxHost(HostPaths.from_environment(environment), (_RMEM, _WMEM))
    try:
        state = host.observe([Address(server)] if _is_address(server) else [])
    except HostError:
        return Settings(kernel=os.uname().release, server=server)
    route = state.routes.get(Address(server))
    link = state.link(route.link_index) if route else None
    values = {key: setting.value for key, setting in state.sysctls.items()}
    settings = Settings(
        kernel=os.uname().release,
        filesystem="nfs" if mount or server else "other",
        server=server,
        link=link.name if link else "",
        mtu_bytes=link.mtu_bytes if link else 0,
        tcp_rmem=values.get(_RMEM, ""),
        tcp_wmem=values.get(_WMEM, ""),
    )
    return _with_mount(settings, mount, environment) if mount else settings


def _with_mount(settings: Settings, mount: NfsMount, environment: Mapping[str, str]) -> Settings:
    return replace(
        settings,
        version=mount.version,
        nconnect=mount.nconnect,
        rsize_bytes=mount.rsize_bytes,
        read_ahead_kib=_read_ahead_kib(mount.device, environment),
    )


def _read_ahead_kib(device: str, environment: Mapping[str, str]) -> int:
    folder = HostPaths.from_environment(environment).bdi
    try:
        return int(read_text(f"{folder}/{device}/read_ahead_kb"))
    except (OSError, ValueError):
        return 0


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def received_bytes(link: str) -> int | None:
    """
    Return how many bytes a link of this network namespace has received, None when it is not there.

    Source: proc_pid_net(5), /proc/net/dev: the first number after the link's name.
    """
    if not link:
        return None
    for line in read_text(_DEVICES).split("\n"):
        name, _, counters = line.partition(":")
        if name.strip() == link:
            return int(counters.split()[0])
    return None
