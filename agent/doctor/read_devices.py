"""
Asks a link's driver: its name, speed, offloads and hardware address; sets nothing.

By ioctl, which answers for the network namespace of this process; /sys/class/net is that of
whoever mounted it. Source: linux/ethtool.h, linux/sockios.h, netdevice(7).
"""

import fcntl
import socket
import struct

from agent.doctor.facts import Device
from agent.host.driver import driver, ethtool
from agent.state import LinkName

_SIOCGIFHWADDR = 0x8927
_GSET, _GTSO, _GGRO = 0x01, 0x1E, 0x2B
_CMD_BYTES = 44
_UNKNOWN_SPEEDS = (0, 0xFFFF, 0xFFFFFFFF)


def read_device(name: LinkName) -> Device:
    """Return what the driver tells; what it does not is empty."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        offloads = {"tso": _value(asked, name, _GTSO), "gro": _value(asked, name, _GGRO)}
        return Device(
            name,
            driver=driver(asked, name),
            mac=_mac(asked, name),
            speed_mbps=_speed(asked, name),
            offloads={key: bool(value) for key, value in offloads.items() if value is not None},
        )


def _value(asked: socket.socket, name: str, command: int) -> int | None:
    answer = ethtool(asked, name, command, 8)
    return struct.unpack_from("=I", answer, 4)[0] if answer else None


def _speed(asked: socket.socket, name: str) -> int | None:
    """Return Mb/s of struct ethtool_cmd: its low half at byte 12, the high one at 28."""
    answer = ethtool(asked, name, _GSET, _CMD_BYTES)
    if not answer:
        return None
    (low,), (high,) = struct.unpack_from("=H", answer, 12), struct.unpack_from("=H", answer, 28)
    speed: int = high << 16 | low
    return None if speed in _UNKNOWN_SPEEDS else speed


def _mac(asked: socket.socket, name: str) -> str:
    try:
        answer = fcntl.ioctl(asked, _SIOCGIFHWADDR, struct.pack("16s24x", name.encode()))
    except OSError:
        return ""
    return answer[18:24].hex(":")
