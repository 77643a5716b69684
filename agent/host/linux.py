"""
One node's kernel: a snapshot of all that matters, and one write at a time.

Puts together what the files beside it read. On the way from exec to the open gate: standard
library only, one netlink socket a pass, about a millisecond.
"""

import errno
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar, assert_never

from agent.host import bdi
from agent.host.mounts import MountTable, parse_mountinfo
from agent.host.paths import HostPaths, read_text
from agent.host.rtnetlink import RouteNetlink
from agent.host.sysctl import read_sysctl, sysctl_path, write_sysctl
from agent.ports import HostError
from agent.readahead import ReadAheadChange
from agent.state import (
    Address,
    Change,
    HostState,
    Link,
    LinkMtuChange,
    Route,
    Sysctl,
    SysctlChange,
    SysctlKey,
    TcpMemory,
)
from common.record import replace

T = TypeVar("T")

_TCP_MEM = SysctlKey("net.ipv4.tcp_mem")
_BYTES_PER_KIB = 1024
_MTU_WRITES = 3
"""A rival's write right after ours is no refusal; a driver that clamps does so each time."""


class LinuxHost:
    """The kernel of the network namespace that the agent runs in; implements ports.Host."""

    def __init__(self, paths: HostPaths, sysctl_keys: Sequence[SysctlKey]) -> None:
        """
        Keep what to look at.

        Raises:
            HostError: EINVAL, one of the keys is not a ``net.*`` sysctl key.
        """
        for key in sysctl_keys:
            sysctl_path(paths.proc_sys_net, key)
        self._paths = paths
        self._sysctl_keys = tuple(sysctl_keys)

    def observe(self, addresses: Sequence[Address]) -> HostState:
        """
        Return one snapshot, with the routes to these addresses.

        A file that cannot be read is a sentence in ``problems`` and absent from the rest.

        Raises:
            HostError: the kernel does not tell its links, addresses or routes.
        """
        try:
            with RouteNetlink() as netlink:
                links = _links(netlink)
                routes = _routes(netlink, addresses)
                default_routes = netlink.default_routes()
        except OSError as error:
            raise _refused("links", error) from error
        seen = self.observe_mounts()
        problems = list(seen.problems)
        return replace(
            seen,
            links=links,
            routes=routes,
            default_routes=default_routes,
            sysctls=self._sysctls(problems),
            memory_bytes=_attempt(self._memory_bytes, 0, problems),
            tcp_memory=_attempt(self._tcp_memory, None, problems),
            problems=tuple(problems),
        )

    def observe_mounts(self) -> HostState:
        """Return the boot, the mounts and their read-ahead alone, in a fraction of the time."""
        problems: list[str] = []
        table = _attempt(self._mount_table, None, problems)
        mounts = table.mounts if table else ()
        read_ahead = bdi.read_all(self._paths.bdi, (mount.device for mount in mounts))
        return HostState(
            boot_id=_attempt(lambda: read_text(self._paths.boot_id).strip(), "", problems),
            links=(),
            routes={},
            default_routes=(),
            sysctls={},
            mounts=mounts,
            memory_bytes=0,
            read_ahead=read_ahead.by_device,
            read_ahead_problem=read_ahead.problem if table else "the mounts cannot be read",
            problems=(*problems, *(table.problems if table else ())),
        )

    def apply(self, change: Change) -> None:
        """
        Write one change and read it back.

        An MTU that another program puts back each time is no refusal: the next look finds it.

        Raises:
            HostError: with the kernel's errno and words; ENODEV when the link went away or
                another one has its name or index now.
        """
        match change:
            case LinkMtuChange():
                try:
                    with RouteNetlink() as netlink:
                        _set_mtu(netlink, change)
                except OSError as error:
                    raise _refused(change.target, error) from error
            case SysctlChange():
                write_sysctl(self._paths.proc_sys_net, change.key, change.after)
            case ReadAheadChange():
                bdi.write(self._paths.bdi, change)
            case _:
                assert_never(change)

    def _sysctls(self, problems: list[str]) -> dict[SysctlKey, Sysctl]:
        """Return the settings that are there."""
        found: dict[SysctlKey, Sysctl] = {}
        for key in self._sysctl_keys:
            try:
                setting = read_sysctl(self._paths.proc_sys_net, key)
            except HostError as error:
                problems.append(f"cannot read {error.target}: {error.detail}")
                continue
            if setting is not None:
                found[key] = setting
        return found

    def _mount_table(self) -> MountTable:
        """Return the NFS mounts; raises OSError."""
        return parse_mountinfo(read_text(self._paths.mountinfo))

    def _memory_bytes(self) -> int:
        """Return the node's memory, MemTotal; raises OSError or ValueError."""
        return int(_fields(read_text(self._paths.meminfo), "MemTotal:")[0]) * _BYTES_PER_KIB

    def _tcp_memory(self) -> TcpMemory | None:
        """Return TCP's use of memory; None in a child namespace, which has no tcp_mem."""
        limits = read_sysctl(self._paths.proc_sys_net, _TCP_MEM)
        if limits is None:
            return None
        tcp = _fields(read_text(self._paths.sockstat), "TCP:")
        used = dict(zip(tcp[::2], tcp[1::2], strict=False))["mem"]
        return TcpMemory(used_pages=int(used), pressure_pages=int(limits.value.split()[1]))


def _links(netlink: RouteNetlink) -> tuple[Link, ...]:
    """Return every link with its addresses; raises OSError."""
    addresses = netlink.addresses()
    return tuple(replace(link, addresses=addresses.get(link.index, ())) for link in netlink.links())


def _routes(netlink: RouteNetlink, addresses: Sequence[Address]) -> Mapping[Address, Route]:
    """Return the route of each address that has one; raises OSError."""
    found = {}
    for address in dict.fromkeys(addresses):
        route = netlink.route(address)
        if route is not None:
            found[address] = route
    return found


def _set_mtu(netlink: RouteNetlink, change: LinkMtuChange) -> None:
    """Set the MTU of the very link that was planned for; raises OSError or HostError."""
    try:
        name = netlink.link(change.index).name
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
        name = None
    if name != change.link:
        raise HostError(
            change.target, errno.ENODEV, f"link {change.index} vanished or was re-created"
        )
    for _ in range(_MTU_WRITES):
        netlink.set_mtu(change.index, change.after_bytes)
        now = netlink.link(change.index).mtu_bytes
        if now == change.after_bytes:
            return
    if now != change.before_bytes:  # else the kernel took it and a rival is faster: drift
        message = f"set {change.after_bytes} and it is now {now}"
        raise HostError(change.target, errno.EINVAL, message)


def _fields(text: str, label: str) -> list[str]:
    """Return the fields after a label at the start of a line; raises ValueError."""
    for line in text.split("\n"):
        if line.startswith(label):
            return line.split()[1:]
    message = f"no line starts with {label}"
    raise ValueError(message)


def _attempt(read: Callable[[], T], otherwise: T, problems: list[str]) -> T:
    """Return what was read, or the other value and one sentence more among the problems."""
    try:
        return read()
    except HostError as error:
        problems.append(f"cannot read {error.target}: {error.detail}")
    except OSError as error:
        problems.append(f"cannot read {error.filename or 'a file'}: {error.strerror}")
    except (ValueError, LookupError) as error:
        problems.append(f"cannot make sense of what the kernel says: {error}")
    return otherwise


def _refused(target: str, error: OSError) -> HostError:
    """Return the kernel's refusal as the agent's own error."""
    return HostError(target, error.errno or 0, error.strerror or str(error))
