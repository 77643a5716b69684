"""
Hold every NFS mount against what is wanted of it. Pure.

Only too few connections can make a node degraded; all else is advice, because what is a fault for
model weights may be right for a home folder. What cannot be seen from here is said, not guessed.
"""

from collections.abc import Callable, Container, Iterable, Mapping

from agent.nfs import NfsMount, is_elsewhere
from agent.nfs_options import LOOKS
from agent.nfs_stats import ClientKey, Statistics, clients
from agent.nfs_want import Wish
from agent.state import Address, Finding, Reason, Severity
from common.record import dataclass

SHOWN_PATHS = 6
"""A message names no more mount points than this: nobody reads two hundred."""


@dataclass(frozen=True, slots=True)
class Seen:
    """
    All that is known of the mounts of a node.

    ``connected`` are the (server, port) that this namespace has connections to, None when they
    could not be listed; ``addresses`` are the node's.
    """

    mounts: tuple[NfsMount, ...]
    statistics: Statistics
    addresses: Container[Address] = ()
    connected: Container[tuple[Address, int]] | None = None


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with one mount, in words that other mounts may share."""

    reason: Reason
    text: str


def judge(seen: Seen, wishes: Callable[[NfsMount], Mapping[str, Wish]]) -> tuple[Finding, ...]:
    """Return what is to be said of these mounts; nothing when there are none."""
    wanted = {mount.device: wishes(mount) for mount in seen.mounts}
    faults: dict[_Fault, list[NfsMount]] = {}
    for mount in seen.mounts:
        for fault in (*_unchecked(mount, seen), *_options(mount, wanted[mount.device])):
            faults.setdefault(fault, []).append(mount)
    findings = [*_connections(seen, wanted)]
    findings += [_finding(fault, mounts) for fault, mounts in faults.items()]
    if seen.mounts and seen.statistics.problem:
        message = f"{seen.statistics.problem}; connections are judged by mountinfo alone"
        findings.append(Finding("nfs", Severity.NOTE, Reason.NOT_CHECKABLE_HERE, "", message))
    return tuple(findings)


def _finding(fault: _Fault, mounts: list[NfsMount]) -> Finding:
    sources = listed([source for _, source in _exports(mounts)])
    paths = listed([path for mount in mounts for path in mount.mount_points])
    message = f"{sources} at {paths}: {fault.text}"
    return Finding("nfs", Severity.NOTE, fault.reason, mounts[0].source, message)


def listed(paths: list[str]) -> str:
    """Return paths for a sentence, the first few when there are many."""
    more = len(paths) - SHOWN_PATHS
    return ", ".join(paths[:SHOWN_PATHS]) + (f" and {more} more" if more > 0 else "")


def is_tunnelled(mount: NfsMount) -> bool:
    """Return whether the server is reached through a program on this node, as EFS by stunnel."""
    return mount.server.startswith("127.") or mount.server == "::1"


def is_foreign(mount: NfsMount, seen: Seen) -> bool:
    """
    Return whether a mount was made in another network namespace, e.g. by a CSI driver's pod.

    Version 4 tells. Else a transport that is connected (only then has it been idle for some time)
    without a connection here gives it away; none connected says nothing, since an idle mount of
    version 3 has no connection.
    """
    if mount.options.get("clientaddr"):
        return is_elsewhere(mount, seen.addresses)
    stats = seen.statistics.of(mount)
    if seen.connected is None or stats is None or mount.protocol == "udp":
        return False
    is_connected = any(transport.idle_seconds for transport in stats.transports)
    return is_connected and (mount.server, mount.port) not in seen.connected


def _unchecked(mount: NfsMount, seen: Seen) -> Iterable[_Fault]:
    """Yield what cannot be judged from here, and why."""
    reason = Reason.NOT_CHECKABLE_HERE
    if is_tunnelled(mount):
        yield _Fault(
            reason,
            f"reached through a tunnel on this node ({mount.server}): connections, segment "
            "size and path beyond it cannot be checked here; name the real server in "
            "storage.endpoints",
        )
    elif is_foreign(mount, seen):
        local = mount.options.get("clientaddr", "")
        why = (
            f"its own address {local} is none of this node's"
            if local
            else "no connection of it is here"
        )
        yield _Fault(
            reason,
            f"mounted in another network namespace ({why}), as by a CSI driver without "
            "hostNetwork: connections, segment size and path cannot be checked here",
        )
    if mount.protocol.startswith("rdma"):
        yield _Fault(reason, "carried by RDMA: what is proven of TCP's path says nothing of it")
    if mount.security.startswith("krb5"):
        yield _Fault(
            reason,
            f"sec={mount.security}: whose ticket may read, and what signing and encryption cost, "
            "cannot be checked here; its options are",
        )
    if mount.transport_security not in ("", "none"):
        yield _Fault(
            reason,
            f"xprtsec={mount.transport_security}: the path is proven with plain calls, TLS "
            "itself (certificates, what it costs) cannot be checked here; its options are",
        )


def _options(mount: NfsMount, wishes: Mapping[str, Wish]) -> Iterable[_Fault]:
    """Yield each option that is not as wanted, but for nconnect."""
    for option, wish in wishes.items():
        look = LOOKS.get(option)
        value = look.read(mount) if look else None
        if look and value is not None and not wish.accepts(value):
            reason, text = look.tell(mount, wish, value)
            yield _Fault(reason, f"{text}; wanted: {wish}")


def _connections(seen: Seen, wanted: Mapping[str, Mapping[str, Wish]]) -> Iterable[Finding]:
    """Yield each client that has not the connections that its mounts want."""
    for key, mounts in clients(seen.mounts).items():
        if is_tunnelled(mounts[0]) or key[2] == "udp":
            continue
        real = max(_transports(mount, seen.statistics) for mount in mounts)
        wishes = [wanted[mount.device].get("nconnect") for mount in mounts]
        unmet = [wish for wish in wishes if wish and not wish.accepts(real)]
        if unmet:
            worst = max(unmet, key=lambda wish: wish.exceeds(real))
            yield _connections_finding(key, mounts, real, worst)


def _transports(mount: NfsMount, statistics: Statistics) -> int:
    """Return how many connections a mount may use: its transports, or what mountinfo says."""
    stats = statistics.of(mount)
    return len(stats.transports) if stats and stats.transports else mount.nconnect


def _connections_finding(key: ClientKey, mounts: list[NfsMount], real: int, wish: Wish) -> Finding:
    server, name = key[0], f"{key[0]} (NFS {key[3]})"
    has = f"{real} connection{'s' if real != 1 else ''}"
    paths = [path for mount in mounts for path in mount.mount_points]
    sources = _exports(mounts)
    if not wish.exceeds(real):
        message = f"{name} is used over {has} by {listed(paths)}; wanted: {wish}"
        return Finding("nconnect", Severity.NOTE, Reason.NFS_OPTION_UNWANTED, server, message)
    number = max(term.value for term in wish.terms if isinstance(term.value, int))
    if len(sources) > 1:
        message = (
            f"{name} is used over {has}, wanted: {wish}: its {len(sources)} exports here share the "
            "connections of the one mounted first, and a later nconnect is ignored without a word; "
            f"unmount all of them ({listed(paths)}; a remount does not help), then mount with "
            f"nconnect={number} first"
        )
        return Finding("nconnect", Severity.DEGRADED, Reason.NCONNECT_SHARED, server, message)
    message = (
        f"{name} is used over {has}, wanted: {wish}; unmount {listed(paths)} and mount it with "
        f"nconnect={number} (a remount does not help); if that was asked for, another mount of "
        "this server and version was there first without it"
    )
    return Finding("nconnect", Severity.DEGRADED, Reason.NCONNECT_BELOW_WANTED, server, message)


def _exports(mounts: list[NfsMount]) -> list[tuple[str, str]]:
    """Return the mounts that were made as such: a bind of a folder shows its export's longer."""
    found: list[tuple[str, str]] = []
    for mount in mounts:
        sources = dict.fromkeys(point.source for point in mount.points)
        found += [
            (mount.device, source)
            for source in sources
            if not any(source.startswith(f"{other}/") for other in sources)
        ]
    return found
