"""
Who else looks after links here: network daemons, seen by the sockets they hold.

A container without the host's PID namespace sees no other process; /proc/net is its network
namespace's all the same, and with hostNetwork that is the node's.

Source: proc(5), /proc/net/unix and /proc/net/netlink; systemd's units/systemd-networkd.socket
(ListenNetlink=route 1361) and networkd-varlink; NetworkManager(8) and its DHCP helper's socket.
"""

import os
from contextlib import suppress

from agent.host.netlink import NETLINK_ROUTE
from agent.host.paths import read_text

NETWORKD, NETWORK_MANAGER = "systemd-networkd", "NetworkManager"
_SOCKETS = {
    "/run/systemd/netif/io.systemd.Network": NETWORKD,
    "/run/NetworkManager/private": NETWORK_MANAGER,
    "/run/NetworkManager/private-dhcp": NETWORK_MANAGER,
}
_NETWORKD_GROUPS = 1361
_INIT_PORT_ID = 1  # bound by systemd for its unit; routing daemons want the same groups
_PROTOCOL, _PORT_ID, _GROUPS, _INODE = 1, 2, 3, -1  # columns of /proc/net/netlink


def daemons_present(proc: str = "/proc/self") -> tuple[str, ...]:
    """Return the network daemons that hold a socket here, by name; what cannot be read is none."""
    paths = [row[-1] for row in _rows(f"{proc}/net/unix") if row]
    found = {_SOCKETS.get(path.removeprefix("/var")) for path in paths}
    ours = _own_sockets(f"{proc}/fd")
    if any(_is_networkd(row, ours) for row in _rows(f"{proc}/net/netlink")):
        found.add(NETWORKD)
    return tuple(sorted(name for name in found if name))


def _is_networkd(row: list[str], ours: frozenset[str]) -> bool:
    try:
        groups, port_id = int(row[_GROUPS], 16), int(row[_PORT_ID])
        is_route = int(row[_PROTOCOL]) == NETLINK_ROUTE
    except (ValueError, IndexError):
        return False
    is_inits = is_route and port_id == _INIT_PORT_ID and f"socket:[{row[_INODE]}]" not in ours
    return is_inits and groups & _NETWORKD_GROUPS == _NETWORKD_GROUPS


def _own_sockets(folder: str) -> frozenset[str]:
    """Return what our own descriptors are: in a container the agent may be process 1 itself."""
    found = set()
    with suppress(OSError):
        for name in os.listdir(folder):
            with suppress(OSError):
                found.add(os.readlink(f"{folder}/{name}"))
    return frozenset(found)


def _rows(path: str) -> list[list[str]]:
    try:
        return [line.split() for line in read_text(path).split("\n")]
    except OSError:
        return []
