"""An in-memory network and DNS around a FakeHost, implementing the agent's ports."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from agent.connections import Listing, TcpConnection
from agent.ports import Contact, HostError, Resolution, Server
from agent.state import (
    Address,
    Endpoint,
    Proof,
    Reason,
    Verdict,
)
from tests.fakes import FakeHost

LEAST_BYTES = 576


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
    mount_problems: dict[str, str] = field(default_factory=dict)
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

    def mount_service_problem(self, server: Address) -> str:
        """Say what was put there for this server."""
        self.sent.append(f"rpcbind {server}")
        return self.mount_problems.get(server, "")

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
