"""What tells the loop that something drifted, who took it away, and what must be proven again."""

from collections.abc import Callable, Sequence

from agent.revert import value_held
from agent.scene import Scene
from agent.state import Change

Signature = tuple[object, ...]


def signature(scene: Scene) -> Signature:
    """Return what must be proven again when it changes: storage links, routes, endpoints."""
    links = {scene.carrier(endpoint.address) for endpoint in scene.desired.endpoints}
    facts = {(link.index, link.name, link.mtu_bytes, link.is_up) for link in links if link}
    routes = [
        (route.link_index, route.gateway, route.source, route.mtu_bytes)
        for route in scene.state.routes.values()
    ]
    return (frozenset(facts), tuple(routes), scene.desired.endpoints)


def drifts_in(applied: Sequence[Change], before: Scene | None) -> tuple[Change, ...]:
    """Return which changes of a pass gave a target back what it had after the pass ``before``."""
    if before is None:
        return ()
    had = {change.target: value_held(change, before.state) for change in applied}
    drifts = []
    for change in applied:
        if had[change.target] == change.after:
            drifts.append(change)
        had[change.target] = change.after
    return tuple(drifts)


def holder_hint(target: str, scene: Scene, rivals: Callable[[], tuple[str, ...]]) -> str:
    """Return who probably holds a link: what installed its routes, what looks after links here."""
    link = next((one for one in scene.state.links if target == f"link/{one.name}/mtu"), None)
    if link is None:
        return ""
    routes = (*scene.state.default_routes, *scene.state.routes.values())
    protocols = {route.protocol for route in routes if route.link_index == link.index}
    known = sorted(protocols.difference(("", "kernel", "boot")))
    hints = [f"its routes come from {', '.join(known)}"] if known else []
    present = rivals()
    hints += [f"present here: {', '.join(present)}"] if present else []
    return f" ({'; '.join(hints)})" if hints else ""
