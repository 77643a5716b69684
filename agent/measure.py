"""What read-ahead is sized by: the delay of a mount's connections, and what its link carries."""

from collections.abc import Callable, Iterable

from agent.nfs import NfsMount
from agent.ports import HostError, Prober
from agent.state import Address, HostState, LinkName


def round_trips(prober: Prober, mounts: Iterable[NfsMount]) -> dict[Address, float]:
    """Return the smallest round trip in seconds that the connections to each server saw."""
    servers = {(mount.server, mount.port) for mount in mounts if mount.server}
    found: dict[Address, float] = {}
    try:
        connections = prober.connections(servers).connections
    except HostError:
        return {}
    for item in connections:
        seconds = item.info.min_rtt_seconds or item.info.rtt_seconds
        if seconds:
            found[item.remote] = min(seconds, found.get(item.remote, seconds))
    return found


def link_megabits(ask: Callable[[LinkName], int | None], state: HostState) -> dict[LinkName, int]:
    """Return what each link that leads to a mount's server carries, Mbit/s, where it is known."""
    routes = [state.routes.get(mount.server) for mount in state.mounts]
    links = {state.link(route.link_index) for route in routes if route}
    return {link.name: speed for link in links if link and (speed := ask(link.name))}
