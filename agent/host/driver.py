"""
Asks a link's driver by ioctl: which one it is, and what else ethtool(8) asks; sets nothing.

An ioctl answers for the network namespace of this process; /sys/class/net is that of whoever
mounted it. Source: linux/ethtool.h, linux/sockios.h, netdevice(7).
"""

import array
import fcntl
import socket
import struct

from agent.state import LinkName

_SIOCETHTOOL = 0x8946
_GDRVINFO = 0x03
_DRVINFO_BYTES = 196
_GSET = 0x01
_COMMAND_BYTES = 44  # struct ethtool_cmd; the kernel fills it for every driver
_SPEED_AT = 12  # its speed, and 16 bytes behind it speed_hi
_UNKNOWN_SPEED = 0xFFFFFFFF


def driver_of(name: LinkName) -> str:
    """Return the name of a link's driver, "" when it does not tell."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        return driver(asked, name)


def driver(asked: socket.socket, name: str) -> str:
    """Return the name of a link's driver, asked over this socket."""
    answer = ethtool(asked, name, _GDRVINFO, _DRVINFO_BYTES)
    return answer[4:36].partition(b"\0")[0].decode("ascii", "replace") if answer else ""


def megabits_of(name: LinkName) -> int | None:
    """Return what a link carries each second, None where its driver does not know."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        answer = ethtool(asked, name, _GSET, _COMMAND_BYTES)
    if answer is None:
        return None
    low, high = struct.unpack_from("=H14xH", answer, _SPEED_AT)
    speed = low | high << 16
    return None if speed in (0, _UNKNOWN_SPEED, _UNKNOWN_SPEED & 0xFFFF) else speed


def ethtool(asked: socket.socket, name: str, command: int, size: int) -> bytes | None:
    """Return the answer to one ETHTOOL_* command, None when the driver does not know it."""
    buffer = array.array("B", struct.pack("=I", command) + bytes(size - 4))
    address, _ = buffer.buffer_info()
    try:
        fcntl.ioctl(asked, _SIOCETHTOOL, struct.pack("16sP16x", name.encode(), address))
    except OSError:
        return None
    return buffer.tobytes()
