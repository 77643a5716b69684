"""
What other programs' files say about the values that the agent writes. Pure.

A claim is one line of one file: who would write which value to which link or sysctl, and when.
"""

from enum import StrEnum
from fnmatch import fnmatchcase

from common.record import dataclass

MTU = "mtu"
_SUFFIXES = {"K": 1024, "M": 1024**2, "G": 1024**3}
_MAC_COLONS = 5


class Program(StrEnum):
    """Every program whose files are looked at."""

    NETWORKD = "systemd-networkd"
    UDEV = "systemd-udevd"
    NETWORK_MANAGER = "NetworkManager"
    NETPLAN = "netplan"
    CLOUD_INIT = "cloud-init"
    IFUPDOWN = "ifupdown"
    NETWORK_SCRIPTS = "network-scripts"
    DHCLIENT = "dhclient"
    SYSCTL = "sysctl.d"
    TUNED = "tuned"


@dataclass(frozen=True, slots=True)
class Habit:
    """When a program writes; ``keeps_writing`` where that may be hours after the boot."""

    when: str
    keeps_writing: bool


HABITS = {
    Program.NETWORKD: Habit("whenever it configures the link again", keeps_writing=True),
    Program.UDEV: Habit("once, when the link appears", keeps_writing=False),
    Program.NETWORK_MANAGER: Habit("whenever the connection is activated", keeps_writing=True),
    Program.NETPLAN: Habit("at boot and at every netplan apply", keeps_writing=True),
    Program.CLOUD_INIT: Habit("at boot", keeps_writing=False),
    Program.IFUPDOWN: Habit("when the link is brought up", keeps_writing=False),
    Program.NETWORK_SCRIPTS: Habit("when the link is brought up", keeps_writing=False),
    Program.DHCLIENT: Habit("at every renewal of the lease", keeps_writing=True),
    Program.SYSCTL: Habit("at boot and at every sysctl --system", keeps_writing=False),
    Program.TUNED: Habit("whenever its profile is applied", keeps_writing=True),
}


@dataclass(frozen=True, slots=True)
class Claim:
    """
    One line that sets one value.

    ``path`` is the file as the host sees it, ``line`` counts from 1. ``target`` is ``mtu`` or a
    sysctl key. ``links`` are name globs and MAC addresses, none meaning any link. ``value`` is the
    file's text, ``dhcp`` where the DHCP server decides.
    """

    program: Program
    path: str
    line: int
    target: str
    value: str
    links: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Return file and line as people and editors write them."""
        return f"{self.path}:{self.line}"

    def concerns(self, name: str, mac: str) -> bool:
        """Return whether it is about the link of this name and hardware address."""
        return not self.links or any(_matches(item, name, mac) for item in self.links)


def _matches(item: str, name: str, mac: str) -> bool:
    if item.count(":") == _MAC_COLONS:
        return item.lower() == mac.lower()
    return fnmatchcase(name, item)


def mtu_of(value: str) -> int | None:
    """Return the bytes of an MTU as files write it (``9000``, systemd's ``9K``), or None."""
    text = value.strip()
    factor = _SUFFIXES.get(text[-1:].upper(), 1)
    digits = text[:-1] if factor > 1 else text
    return int(digits) * factor if digits.isdecimal() else None
