"""
An in-memory host, network and DNS that implement the agent's ports, and show themselves as text.

The link rules are those of the kernel: a vlan above its parent gives ERANGE, a macvlan EINVAL;
lowering a parent clamps both; a bond sets its members; a bridge follows its smallest port until
somebody sets it by hand (net/8021q/vlan_dev.c, drivers/net/macvlan.c, net/bridge/br_if.c).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from errno import EACCES, EINVAL, ENODEV, EPERM, ERANGE
from ipaddress import ip_address

from agent.connections import Listing, TcpConnection
from agent.nfs import NfsMount, NfsPoint, nfs_mount
from agent.nfs_stats import Statistics
from agent.ports import Contact, HostError, Resolution, Server
from agent.state import (
    ARPHRD_ETHER,
    Address,
    Change,
    Endpoint,
    HostState,
    Link,
    LinkMtuChange,
    LinkName,
    Proof,
    Reason,
    Route,
    Sysctl,
    SysctlChange,
    SysctlKey,
    TcpMemory,
    Verdict,
)

GIB = 1 << 30
CLAMPED_KINDS = ("vlan", "macvlan")
LEAST_BYTES = 576
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
        """Return the state as text, one line a link or sysctl."""
        links = [f"{link.name}: mtu {link.mtu_bytes}" for link in self.links.values()]
        return "\n".join((*links, *(f"{key} = {value}" for key, value in self.sysctls.items())))

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
            problems=self.problems,
        )

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

    def remove(self, name: str) -> None:
        """Let a link vanish."""
        del self.links[self.named(name).index]


@dataclass(slots=True)
class FakeServer:
    """
    A storage server and the path to it.

    ``up_bytes`` and ``down_bytes`` are what the path passes, ``has_hints`` whether a router says
    so by ICMP; ``pings`` whether the server answers echoes.
    """

    answers: bool = True
    detail: str = "no answer within 2 s"
    mtu_bytes: int = 9000
    up_bytes: int = 65535
    down_bytes: int = 65535
    has_hints: bool = False
    pings: bool = True


@dataclass(slots=True)
class FakeProber:
    """
    The network as packets see it, implementing ports.Prober over a FakeHost's links.

    ``lost_above`` is the MTU of a gateway's link, or the API server's, above which it goes silent.
    """

    host: FakeHost
    servers: dict[str, FakeServer] = field(default_factory=dict)
    lost_above: dict[str, int] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    ended: list[tuple[tuple[Address, ...], int, int]] = field(default_factory=list)
    cannot_end: HostError | None = None
    opened: list[TcpConnection] = field(default_factory=list)
    destroyed: list[TcpConnection] = field(default_factory=list)
    reopens: Callable[[TcpConnection], TcpConnection | None] = lambda _: None
    unlisted: int = 0
    cannot_list: HostError | None = None
    sent: list[str] = field(default_factory=list)

    def contact(self, endpoint: Endpoint) -> Contact:
        """Say whether the server answers at all."""
        self.sent.append(f"contact {endpoint.address}")
        server = self.servers.get(endpoint.address, FakeServer())
        detail = "" if server.answers else server.detail
        return Contact(f"{endpoint.host}:{endpoint.port}", server.answers, detail)

    def prove(self, endpoint: Endpoint, wanted_bytes: int) -> Proof:
        """Return what the path would show."""
        self.sent.append(f"prove {endpoint.address} {wanted_bytes}")
        server = self.servers.get(endpoint.address, FakeServer())
        if not server.answers:
            return self._proof(endpoint, wanted_bytes, None, Reason.ENDPOINT_SILENT)
        size = min(wanted_bytes, server.mtu_bytes, self._link_mtu(endpoint.address))
        passes = min(size, server.up_bytes)
        if server.pings:
            passes = min(passes, server.down_bytes)
        if passes < LEAST_BYTES:
            proof = self._proof(endpoint, wanted_bytes, None, Reason.BLACK_HOLE)
            return replace(proof, verdict=Verdict.BLACK_HOLE)
        if passes < size:
            reason = Reason.PATH_BELOW_TARGET if server.has_hints else Reason.BLACK_HOLE
            return self._proof(endpoint, wanted_bytes, passes, reason)
        reason = Reason.TUNED if passes >= wanted_bytes else Reason.SERVER_BELOW_TARGET
        return self._proof(endpoint, wanted_bytes, passes, reason)

    def _proof(self, endpoint: Endpoint, wanted: int, passes: int | None, reason: Reason) -> Proof:
        server = self.servers.get(endpoint.address, FakeServer())
        verdict = Verdict.PASSED if reason is Reason.TUNED else Verdict.SMALLER
        if passes is None:
            verdict = Verdict.INCONCLUSIVE
        return Proof(
            endpoint=endpoint,
            verdict=verdict,
            wanted_bytes=wanted,
            passes_bytes=passes,
            server_mtu_bytes=server.mtu_bytes if server.answers else None,
            way_back="icmp" if server.pings else "unproven",
            reason=reason,
            signs=(f"{passes} bytes",),
        )

    def _link_mtu(self, address: str) -> int:
        route = self.host.routes.get(Address(address))
        link = self.host.links.get(route.link_index) if route else None
        return link.mtu_bytes if link else 0

    def reach_gateway(self, gateway: Address) -> Contact:
        """Say whether the gateway answers at its link's MTU."""
        self.sent.append(f"gateway {gateway}")
        address, _, zone = gateway.partition("%")
        assert bool(zone) == ip_address(address).is_link_local, "a zone is for link-local addresses"
        routes = [route for route in self.host.default_routes if route.gateway == address]
        mtu = max(self.host.links[route.link_index].mtu_bytes for route in routes)
        return self._reached(f"gateway {gateway}", gateway, mtu)

    def reach_server(self, host: Address, port: int) -> Contact:
        """Say whether the API server answers at the MTU of the link that leads there."""
        self.sent.append(f"server {host}:{port}")
        route = self.host.routes.get(host)
        indexes = [route.link_index] if route else [r.link_index for r in self.host.default_routes]
        mtu = max((self.host.links[index].mtu_bytes for index in indexes), default=0)
        return self._reached(f"API server {host}:{port}", host, mtu)

    def _reached(self, peer: str, address: Address, mtu: int) -> Contact:
        answered = address not in self.silent and mtu <= self.lost_above.get(address, mtu)
        return Contact(peer, answered, f"MTU {mtu}")

    def end_connections(self, remote: Sequence[Address], port: int, above_bytes: int) -> int:
        """Record whose connections are ended."""
        if self.cannot_end:
            raise self.cannot_end
        self.ended.append((tuple(remote), port, above_bytes))
        return len(remote)

    def connections(self, servers: Collection[Server]) -> Listing:
        """Return the open connections to these servers."""
        if self.cannot_list:
            raise self.cannot_list
        self.sent.append("list")
        wanted = [item for item in self.opened if (item.remote, item.remote_port) in servers]
        return Listing(tuple(wanted), self.unlisted)

    def destroy(self, connections: Iterable[TcpConnection]) -> int:
        """Close these connections; ``reopens`` says what their owners open then."""
        if self.cannot_end:
            raise self.cannot_end
        going = [item for item in connections if item in self.opened]
        self.destroyed += going
        self.opened = [item for item in self.opened if item not in going]
        self.opened += [again for item in going if (again := self.reopens(item))]
        return len(going)


@dataclass(slots=True)
class FakeResolver:
    """A DNS in memory; a name that is not there does not resolve."""

    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def resolve(self, host: str) -> Resolution:
        """Return every address of the name; an address is its own."""
        self.asked.append(host)
        try:
            return Resolution(host, (Address(str(ip_address(host))),))
        except ValueError:
            pass
        found = tuple(Address(address) for address in self.names.get(host, ()))
        return Resolution(host, found, "" if found else f"{host} does not resolve")


@dataclass(slots=True)
class FakeStorage:
    """The kernel's counters of NFS mounts, implementing ports.Storage; ``reads`` counts looks."""

    statistics: Statistics = field(default_factory=Statistics)
    reads: int = 0

    def stats(self) -> Statistics:
        """Return what was put there."""
        self.reads += 1
        return self.statistics


def no_permission(target: str) -> HostError:
    """Return what the kernel says to a process without the capability."""
    return HostError(target, EPERM, "Operation not permitted")


def mounted(
    path: str = "/mnt/models",
    source: str = "10.1.0.10:/models",
    options: str = "vers=4.2,rsize=1048576,wsize=1048576,hard,proto=tcp,nconnect=8,sec=sys",
    device: str = "0:50",
) -> NfsMount:
    """Return a mount as mountinfo would show it; the source's host is its addr= when one is one."""
    host = source.rpartition(":/")[0].strip("[]")
    address = "" if any(char.isalpha() for char in host) and ":" not in host else f",addr={host}"
    fstype = "nfs" if "vers=3" in options.split(",") else "nfs4"
    point = NfsPoint(100, path, source, is_read_only="ro" in options.split(","))
    return nfs_mount(device, (point,), fstype, options + address)
