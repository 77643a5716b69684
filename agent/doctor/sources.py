"""
Which files of the host are looked at, by whom they are read, and in which order they count. Pure.

Folders stand with the highest priority first: a file hides those of the same name further down
(systemd.network(5), sysctl.d(5), netplan(5)).
"""

from collections.abc import Callable

from agent.doctor.claims import Claim
from agent.doctor.ini_files import (
    keyfile_claims,
    link_file_claims,
    manager_conf_claims,
    networkd_claims,
)
from agent.doctor.line_files import (
    dhclient_claims,
    ifcfg_claims,
    interfaces_claims,
    sysctl_claims,
)
from agent.doctor.yaml_files import cloud_init_claims, netplan_claims
from common.record import dataclass

Parse = Callable[[str, str], tuple[Claim, ...]]


@dataclass(frozen=True, slots=True)
class Source:
    """Files of one kind: the folders they lie in, their names as a glob, and how they are read."""

    folders: tuple[str, ...]
    glob: str
    parse: Parse


@dataclass(frozen=True, slots=True)
class Units:
    """Files of systemd that drop-ins (``NAME.d/*.conf``) add to."""

    glob: str
    parse: Callable[[str, str, str], tuple[Claim, ...]]


NETWORKD_FOLDERS = ("/etc/systemd/network", "/run/systemd/network", "/usr/lib/systemd/network")
UNITS = (
    Units("*.network", networkd_claims),
    Units("*.netdev", networkd_claims),
    Units("*.link", link_file_claims),
)

_CONNECTIONS = "NetworkManager/system-connections"
SOURCES = (
    Source(("/etc/netplan", "/run/netplan", "/usr/lib/netplan"), "*.yaml", netplan_claims),
    Source(("/etc/cloud",), "cloud.cfg", cloud_init_claims),
    Source(("/etc/cloud/cloud.cfg.d",), "*.cfg", cloud_init_claims),
    Source(
        ("/var/lib/cloud/seed/nocloud", "/var/lib/cloud/seed/nocloud-net"),
        "network-config",
        cloud_init_claims,
    ),
    Source(
        (f"/etc/{_CONNECTIONS}", f"/run/{_CONNECTIONS}", f"/usr/lib/{_CONNECTIONS}"),
        "*",
        keyfile_claims,
    ),
    Source(("/etc/NetworkManager",), "NetworkManager.conf", manager_conf_claims),
    Source(
        ("/etc/NetworkManager/conf.d", "/usr/lib/NetworkManager/conf.d"),
        "*.conf",
        manager_conf_claims,
    ),
    Source(("/etc/sysconfig/network-scripts",), "ifcfg-*", ifcfg_claims),
    Source(("/etc/network",), "interfaces", interfaces_claims),
    Source(("/etc/network/interfaces.d",), "*", interfaces_claims),
    Source(("/etc/dhcp", "/etc"), "dhclient*.conf", dhclient_claims),
)

SYSCTL_SOURCES = (
    Source(
        ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"),
        "*.conf",
        sysctl_claims,
    ),
    Source(("/etc",), "sysctl.conf", sysctl_claims),
)
"""In the order in which they are applied: of one key the last line counts."""

TUNED_ACTIVE = "/etc/tuned/active_profile"
TUNED_FOLDERS = (
    *("/etc/tuned/profiles", "/etc/tuned"),
    *("/usr/lib/tuned/profiles", "/usr/lib/tuned"),
)
"""Where ``NAME/tuned.conf`` is looked for, the first one found is used (tuned.conf(5))."""

CNI_FOLDER = "/etc/cni/net.d"
