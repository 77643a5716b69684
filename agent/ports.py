"""
What the pure core asks of the outside: the host, the path probes, the cluster.

Protocols only. ``agent/host`` and ``agent/cluster`` implement them for real, ``tests/fakes`` in
memory. Errors: ``AgentError`` > ``HostError`` (a write or read that the kernel refused).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from agent.connections import Listing, TcpConnection
from agent.nfs import NfsMount
from agent.state import Address, Change, Endpoint, HostState, Proof
from common.record import dataclass

if TYPE_CHECKING:
    from agent.nfs_stats import Statistics
    from agent.volumes import Volume

Server = tuple[Address, int]
"""A storage server as its connections know it: address and port."""


class AgentError(Exception):
    """Base of the agent's own errors."""


class HostError(AgentError):
    """
    The kernel refused a write.

    Attributes:
        target: the change's target, e.g. ``link/eth1/mtu``.
        errno: the errno value, 0 when there is none.
        detail: the kernel's own words (extended ack) or strerror.
    """

    def __init__(self, target: str, errno: int, detail: str) -> None:
        """Keep the parts and join them into one message."""
        super().__init__(f"{target}: {detail}")
        self.target = target
        self.errno = errno
        self.detail = detail


class Host(Protocol):
    """One node's kernel: read it all, write one thing."""

    def observe(self, addresses: Sequence[Address]) -> HostState:
        """Return one snapshot, with the routes to these addresses."""
        ...

    def observe_mounts(self) -> HostState:
        """Return the mounts and their read-ahead alone: links, routes, sysctls are left out."""
        ...

    def apply(self, change: Change) -> None:
        """Write one change; raises HostError; never decides."""
        ...


@dataclass(frozen=True, slots=True)
class Contact:
    """
    Whether a peer answered, and how well it answers at the sizes in use now.

    ``peer`` names it for people ("gateway 10.0.0.1", "API server 10.0.0.2:6443"); ``answered``
    is None when it cannot be told here (e.g. ping sockets are not allowed).
    """

    peer: str
    answered: bool | None
    detail: str


class Prober(Protocol):
    """Packets on the wire: what answers, what size passes."""

    def contact(self, endpoint: Endpoint) -> Contact:
        """Open and close a TCP connection, to learn whether the server answers at all."""
        ...

    def prove(self, endpoint: Endpoint, wanted_bytes: int) -> Proof:
        """Show that packets of this size pass to the endpoint and, where allowed, back."""
        ...

    def reach_gateway(self, gateway: Address) -> Contact:
        """Ask the gateway (``fe80::1%eth0`` where link-local) for one small echo."""
        ...

    def reach_server(self, host: Address, port: int) -> Contact:
        """Open a TCP connection and have one full-size segment acknowledged (the API server)."""
        ...

    def end_connections(self, remote: Sequence[Address], port: int, above_bytes: int) -> int:
        """
        Destroy connections to these servers that announced a larger MSS than this MTU allows.

        Returns how many were destroyed. Raises HostError (EOPNOTSUPP: the kernel was built
        without CONFIG_INET_DIAG_DESTROY; EPERM: CAP_NET_ADMIN is missing).
        """
        ...

    def connections(self, servers: Collection[Server]) -> Listing:
        """Return the established connections to these servers; raises HostError."""
        ...

    def mount_service_problem(self, server: Address) -> str:
        """Return what keeps a new NFSv3 mount of a server from working (rpcbind, mountd), or ""."""
        ...

    def destroy(self, connections: Iterable[TcpConnection]) -> int:
        """Destroy these connections, return how many were there; raises HostError as above."""
        ...


@dataclass(frozen=True, slots=True)
class Resolution:
    """The addresses of one configured host name, or why there are none."""

    host: str
    addresses: tuple[Address, ...]
    problem: str = ""


class Resolver(Protocol):
    """Names to addresses."""

    def resolve(self, host: str) -> Resolution:
        """Return every address of the name (an address is its own), never raising."""
        ...


class Storage(Protocol):
    """What the kernel knows of its NFS clients; nothing here may wait for a server."""

    def mounts(self) -> tuple[NfsMount, ...]:
        """Return the NFS mounts that exist, none where they do not show, never raising."""
        ...

    def stats(self) -> "Statistics":
        """Return the counters of every NFS mount, or why there are none, never raising."""
        ...


class Volumes(Protocol):
    """The PersistentVolumes behind mounts; nothing here may wait for the API server."""

    def known(self, names: Collection[str]) -> "tuple[Mapping[str, Volume], str]":
        """Return those of these names that are known by now, and why others are not, or ""."""
        ...
