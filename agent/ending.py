"""
End connections to storage: those opened too early, and those born over a path that is no more.

To end a connection of a hard NFS mount loses nothing: the client repeats what was not answered,
mostly at once. Now and then a request that was under way waits for the mount's timeo, 60 s, first
(measured on 6.12 in the middle of NFSv3 reads and writes, never with v4.2). So a moment between two
requests is waited for where there is one.
"""

from collections.abc import Callable, Container, Sequence

from agent.connections import TcpConnection
from agent.ports import HostError, Prober
from agent.scene import Scene
from agent.state import Address, LinkName

LOOKS, LOOK_SECONDS = 40, 0.01
"""How often, and how far apart, connections are looked at for a moment between two requests."""


def end_between_requests(
    prober: Prober, connections: Sequence[TcpConnection], sleep: Callable[[float], None]
) -> int:
    """End these connections, each in a quiet moment or at last; return how many were there."""
    servers = {(item.remote, item.remote_port) for item in connections}
    left = {item.identity for item in connections}
    ended = 0
    for look in range(LOOKS + 1):
        there = prober.connections(servers).connections
        mine = [item for item in there if item.identity in left]
        going = [item for item in mine if look == LOOKS or item.is_between_requests]
        ended += prober.destroy(going) if going else 0
        left = {item.identity for item in mine} - {item.identity for item in going}
        if not left:
            break
        sleep(LOOK_SECONDS)
    return ended


def end_born_between(
    prober: Prober, scene: Scene, lowered: Container[LinkName]
) -> HostError | None:
    """
    End the connections that announced more than their link carries since it was lowered.

    They stay stuck for ever: the server goes on sending what was announced to it (measured). Those
    to every endpoint and to every mount's server are looked at, handshakes too. Returns the
    kernel's refusal, None when all ended.
    """
    servers = [(item.address, item.port) for item in scene.desired.endpoints]
    servers += [(mount.server, mount.port) for mount in scene.state.mounts if mount.server]
    remotes: dict[tuple[int, int], list[Address]] = {}
    for address, port in dict.fromkeys(servers):
        link = scene.carrier(address)
        if link and link.name in lowered:
            remotes.setdefault((port, link.mtu_bytes), []).append(address)
    refused = None
    for (port, mtu_bytes), addresses in remotes.items():
        try:
            prober.end_connections(addresses, port, mtu_bytes)
        except HostError as error:
            refused = error
    return refused
