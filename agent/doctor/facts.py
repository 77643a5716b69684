"""
What the doctor knows of one host: frozen values, read by ``reading``, judged by ``judge_*``.

None means everywhere that it could not be told from here.
"""

from collections.abc import Mapping

from agent.clouds import Cloud
from agent.doctor.claims import Claim
from agent.state import Endpoint, HostState, LeftAlone, LinkName, Report
from agent.sysctls import SysctlRow
from common.record import dataclass, field


@dataclass(frozen=True, slots=True)
class Device:
    """
    What driver and hardware say of one link.

    ``driver`` is "" for a link without hardware, ``speed_mbps`` None where it is not told.
    ``offloads`` maps ``tso`` and ``gro`` to whether they are on; they are read, never changed.
    """

    name: LinkName
    driver: str
    mac: str
    speed_mbps: int | None
    offloads: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class File:
    """A file or folder that the agent needs: its path here, and what may be done with it."""

    path: str
    is_readable: bool
    is_writable: bool
    problem: str = ""  # strerror, where it cannot be used


@dataclass(frozen=True, slots=True)
class Rights:
    """
    What this process may do and where it is.

    ``effective`` is CapEff of /proc/self/status. ``apparmor`` and ``selinux`` are the labels of
    this process, "" where the module is absent. ``is_first_namespace`` is whether the network
    namespace is the one that the kernel booted with, ``is_init_namespace`` whether it is that of
    process 1. ``ping_groups`` is net.ipv4.ping_group_range as text.
    """

    uid: int
    groups: tuple[int, ...]
    effective: int
    apparmor: str
    selinux: str
    is_selinux_enforcing: bool
    is_container: bool
    is_first_namespace: bool
    is_init_namespace: bool | None
    ping_groups: str
    proc_sys_net: File
    mountinfo: File
    mountstats: File
    read_ahead: File


@dataclass(frozen=True, slots=True)
class Kernel:
    """Its release, and whether it can end connections (CONFIG_INET_DIAG_DESTROY)."""

    release: str
    destroys_sockets: bool | None
    told_by: str  # the file that says so


@dataclass(frozen=True, slots=True)
class Files:
    """
    What the host's own files say.

    ``root`` is where they were looked for, ``is_host`` whether that can be the host's. ``unread``
    holds a sentence for each that could not be read or made sense of. ``cni`` names the files that
    set up the pods' network, first the one that counts.
    """

    root: str
    is_host: bool
    claims: tuple[Claim, ...]
    sysctl_claims: tuple[Claim, ...]
    unread: tuple[str, ...]
    tuned_profile: str = ""
    cni: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """What the journal holds: (target, first value, value now or None), and who has the lock."""

    path: str
    originals: tuple[tuple[str, str, str | None], ...]
    problems: tuple[str, ...]
    holder: int | None  # process ID of the agent that holds the lock


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """
    The Node, or why it was not read.

    ``labels`` is None where they are not known; ``condition`` is (status, reason, message);
    ``addresses`` are those that the kubelet reported.
    """

    name: str
    problem: str = ""
    gate_taints: tuple[str, ...] = ()
    labels: Mapping[str, str] | None = None
    condition: tuple[str, str, str] | None = None
    provider_id: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wishes:
    """
    What the settings ask for: the MTU, the sysctl rows, and how the person typed it.

    ``arguments`` are the options to repeat in the next command. ``profile`` names the profile that
    won and why, "" where none did; ``passed_over`` says why not each one before it.
    """

    mtu_bytes: int
    rows: tuple[SysctlRow, ...]
    arguments: tuple[str, ...] = ()
    profile: str = ""
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """
    All of it.

    ``report`` is what verify or, ``is_probed`` false, plan found. ``carriers`` maps each storage
    link that is to be tuned to itself and the links it stands on, with ``left_alone`` the others.
    ``cloud_by`` says how the cloud was told.
    """

    wishes: Wishes
    state: HostState
    report: Report
    is_probed: bool
    endpoints: tuple[Endpoint, ...]
    carriers: Mapping[LinkName, tuple[LinkName, ...]]
    left_alone: tuple[LeftAlone, ...]
    devices: Mapping[LinkName, Device]
    rights: Rights
    kernel: Kernel
    files: Files
    record: Record
    node: NodeSeen
    cloud: Cloud | None = None
    cloud_by: str = ""
