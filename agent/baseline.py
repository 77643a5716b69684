"""
What must go on answering when a link that other traffic uses gets a larger MTU.

Only what answered before is asked of after, as nmstate does: a gateway that drops echoes proves
nothing either way.
"""

from ipaddress import ip_address

from agent.links import stack
from agent.ports import Contact
from agent.scene import Scene, Tools
from agent.state import Address, LinkMtuChange, LinkName


def layer_names(scene: Scene, name: LinkName) -> set[LinkName]:
    """Return the names of a link and of all it stands on."""
    link = scene.state.named(name)
    return {layer.name for layer in stack(link, scene.state)} if link else set()


def ask(tools: Tools, scene: Scene) -> dict[LinkName, tuple[Contact, ...]]:
    """Ask what must go on working, for each link about to grow that other traffic uses."""
    growing = {
        change.link
        for change in scene.plan.changes
        if isinstance(change, LinkMtuChange) and change.after_bytes > change.before_bytes
    }
    return {
        name: contacts
        for name in scene.plan.links
        if layer_names(scene, name) & growing
        if (contacts := _reach(tools, scene, name))
    }


def lost(tools: Tools, scene: Scene, name: LinkName, before: tuple[Contact, ...]) -> str:
    """Ask again and name, joined by commas, what answered before and does not now."""
    answered = {contact.peer for contact in before if contact.answered}
    if not answered:
        return ""
    return ", ".join(
        contact.peer
        for contact in _reach(tools, scene, name)
        if contact.peer in answered and contact.answered is False
    )


def _reach(tools: Tools, scene: Scene, name: LinkName) -> tuple[Contact, ...]:
    layers = layer_names(scene, name)
    gateways = [
        _scoped(route.gateway, link.name)
        for route in scene.state.default_routes
        if (link := scene.state.link(route.link_index)) and link.name in layers
        if route.gateway
    ]
    contacts = [tools.prober.reach_gateway(gateway) for gateway in gateways]
    if api := tools.api_server:
        # a Service address may leave by another link than its route says, so by the default's
        carrier = scene.carrier(api[0])
        if gateways or (carrier and carrier.name in layers):
            contacts.append(tools.prober.reach_server(*api))
    return tuple(contacts)


def _scoped(gateway: Address, link: LinkName) -> Address:
    """Return where to reach a gateway; a link-local one only with its zone (RFC 4007)."""
    # routers announce themselves by that (RFC 4861, 4.2), so most IPv6 gateways are
    return Address(f"{gateway}%{link}") if ip_address(gateway).is_link_local else gateway
