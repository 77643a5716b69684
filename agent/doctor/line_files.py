"""
Claims in files without sections: sysctl.d, dhclient, ifupdown, ifcfg. Pure.

Sources: sysctl.d(5), dhclient.conf(5), interfaces(5), Red Hat's network-scripts (sysconfig.txt).
"""

import re
from collections.abc import Iterator

from agent.doctor.claims import MTU, Claim, Program

_DHCLIENT = re.compile(r"^(supersede|default|prepend|append)\s+interface-mtu\s+(\d+)\s*;")
_DHCLIENT_LINK = re.compile(r'^interface\s+"([^"]+)"')


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if line and line[0] not in "#;":
            yield number, line


def sysctl_claims(text: str, path: str) -> tuple[Claim, ...]:
    """Return the net.* settings of a sysctl file; ``/`` may stand for the dots of a key."""
    claims = []
    for number, line in _lines(text):
        key, separator, value = line.lstrip("-").partition("=")
        name = key.strip()
        if "/" in name.partition(".")[0]:
            name = name.translate(str.maketrans("/.", "./"))
        if separator and name.startswith("net."):
            folded = " ".join(value.split())
            claims.append(Claim(Program.SYSCTL, path, number, name, folded))
    return tuple(claims)


def dhclient_claims(text: str, path: str) -> tuple[Claim, ...]:
    """Return the MTUs that dhclient sets, whatever the server says."""
    claims = []
    links: tuple[str, ...] = ()
    for number, line in _lines(text):
        if named := _DHCLIENT_LINK.match(line):
            links = (named.group(1),)
        elif found := _DHCLIENT.match(line):
            claims.append(Claim(Program.DHCLIENT, path, number, MTU, found.group(2), links))
        elif line.startswith("}"):
            links = ()
    return tuple(claims)


def interfaces_claims(text: str, path: str) -> tuple[Claim, ...]:
    """Return the MTUs of /etc/network/interfaces."""
    claims = []
    link = ""
    for number, line in _lines(text):
        words = line.split()
        if words[0] == "iface" and len(words) > 1:
            link = words[1]
        elif words[0] == "mtu" and len(words) > 1 and link:
            claims.append(Claim(Program.IFUPDOWN, path, number, MTU, words[1], (link,)))
    return tuple(claims)


def ifcfg_claims(text: str, path: str) -> tuple[Claim, ...]:
    """Return the MTU of an ifcfg file, whose name ends with the link's."""
    links = (path.rpartition("/ifcfg-")[2],)
    claims = []
    for number, line in _lines(text):
        key, _, value = line.partition("=")
        if key == "MTU":
            shown = value.strip("\"'")
            claims.append(Claim(Program.NETWORK_SCRIPTS, path, number, MTU, shown, links))
        elif key == "DEVICE":
            links = (value.strip("\"'"),)
    return tuple(claims)
