"""
An in-memory host and mounts that implement the agent's ports, and show themselves as text.

The link rules are those of the kernel: a vlan above its parent gives ERANGE, a macvlan EINVAL;
lowering a parent clamps both; a bond sets its members; a bridge follows its smallest port until
somebody sets it by hand (net/8021q/vlan_dev.c, drivers/net/macvlan.c, net/bridge/br_if.c).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from errno import EACCES, EINVAL, ENODEV, EPERM, ERANGE

from agent.nfs import NfsMount, NfsPoint, nfs_mount
from agent.nfs_stats import Statistics
from agent.ports import HostError
from agent.readahead import ReadAhead, ReadAheadChange
from agent.state import (
    ARPHRD_ETHER,
    Address,
    Change,
    HostState,
    Link,
    LinkMtuChange,
    LinkName,
    Route,
    Sysctl,
    SysctlChange,
    SysctlKey,
    TcpMemory,
)

GIB = 1 << 30
CLAMPED_KINDS = ("vlan", "macvlan")
KERNEL_SYSCTLS = {
    "net.core.rmem_max": "212992",
    "net.core.wmem_max": "212992",
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
    "net.ipv4.tcp_wmem": "4096 16384 4194304",
    "net.ipv4.tcp_mtu_probing": "0",
    "net.ipv4.tcp_window_scaling": "1",
}


class Crash(BaseException):
    """The process dies here: nothing may catch it."""


@dataclass(slots=True)
class FakeHost:
    """
    A kernel in memory, implementing ports.Host.

    ``writes`` holds every write that took effect, ``attempts`` every one that was asked for;
    ``crash_at`` raises Crash before the n-th attempt (1 is the first) takes effect, or after it
    with ``crash_after``. ``before_write`` is called first in each attempt, for other writers.
    """

    links: dict[int, Link] = field(default_factory=dict)
    routes: dict[Address, Route] = field(default_factory=dict)
    default_routes: tuple[Route, ...] = ()
    sysctls: dict[SysctlKey, str] = field(
        default_factory=lambda: {SysctlKey(key): value for key, value in KERNEL_SYSCTLS.items()}
    )
    read_only: set[str] = field(default_factory=set)
    refused: dict[str, int] = field(default_factory=dict)  # target: errno of every write to it
    refused_above: dict[str, int] = field(default_factory=dict)  # link: what its driver takes
    mounts: tuple[NfsMount, ...] = ()
    read_ahead: dict[str, ReadAhead] = field(default_factory=dict)  # by device
    read_ahead_problem: str = ""
    round_trips: dict[Address, float] = field(default_factory=dict)
    link_megabits: dict[LinkName, int] = field(default_factory=dict)
    memory_bytes: int = 256 * GIB
    tcp_memory: TcpMemory | None = None
    problems: tuple[str, ...] = ()
    boot_id: str = "boot-1"
    writes: list[Change] = field(default_factory=list)
    attempts: list[Change] = field(default_factory=list)
    refusals: list[HostError] = field(default_factory=list)
    crash_at: int | None = None
    crash_after: bool = False
    before_write: Callable[[Change], None] | None = None
    _set_by_hand: set[int] = field(default_factory=set)
    _superblocks: int = 7000

    def add(self, name: str, mtu: int = 1500, **details: object) -> int:
        """Add a link and return its index; ``on`` and ``master`` name other links."""
        index = max(self.links, default=0) + 1
        for word, detail in (("on", "lower_index"), ("master", "master_index")):
            if other := details.pop(word, None):
                details[detail] = self.named(str(other)).index
        link = Link(index, LinkName(name), "", ARPHRD_ETHER, mtu, 68, 9216, is_up=True)
        self.links[index] = replace(link, **details)  # type: ignore[arg-type]  # fields of Link
        return index

    def route(self, address: str, name: str, *, is_local: bool = False) -> None:
        """Send this address over this link."""
        self.routes[Address(address)] = Route(
            Address(address), self.named(name).index, None, None, is_local=is_local
        )

    def default(self, gateway: str, name: str) -> None:
        """Add a default route."""
        index = self.named(name).index
        self.default_routes += (Route(Address("0.0.0.0"), index, Address(gateway), None),)

    def named(self, name: str) -> Link:
        """Return the link of this name; raises KeyError."""
        for link in self.links.values():
            if link.name == name:
                return link
        raise KeyError(name)

    def mtu(self, name: str) -> int:
        """Return a link's MTU."""
        return self.named(name).mtu_bytes

    def __str__(self) -> str:
        """Return the state as text, one line a link, sysctl or mount."""
        links = [f"{link.name}: mtu {link.mtu_bytes}" for link in self.links.values()]
        sysctls = [f"{key} = {value}" for key, value in self.sysctls.items()]
        mounts = [f"{key}: read-ahead {item.kib}" for key, item in self.read_ahead.items()]
        return "\n".join((*links, *sysctls, *mounts))

    def observe(self, addresses: Sequence[Address]) -> HostState:
        """Return one snapshot, with the routes to these addresses."""
        routes = {address: self.routes[address] for address in addresses if address in self.routes}
        return HostState(
            boot_id=self.boot_id,
            links=tuple(self.links.values()),
            routes={
                address: route
                for address, route in routes.items()
                if route.link_index in self.links
            },
            default_routes=self.default_routes,
            sysctls={
                key: Sysctl(value, is_writable=key not in self.read_only)
                for key, value in self.sysctls.items()
            },
            mounts=self.mounts,
            memory_bytes=self.memory_bytes,
            tcp_memory=self.tcp_memory,
            read_ahead=dict(self.read_ahead),
            read_ahead_problem=self.read_ahead_problem,
            round_trips=dict(self.round_trips),
            link_megabits=dict(self.link_megabits),
            problems=self.problems,
        )

    def observe_mounts(self) -> HostState:
        """Return the mounts alone."""
        nothing = HostState(self.boot_id, (), {}, (), {}, self.mounts, 0)
        read_ahead, problem = dict(self.read_ahead), self.read_ahead_problem
        return replace(nothing, read_ahead=read_ahead, read_ahead_problem=problem)

    def apply(self, change: Change) -> None:
        """Write one change; raises HostError, or Crash where a test wants one."""
        if self.before_write:
            self.before_write(change)
        self.attempts.append(change)
        dies = len(self.attempts) == self.crash_at
        if dies and not self.crash_after:
            raise Crash
        try:
            self._apply(change)
        except HostError as error:
            self.refusals.append(error)
            raise
        self.writes.append(change)
        if dies:
            raise Crash

    def _apply(self, change: Change) -> None:
        if change.target in self.refused:
            raise HostError(change.target, self.refused[change.target], "refused")
        if isinstance(change, SysctlChange):
            if change.key in self.read_only:
                raise HostError(change.target, EACCES, "Permission denied")
            self.sysctls[change.key] = change.after
            return
        if isinstance(change, ReadAheadChange):
            now = self.read_ahead.get(change.device)
            if now is None or now.superblock != change.superblock:
                raise HostError(change.target, ENODEV, "No such device")
            self.set_read_ahead(change.device, change.after_kib)
            return
        link = self.links.get(change.index)
        if link is None or link.name != change.link:
            raise HostError(change.target, ENODEV, "No such device")
        self._check(link, change)
        self.set_mtu(change.link, change.after_bytes)

    def _check(self, link: Link, change: LinkMtuChange) -> None:
        mtu = change.after_bytes
        parent = self.links.get(link.lower_index or 0)
        ports = [port for port in self.links.values() if port.master_index == link.index]
        for device in (link, *(ports if link.kind == "bond" else ())):
            if device.max_mtu_bytes and mtu > device.max_mtu_bytes:
                raise HostError(change.target, EINVAL, "mtu greater than device maximum")
        if mtu < link.min_mtu_bytes:
            raise HostError(change.target, EINVAL, "mtu less than device minimum")
        if mtu > self.refused_above.get(link.name, mtu):
            raise HostError(change.target, EINVAL, "Invalid argument")
        if link.kind in CLAMPED_KINDS and parent and mtu > parent.mtu_bytes:
            too_large = ERANGE if link.kind == "vlan" else EINVAL
            raise HostError(change.target, too_large, "above its parent")

    def set_mtu(self, name: str, mtu: int) -> None:
        """Set an MTU as anybody may, with what the kernel makes of it on the links around."""
        self._set_by_hand.add(self.named(name).index)
        self._spread(name, mtu)

    def _spread(self, name: str, mtu: int) -> None:
        link = self.named(name)
        self.links[link.index] = replace(link, mtu_bytes=mtu)
        for other in tuple(self.links.values()):
            if link.kind == "bond" and other.master_index == link.index:
                self._spread(other.name, mtu)
            is_child = other.lower_index == link.index and other.kind in CLAMPED_KINDS
            if is_child and self.links[other.index].mtu_bytes > mtu:
                self._spread(other.name, mtu)
        master = self.links.get(link.master_index or 0)
        if master and master.kind == "bridge" and master.index not in self._set_by_hand:
            ports = [p.mtu_bytes for p in self.links.values() if p.master_index == master.index]
            self._spread(master.name, min(ports))

    def mount(self, device: str = "0:50", kib: int = 128, **details: str) -> None:
        """Mount an NFS export: a new superblock, whoever had the number before."""
        self.unmount(device)
        self.mounts += (mounted(device=device, **details),)
        self._superblocks += 1
        self.read_ahead[device] = ReadAhead(kib, self._superblocks)

    def unmount(self, device: str = "0:50") -> None:
        """Unmount what has this device number."""
        self.mounts = tuple(mount for mount in self.mounts if mount.device != device)
        self.read_ahead.pop(device, None)

    def set_read_ahead(self, device: str, kib: int) -> None:
        """Set a mount's read-ahead as anybody may."""
        self.read_ahead[device] = replace(self.read_ahead[device], kib=kib)

    def remove(self, name: str) -> None:
        """Let a link vanish."""
        del self.links[self.named(name).index]


@dataclass(slots=True)
class FakeStorage:
    """The kernel's counters of NFS mounts, implementing ports.Storage; ``reads`` counts looks."""

    statistics: Statistics = field(default_factory=Statistics)
    shown: tuple[NfsMount, ...] = ()
    reads: int = 0

    def stats(self) -> Statistics:
        """Return what was put there."""
        self.reads += 1
        return self.statistics

    def mounts(self) -> tuple[NfsMount, ...]:
        """Return what was put there."""
        return self.shown


def no_permission(target: str) -> HostError:
    """Return what the kernel says to a process without the capability."""
    return HostError(target, EPERM, "Operation not permitted")


AS_WANTED = (
    "ro,vers=4.2,rsize=1048576,wsize=1048576,acregmin=30,acregmax=30,acdirmax=30,hard,proto=tcp,"
    "nconnect=8,sec=sys"
)
"""The options of a mount that nothing is to be said of."""


def mounted(
    path: str = "/mnt/models",
    source: str = "10.1.0.10:/models",
    options: str = AS_WANTED,
    device: str = "0:50",
) -> NfsMount:
    """Return a mount as mountinfo would show it; the source's host is its addr= when one is one."""
    host = source.rpartition(":/")[0].strip("[]")
    address = "" if any(char.isalpha() for char in host) and ":" not in host else f",addr={host}"
    fstype = "nfs" if "vers=3" in options.split(",") else "nfs4"
    point = NfsPoint(100, path, source, is_read_only="ro" in options.split(","))
    return nfs_mount(device, (point,), fstype, options + address)
