"""
The values that flow through the agent: what the host is, what is wanted, what was found.

Frozen data only: nothing here reads or writes anything. The edges in ``agent/host`` make a
HostState, ``agent/plan`` turns it into a Plan, ``agent/verdict`` turns the proof into a Report.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NewType

from agent.nfs import NfsMount
from agent.readahead import ReadAhead, ReadAheadChange
from common.record import dataclass, field

LinkName = NewType("LinkName", str)
SysctlKey = NewType("SysctlKey", str)
Address = NewType("Address", str)
"""An IPv4 or IPv6 address in its canonical text form, without a prefix length."""

ARPHRD_ETHER = 1
ARPHRD_INFINIBAND = 32
ARPHRD_LOOPBACK = 772


@dataclass(frozen=True, slots=True)
class Link:
    """
    One network device of the node's namespace, as RTM_GETLINK and RTM_GETADDR show it.

    ``max_mtu_bytes`` is None where the kernel names no limit (IFLA_MAX_MTU absent or 0).
    ``lower_index`` is IFLA_LINK when it is a link of this namespace (a vlan's or macvlan's
    parent), None otherwise; ``peer_elsewhere`` is true when IFLA_LINK names another namespace.
    ``master_index`` is the bond or bridge that this link belongs to. ``carrier_changes`` counts
    how often it went down or came back (IFLA_CARRIER_CHANGES).
    """

    index: int
    name: LinkName
    kind: str  # IFLA_INFO_KIND: "", "veth", "vlan", "bond", "bridge", "macvlan", "vxlan", ...
    device_type: int  # ARPHRD_*
    mtu_bytes: int
    min_mtu_bytes: int
    max_mtu_bytes: int | None
    is_up: bool
    lower_index: int | None = None
    master_index: int | None = None
    peer_elsewhere: bool = False
    addresses: tuple[Address, ...] = ()
    carrier_changes: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """
    The kernel's answer to RTM_GETROUTE for one address.

    ``mtu_bytes`` is RTAX_MTU (a learned or configured path MTU), None when nothing is cached.
    ``protocol`` names who installed it (rtm_protocol): "kernel", "boot", "static", "dhcp", "ra"...
    """

    address: Address
    link_index: int
    gateway: Address | None
    source: Address | None
    mtu_bytes: int | None = None
    is_local: bool = False
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class Sysctl:
    """One kernel setting: its text with white space folded, and whether we may write it."""

    value: str
    is_writable: bool


@dataclass(frozen=True, slots=True)
class TcpMemory:
    """TCP's buffer pages in use and the pressure threshold (sockstat ``mem``, tcp_mem[1])."""

    used_pages: int
    pressure_pages: int


@dataclass(frozen=True, slots=True)
class HostState:
    """
    One snapshot of the node; what is absent on the host is absent here.

    ``routes`` holds the addresses that were asked for and have a route; an address asked for
    and missing has none. ``default_routes`` are the default routes of both families.
    ``read_ahead`` holds the NFS mounts' by device; one may only be missing from it though it is
    there where ``read_ahead_problem`` says why. ``round_trips`` (seconds, by server) and
    ``link_megabits`` are measured only where read-ahead is sized by them.
    """

    boot_id: str
    links: tuple[Link, ...]
    routes: Mapping[Address, Route]
    default_routes: tuple[Route, ...]
    sysctls: Mapping[SysctlKey, Sysctl]
    mounts: tuple[NfsMount, ...]
    memory_bytes: int
    tcp_memory: TcpMemory | None = None
    read_ahead: Mapping[str, ReadAhead] = field(default_factory=dict)
    read_ahead_problem: str = ""
    round_trips: Mapping[Address, float] = field(default_factory=dict)
    link_megabits: Mapping[LinkName, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()  # what could not be read, one sentence each

    @property
    def addresses(self) -> frozenset[Address]:
        """Return every address of the node's links."""
        return frozenset(address for link in self.links for address in link.addresses)

    def link(self, index: int) -> Link | None:
        """Return the link of this index, or None."""
        return next((link for link in self.links if link.index == index), None)

    def named(self, name: LinkName) -> Link | None:
        """Return the link of this name, or None."""
        return next((link for link in self.links if link.name == name), None)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    A storage server's address that the node will read from.

    ``host`` is what was configured (a name or an address), ``origin`` says where it came from,
    e.g. ``configuration``, ``endpoints file``, ``mount /mnt/models``.
    """

    host: str
    address: Address
    port: int
    origin: str


@dataclass(frozen=True, slots=True)
class LinkMtuChange:
    """Set a link's MTU; ``index`` guards against a link re-created under the same name."""

    link: LinkName
    index: int
    before_bytes: int
    after_bytes: int
    why: str

    @property
    def target(self) -> str:
        """Return the journal's and the metrics' name of what this changes."""
        return f"link/{self.link}/mtu"

    @property
    def before(self) -> str:
        """Return the value before, as text."""
        return str(self.before_bytes)

    @property
    def after(self) -> str:
        """Return the value after, as text."""
        return str(self.after_bytes)


@dataclass(frozen=True, slots=True)
class SysctlChange:
    """Write a sysctl: kernel text with single spaces between fields."""

    key: SysctlKey
    before: str
    after: str
    why: str

    @property
    def target(self) -> str:
        """Return the journal's and the metrics' name of what this changes."""
        return f"sysctl/{self.key}"


Change = LinkMtuChange | SysctlChange | ReadAheadChange


class Severity(StrEnum):
    """What a finding means for the outcome; the worst one decides."""

    NOTE = "note"  # worth saying, changes nothing
    DEGRADED = "degraded"
    PENDING = "pending"  # cannot tell yet: try again with the gate closed
    FAILED = "failed"


class Reason(StrEnum):
    """Every CamelCase reason that a finding, a condition or an event may carry."""

    TUNED = "Tuned"
    NOT_JUDGED_YET = "NotJudgedYet"
    OBSERVING = "Observing"
    STANDING_BY = "StandingBy"
    NO_STORAGE_ENDPOINT = "NoStorageEndpoint"
    ENDPOINTS_FILE_MISSING = "EndpointsFileMissing"
    ENDPOINT_UNRESOLVED = "EndpointUnresolved"
    ENDPOINT_UNROUTED = "EndpointUnrouted"
    ENDPOINT_SILENT = "EndpointSilent"
    ENDPOINT_REFUSED = "EndpointRefused"
    PATH_UNPROVEN = "PathUnproven"
    PATH_BELOW_TARGET = "PathBelowTarget"
    SERVER_BELOW_TARGET = "ServerBelowTarget"
    ROUTE_BELOW_TARGET = "RouteBelowTarget"
    BLACK_HOLE = "BlackHole"
    EARLY_CONNECTION = "EarlyConnection"
    CONNECTIONS_HEALED = "ConnectionsHealed"
    CONNECTIONS_UNREADABLE = "ConnectionsUnreadable"
    SEGMENTS_CLAMPED = "SegmentsClamped"
    LINK_NOT_ELIGIBLE = "LinkNotEligible"
    LINK_VANISHED = "LinkVanished"
    LINK_REFUSED_MTU = "LinkRefusedMtu"
    LINK_BELOW_TARGET = "LinkBelowTarget"
    BASELINE_LOST = "BaselineLost"
    SYSCTL_READ_ONLY = "SysctlReadOnly"
    SYSCTL_ABSENT = "SysctlAbsent"
    SYSCTL_REFUSED = "SysctlRefused"
    READ_AHEAD_READ_ONLY = "ReadAheadReadOnly"
    READ_AHEAD_UNREADABLE = "ReadAheadUnreadable"
    READ_AHEAD_REFUSED = "ReadAheadRefused"
    MEMORY_GUARD = "MemoryGuard"
    TCP_MEMORY_PRESSURE = "TcpMemoryPressure"
    TARGET_CONTESTED = "TargetContested"
    NOT_CONVERGED = "NotConverged"
    NO_PERMISSION = "NoPermission"
    JOURNAL_DAMAGED = "JournalDamaged"
    JOURNAL_UNWRITABLE = "JournalUnwritable"
    ENDPOINTS_FILE_INVALID = "EndpointsFileInvalid"
    HOST_UNREADABLE = "HostUnreadable"
    SETTINGS_INVALID = "SettingsInvalid"
    SETTINGS_NEED_RESTART = "SettingsNeedRestart"
    NODE_LABELS_UNKNOWN = "NodeLabelsUnknown"
    NCONNECT_BELOW_WANTED = "NconnectBelowWanted"
    NCONNECT_SHARED = "NconnectShared"
    NFS_VERSION_UNWANTED = "NfsVersionUnwanted"
    NFS_PROTOCOL_UNWANTED = "NfsProtocolUnwanted"
    TRANSFER_SIZE_BELOW_WANTED = "TransferSizeBelowWanted"
    SOFT_MOUNT = "SoftMount"
    NOT_READ_ONLY = "NotReadOnly"
    ATTRIBUTE_CACHE_SHORT = "AttributeCacheShort"
    NO_ATTRIBUTE_CACHE = "NoAttributeCache"
    SECURITY_UNWANTED = "SecurityUnwanted"
    NFS_OPTION_UNWANTED = "NfsOptionUnwanted"
    MOUNT_SERVICE_UNREACHABLE = "MountServiceUnreachable"
    NOT_CHECKABLE_HERE = "NotCheckableHere"


CHECKS = (
    *("apply", "baseline", "connections", "drift", "endpoints", "host", "journal", "links"),
    *("memory", "nconnect", "nfs", "path", "readahead", "settings", "sysctls"),
)
"""Every name that a finding's ``check`` may have; each is a metric's label value."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One verdict about the node: which check, how bad, why, about what, in one sentence.

    ``check`` is a short bounded name (a metric label), ``target`` what it is about (a link, a
    sysctl key, an endpoint), ``message`` a sentence that ends with what to do where that helps.
    """

    check: str
    severity: Severity
    reason: Reason
    target: str
    message: str


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A target that policy or safety keeps our hands off, and why."""

    target: str
    value: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What would change, in the order it must happen, and what is left alone.

    ``links`` maps each link that carries storage to the MTU it should have, ``read_ahead_kib`` the
    device of each NFS mount to the read-ahead that it should have at least.
    """

    changes: tuple[Change, ...]
    left_alone: tuple[LeftAlone, ...] = ()
    findings: tuple[Finding, ...] = ()
    links: Mapping[LinkName, int] = field(default_factory=dict)
    read_ahead_kib: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Return whether nothing needs to change."""
        return not self.changes


class Verdict(StrEnum):
    """What a path probe saw."""

    PASSED = "passed"  # full-size segments pass
    SMALLER = "smaller"  # a smaller size passes, proven; the wanted one does not
    BLACK_HOLE = "black-hole"  # not even the base size passes though the server answers
    INCONCLUSIVE = "inconclusive"  # the server does not answer: nothing can be said


@dataclass(frozen=True, slots=True)
class Proof:
    """
    The result of probing one endpoint's path.

    ``passes_bytes`` is the largest packet (IP header included) proven to pass, None when
    inconclusive. ``server_mtu_bytes`` is what the peer's MSS announced (None when no connection).
    ``way_back`` says how the server-to-client direction was shown: "icmp", "reads", "unproven"
    or "".
    ``signs`` are the measurements behind the verdict, one short sentence each.
    """

    endpoint: Endpoint
    verdict: Verdict
    wanted_bytes: int
    passes_bytes: int | None
    server_mtu_bytes: int | None
    way_back: str
    reason: Reason
    signs: tuple[str, ...] = ()


class Outcome(StrEnum):
    """What the node is, in one word: the value of the network label."""

    TUNED = "tuned"
    DEGRADED = "degraded"
    FAILED = "failed"
    PENDING = "pending"  # never written as a label: the gate stays closed and we try again


@dataclass(frozen=True, slots=True)
class Report:
    """What a pass over the node found; the only thing that the gate and the CLI look at."""

    outcome: Outcome
    findings: tuple[Finding, ...]
    plan: Plan
    proofs: tuple[Proof, ...]
    link_mtus: Mapping[LinkName, int]  # storage links, as read back
    applied: tuple[Change, ...] = ()
    read_ahead_kib: Mapping[str, int] = field(default_factory=dict)  # by device, as read back
    early_connections: int = 0  # opened too early, and still there
    healed_connections: int = 0  # opened too early, and ended in this pass

    @property
    def reason(self) -> Reason:
        """Return the reason of the first finding that decided the outcome, or Tuned."""
        deciding = [f for f in self.findings if f.severity.value == self.outcome.value]
        return deciding[0].reason if deciding else Reason.TUNED
