"""What tells the loop that something drifted, who took it away, and what must be proven again."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from agent.readahead import ReadAheadChange
from agent.revert import value_held
from agent.scene import Scene
from agent.state import Change
from agent.targets import current_value, superblock_of
from common.record import dataclass

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
    had = {_very_target(change): value_held(change, before.state) for change in applied}
    drifts = []
    for change in applied:
        if had[_very_target(change)] == change.after:
            drifts.append(change)
        had[_very_target(change)] = change.after
    return tuple(drifts)


def _very_target(change: Change) -> tuple[str, int]:
    """Return what tells two mounts apart that had the same number one after the other."""
    return change.target, change.superblock if isinstance(change, ReadAheadChange) else 0


@dataclass(frozen=True, slots=True)
class Rivals:
    """
    Who takes targets away: what is known of them in one scene.

    ``last_repairs`` are the last writes that put each target right; ``present`` names the programs
    that look after links here.
    """

    scene: Scene
    last_repairs: Mapping[str, Change]
    present: Callable[[], tuple[str, ...]]

    def present_targets(self, targets: Iterable[str]) -> list[str]:
        """Return these targets without the mounts that are gone: their rivals are, too."""
        gone = {
            target
            for target, last in self.last_repairs.items()
            if isinstance(last, ReadAheadChange)
            and superblock_of(target, self.scene.state) != last.superblock
        }
        return sorted(set(targets) - gone)

    def value(self, target: str) -> str:
        """Return what another program gives a contested target, also while ours still stands."""
        value = current_value(target, self.scene.state) or "absent"
        last = self.last_repairs.get(target)
        return last.before if last and value == last.after else value

    def hint(self, target: str) -> str:
        """Return who probably holds a link: what installed its routes, who looks after links."""
        state = self.scene.state
        link = next((one for one in state.links if target == f"link/{one.name}/mtu"), None)
        if link is None:
            return ""
        routes = (*state.default_routes, *state.routes.values())
        protocols = {route.protocol for route in routes if route.link_index == link.index}
        known = sorted(protocols.difference(("", "kernel", "boot")))
        hints = [f"its routes come from {', '.join(known)}"] if known else []
        present = self.present()
        hints += [f"present here: {', '.join(present)}"] if present else []
        return f" ({'; '.join(hints)})" if hints else ""
