"""
Write one link's MTU for ever, thousands of times a second: nothing gets ahead of it.

Run as a file of its own in the node's namespace: `mtu_writer.py LINK BYTES`. A loop of `ip` in a
shell leaves the value alone for as long as a busy machine takes to start the next `ip`, long enough
for a proof. This one sleeps for a fraction of that and goes before everything else when it wakes.
"""

import fcntl
import os
import socket
import struct
import sys
import time
from typing import Final

SIOCSIFMTU: Final = 0x8922
"""netdevice(7)"""

PAUSE_SECONDS: Final = 0.0003


def main(link: str, mtu_bytes: int) -> None:
    """Write until killed."""
    os.nice(-20)
    request = struct.pack("16si", link.encode("ascii"), mtu_bytes)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        while True:
            fcntl.ioctl(handle, SIOCSIFMTU, request)
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
