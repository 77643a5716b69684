"""Say what was judged of a server's connections, and what to do about it. Pure."""

from collections.abc import Sequence

from agent.connections import TcpConnection
from agent.early import Served, segment_bytes
from agent.places import listed, places
from agent.state import Finding, Reason, Severity
from common.record import dataclass

CHECK = "connections"
_UNMOUNT = (
    "unmount every mount of this server and version before the next one is made "
    "(a remount does not help)"
)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """
    Why early connections are not ended.

    ``agent_could`` tells whether a restarted agent, or one that gets a SIGHUP, would end them.
    """

    why: str
    agent_could: bool = False


def obstacle(served: Served, *, heals: bool, policy: str) -> Obstacle | None:
    """Return what forbids to end this server's early connections, None when nothing does."""
    if soft := served.soft_mounts:
        where = listed(path for mount in soft for path in mount.mount_points)
        return Obstacle(f"a request of the soft mount at {where} could fail and its data be lost")
    if served.doubt:
        return Obstacle(f"they are not ended because {served.doubt}")
    if policy == "report":
        return Obstacle("connections.early is report, so they are left alone")
    if not heals:
        return Obstacle("they are ended only before the gate opens", agent_could=True)
    return None


def early_finding(served: Served, early: Sequence[TcpConnection], blocked: Obstacle) -> Finding:
    """Return that connections are early and stay so, why, and the cure."""
    where = places(served.mounts)
    unmount = f"{_UNMOUNT}: {where}" if where else _UNMOUNT
    cure = (
        f"restart the agent or send it a SIGHUP, or {unmount}" if blocked.agent_could else unmount
    )
    message = f"{_opened_early(served, early)}; {blocked.why}; {cure}"
    return _finding(Severity.DEGRADED, Reason.EARLY_CONNECTION, served, message)


def foreign_finding(served: Served, early: Sequence[TcpConnection]) -> Finding:
    """Return that another program's connections are early: its own matter, worth a word."""
    message = f"{_opened_early(served, early)}; no NFS mount of this server is known here, so they "
    message += "are another program's and left alone: restart that program"
    return _finding(Severity.NOTE, Reason.EARLY_CONNECTION, served, message)


def healed_finding(served: Served, ended: int, again: int) -> Finding:
    """Return that early connections were ended, and how many are open again at full size."""
    message = (
        f"ended {ended} {_connections(ended)} to {_where(served)} that {_were(ended)} opened at a "
        f"smaller MTU; {again} {_are(again)} open again at full size so far, others open with the "
        f"next request; requests under way are sent again, none is lost ({places(served.mounts)})"
    )
    return _finding(Severity.NOTE, Reason.CONNECTIONS_HEALED, served, message)


def unchanged_obstacle(served: Served) -> Obstacle:
    """Return why a new connection of this server is no larger than the one that was ended."""
    address = served.endpoint.address
    why = "a new one announces no more: `ip route get` to "
    return Obstacle(f"{why}{address} shows a smaller advmss or mtu, or a socket option sets it")


def writes_finding(served: Served, small: Sequence[TcpConnection]) -> Finding:
    """Return that writes alone are bounded: models are read, so it is only worth a word."""
    largest = max(item.info.snd_mss_bytes for item in small)
    message = (
        f"{_count(served, small)} to {_where(served)} send at most {largest} bytes a segment, as "
        "the server announced when they were opened; reads are not affected"
    )
    return _finding(Severity.NOTE, Reason.EARLY_CONNECTION, served, message)


def clamped_finding(served: Served, clamped: Sequence[TcpConnection]) -> Finding:
    """Return that reads come in small segments though this end announced large ones."""
    arriving = max(item.info.rcv_mss_bytes for item in clamped)
    allowed = segment_bytes(served.allowed_bytes, clamped[0])
    message = (
        f"{_count(served, clamped)} to {_where(served)} read {arriving} bytes a segment though "
        f"{allowed} were announced: something on the way rewrites the MSS of this node's SYN "
        "(a firewall's TCPMSS or mss-clamp rule), or the server holds a smaller path MTU to this "
        "node; look for it there and on the server"
    )
    return _finding(Severity.DEGRADED, Reason.SEGMENTS_CLAMPED, served, message)


def unreadable_finding(detail: str) -> Finding:
    """Return that the node's connections cannot be told, and what to do."""
    message = (
        f"cannot tell whether connections to storage were opened too early: {detail}; load the "
        "kernel modules inet_diag and tcp_diag on the host, or look with `ss -tin dport = :2049`: "
        "advmss should be the link's MTU less 52"
    )
    return Finding(CHECK, Severity.NOTE, Reason.CONNECTIONS_UNREADABLE, "", message)


def _opened_early(served: Served, early: Sequence[TcpConnection]) -> str:
    small = min(item.info.advmss_bytes for item in early)
    allowed = segment_bytes(served.allowed_bytes, early[0])
    return (
        f"{_count(served, early)} to {_where(served)} {_were(len(early))} opened at a smaller MTU "
        f"and read at most {small} bytes a segment for ever, where {allowed} would pass"
    )


def _count(served: Served, some: Sequence[TcpConnection]) -> str:
    total = len(served.connections)
    return f"{len(some)} of {total} {_connections(total)}"


def _connections(number: int) -> str:
    return "connection" if number == 1 else "connections"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _where(served: Served) -> str:
    endpoint = served.endpoint
    address = "" if endpoint.host == endpoint.address else f" ({endpoint.address})"
    return f"{endpoint.host}{address} port {endpoint.port}"


def _finding(severity: Severity, reason: Reason, served: Served, message: str) -> Finding:
    return Finding(CHECK, severity, reason, served.endpoint.address, message)
