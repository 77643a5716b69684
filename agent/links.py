"""
Which links carry storage traffic, which of them may be tuned, and in which order.

Pure. The link to tune is the kernel's own answer to "which way to the storage server", never a
guess from a name; patterns are the explicit override.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network

from agent.state import (
    ARPHRD_INFINIBAND,
    ARPHRD_LOOPBACK,
    Endpoint,
    Finding,
    HostState,
    LeftAlone,
    Link,
    LinkName,
    Reason,
    Severity,
)
from common.record import dataclass

OVERLAY_KINDS = frozenset(
    {"vxlan", "geneve", "gre", "gretap", "ipip", "sit", "ip6tnl", "ip6gre", "ip6gretap"}
    | {"wireguard", "tun", "ppp", "vti", "xfrm", "gtp", "bareudp", "vti6"}
)
STACKED_ON_LOWER = frozenset({"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"})
STACKED_ON_MEMBERS = frozenset({"bond", "bridge", "team"})
SETS_MEMBERS = frozenset({"bond", "team"})
"""Kinds whose every member gets their MTU (bond_change_mtu, team_change_mtu)."""
CNI_NAMES = (
    *("cni*", "docker*", "br-????????????", "cali*", "cilium*", "lxc*", "flannel*", "virbr*"),
    *("kube-*", "weave*", "antrea*", "ovn*", "podman*", "nodelocaldns", "lxd*", "vxlan.calico"),
)
RDMA_NAMES = ("ib[0-9]*", "fabric[0-9]*", "rdma[0-9]*", "roce[0-9]*")


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """Name or CIDR patterns: with ``include`` only those links are tuned, never ``exclude``."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """The links to tune with the endpoints each one serves, and what was left alone."""

    links: Mapping[LinkName, tuple[Endpoint, ...]]
    left_alone: tuple[LeftAlone, ...]
    findings: tuple[Finding, ...]


def matches(link: Link, patterns: Iterable[str]) -> str | None:
    """Return the first pattern that names the link or holds one of its addresses."""
    for pattern in patterns:
        if "/" in pattern:
            network = ip_network(pattern, strict=False)
            if any(ip_address(address) in network for address in link.addresses):
                return pattern
        elif fnmatchcase(link.name, pattern):
            return pattern
    return None


def is_pod_link(link: Link) -> bool:
    """
    Return whether this is a pod's veth: no address of the node's on it.

    One that a vlan or a bond of the node stands on is the node's own all the same.
    """
    return link.kind == "veth" and not _global_addresses(link)


def _global_addresses(link: Link) -> tuple[str, ...]:
    return tuple(text for text in link.addresses if not ip_address(text).is_link_local)


def _public_address(link: Link) -> str | None:
    # 100.64.0.0/10 (RFC 6598) is neither private nor global: a cloud's inside, so not public.
    return next((text for text in link.addresses if ip_address(text).is_global), None)


def members(link: Link, state: HostState) -> tuple[Link, ...]:
    """Return the links that a stacked link stands on, one level down."""
    if link.kind in STACKED_ON_LOWER and link.lower_index is not None:
        lower = state.link(link.lower_index)
        return (lower,) if lower else ()
    if link.kind in STACKED_ON_MEMBERS:
        return tuple(
            port
            for port in state.links
            if port.master_index == link.index and not (link.kind == "bridge" and is_pod_link(port))
        )
    return ()


def stack(link: Link, state: HostState) -> tuple[Link, ...]:
    """Return the link and all that it stands on, the lowest first, each once."""
    ordered: dict[int, Link] = {}

    def visit(current: Link, seen: frozenset[int]) -> None:
        if current.index in seen:
            return
        for lower in members(current, state):
            visit(lower, seen | {current.index})
        ordered.setdefault(current.index, current)

    visit(link, frozenset())
    return tuple(ordered.values())


def never_tuned(link: Link, state: HostState) -> str | None:
    """Return why this link is nobody's to tune, even by name, or None."""
    ports = [port for port in state.links if port.master_index == link.index]
    rules = (
        ("loopback", link.device_type == ARPHRD_LOOPBACK),
        ("RDMA fabric", link.device_type == ARPHRD_INFINIBAND or matches(link, RDMA_NAMES)),
        ("belongs to the container network", matches(link, CNI_NAMES)),
        (
            "a bridge of pods",
            link.kind == "bridge" and ports and all(is_pod_link(port) for port in ports),
        ),
        ("an overlay: its MTU follows its underlay", link.kind in OVERLAY_KINDS),
    )
    return next((why for why, holds in rules if holds), None)


def reason_to_leave(link: Link, state: HostState, policy: LinkPolicy) -> str | None:
    """Return why this link is left alone, or None when it may be tuned."""
    for layer in stack(link, state):
        if layer is link and (why := _own_reason(link, state)):
            return why
        if why := _layer_reason(layer, state, policy):
            return why if layer is link else f"stands on {layer.name}: {why}"
    if policy.include and not matches(link, policy.include):
        return "not named by links.include"
    return None


def _own_reason(link: Link, state: HostState) -> str | None:
    """Return why the link is not tuned for itself, though what stands on it may be."""
    master = state.link(link.master_index) if link.master_index else None
    if is_pod_link(link):
        return "a pod's veth"
    if master and master.kind in STACKED_ON_MEMBERS:
        return f"belongs to {master.name} and is tuned with it"
    return None


def _layer_reason(link: Link, state: HostState, policy: LinkPolicy) -> str | None:
    if why := never_tuned(link, state):
        return why
    if pattern := matches(link, policy.exclude):
        return f"excluded by links.exclude ({pattern})"
    if (public := _public_address(link)) and not matches(link, policy.include):
        return f"carries the public address {public}; name it in links.include to tune it"
    return None


def _unrouted(endpoint: Endpoint) -> Finding:
    return Finding(
        check="endpoints",
        severity=Severity.PENDING,
        reason=Reason.ENDPOINT_UNROUTED,
        target=endpoint.address,
        message=f"no route to storage endpoint {endpoint.host} ({endpoint.address})",
    )


def _not_eligible(link: Link, endpoint: Endpoint, why: str) -> Finding:
    return Finding(
        check="links",
        severity=Severity.DEGRADED,
        reason=Reason.LINK_NOT_ELIGIBLE,
        target=link.name,
        message=f"storage {endpoint.address} is reached over {link.name}, left alone: {why}",
    )


def choose(state: HostState, endpoints: tuple[Endpoint, ...], policy: LinkPolicy) -> Choice:
    """
    Return the links to tune: those named by pattern, else those that storage is routed over.

    Every other link of the node is listed as left alone with its reason.
    """
    chosen: dict[LinkName, tuple[Endpoint, ...]] = {
        link.name: ()
        for link in state.links
        if matches(link, policy.include) and reason_to_leave(link, state, policy) is None
    }
    findings: list[Finding] = []
    for endpoint in endpoints:
        route = state.routes.get(endpoint.address)
        link = state.link(route.link_index) if route else None
        if route is None or link is None:
            findings.append(_unrouted(endpoint))
        elif route.is_local:
            continue  # served from this very node: no link carries it
        elif why := reason_to_leave(link, state, policy):
            findings.append(_not_eligible(link, endpoint, why))
        else:
            chosen[link.name] = (*chosen.get(link.name, ()), endpoint)
    return Choice(chosen, _left_alone(state, chosen, policy), tuple(findings))


def _left_alone(
    state: HostState, chosen: Mapping[LinkName, tuple[Endpoint, ...]], policy: LinkPolicy
) -> tuple[LeftAlone, ...]:
    tuned = {
        layer.index for link in state.links if link.name in chosen for layer in stack(link, state)
    }
    return tuple(
        LeftAlone(
            target=f"link/{link.name}/mtu",
            value=str(link.mtu_bytes),
            why=reason_to_leave(link, state, policy) or "no storage endpoint is routed over it",
        )
        for link in state.links
        if link.index not in tuned
    )
