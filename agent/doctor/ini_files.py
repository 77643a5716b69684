"""
Claims in files made of sections: systemd-networkd, systemd-udevd, NetworkManager, TuneD. Pure.

Sources: systemd.network(5), systemd.netdev(5), systemd.link(5), nm-settings-keyfile(5),
NetworkManager.conf(5), tuned.conf(5).
"""

from collections.abc import Iterator

from agent.doctor.claims import MTU, Claim, Program
from common.record import dataclass

DHCP = "dhcp"
_TRUE = frozenset({"1", "yes", "true", "on"})
_MATCH_KEYS = frozenset({"Name", "OriginalName", "MACAddress", "PermanentMACAddress"})
_KEYFILE_NAMES = ("connection", "interface-name"), ("ethernet", "mac-address")
_KEYFILE_LINKS = frozenset({"ethernet", "802-3-ethernet", "infiniband", "wireless", "wifi"})
_CONNECTION_MTU = frozenset({"ethernet.mtu", "802-3-ethernet.mtu", "infiniband.mtu"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One ``key=value`` line."""

    line: int
    section: str
    key: str
    value: str


def entries(text: str) -> Iterator[Entry]:
    """Yield every assignment; comments begin with ``#`` or ``;``."""
    section = ""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif line and line[0] not in "#;" and "=" in line:
            key, _, value = line.partition("=")
            yield Entry(number, section, key.strip(), value.strip())


def networkd_claims(text: str, path: str, base: str = "") -> tuple[Claim, ...]:
    """
    Return what a .network or .netdev file sets.

    Args:
        text: The file.
        path: Where the host has it.
        base: The file that a drop-in belongs to, which holds its [Match].
    """
    found = tuple(entries(text))
    links = _matched((*entries(base), *found))
    claims = []
    for item in found:
        is_dhcp = item.section.startswith("DHCP") and item.key == "UseMTU"
        if item.section in ("Link", "NetDev") and item.key == "MTUBytes" and item.value:
            claims.append(Claim(Program.NETWORKD, path, item.line, MTU, item.value, links))
        elif is_dhcp and item.value.lower() in _TRUE:
            claims.append(Claim(Program.NETWORKD, path, item.line, MTU, DHCP, links))
    return tuple(claims)


def link_file_claims(text: str, path: str, base: str = "") -> tuple[Claim, ...]:
    """Return what a .link file, which systemd-udevd applies, sets."""
    found = tuple(entries(text))
    links = _matched((*entries(base), *found))
    renamed = tuple(i.value for i in found if (i.section, i.key) == ("Link", "Name") and i.value)
    return tuple(
        Claim(Program.UDEV, path, item.line, MTU, item.value, (*links, *renamed))
        for item in found
        if (item.section, item.key) == ("Link", "MTUBytes") and item.value
    )


def _matched(found: tuple[Entry, ...]) -> tuple[str, ...]:
    """Return what [Match] and [NetDev] name; a negated pattern is taken as any link."""
    names: list[str] = []
    for item in found:
        if item.section == "Match" and item.key in _MATCH_KEYS:
            names += item.value.split()
        elif (item.section, item.key) == ("NetDev", "Name"):
            names.append(item.value)
    return () if any(name.startswith("!") for name in names) else tuple(names)


def keyfile_claims(text: str, path: str) -> tuple[Claim, ...]:
    """Return what a NetworkManager connection sets; an MTU of 0 means its default."""
    found = tuple(entries(text))
    links = tuple(item.value for item in found if (item.section, item.key) in _KEYFILE_NAMES)
    return tuple(
        Claim(Program.NETWORK_MANAGER, path, item.line, MTU, item.value, links)
        for item in found
        if item.section in _KEYFILE_LINKS and item.key == "mtu" and item.value not in ("", "0")
    )


def manager_conf_claims(text: str, path: str) -> tuple[Claim, ...]:
    """Return what NetworkManager.conf and its conf.d set for all connections."""
    return tuple(
        Claim(Program.NETWORK_MANAGER, path, item.line, MTU, item.value)
        for item in entries(text)
        if item.section.startswith("connection") and item.key in _CONNECTION_MTU
    )


def tuned_claims(text: str, path: str) -> tuple[Claim, ...]:
    """Return the net.* sysctls and MTUs of a profile; values may stand in quotes."""
    found = tuple(entries(text))
    devices = tuple(
        name
        for item in found
        if (item.section, item.key) == ("net", "devices")
        for name in item.value.replace(",", " ").split()
    )
    claims = []
    for item in found:
        value = item.value.replace('"', "").strip("'")
        if item.section == "sysctl" and item.key.startswith("net."):
            claims.append(Claim(Program.TUNED, path, item.line, item.key, value))
        elif (item.section, item.key) == ("net", "mtu"):
            claims.append(Claim(Program.TUNED, path, item.line, MTU, value, devices))
    return tuple(claims)


def tuned_parents(text: str) -> tuple[str, ...]:
    """Return the profiles that a profile includes, the first applied first."""
    return tuple(
        name
        for item in entries(text)
        if (item.section, item.key) == ("main", "include")
        for name in item.value.replace(",", " ").split()
        if "/" not in name  # a name, never a way out of the folder
    )
