"""
Mounts and unmounts an export by system calls alone, as fast as they come back.

``python3 -m tests.vm.inside.storming COUNT WANTED_KIB SERVER EXPORT FOLDER`` prints a JSON object:
the seconds that it took, and of each mount the milliseconds until its read-ahead was the one
wanted, LIMIT_SECONDS and more where it never was.
"""

import ctypes
import json
import os
import sys
import time
from pathlib import Path

LIMIT_SECONDS = 10.0
LOOK_SECONDS = 0.002


def main() -> int:
    """Do it so many times."""
    count, wanted, server, export, folder = int(sys.argv[1]), *sys.argv[2:6]
    libc = ctypes.CDLL(None, use_errno=True)
    Path(folder).mkdir(parents=True, exist_ok=True)
    texts = (f"{server}:{export}", folder, "nfs4", f"vers=4.2,addr={server},clientaddr=0.0.0.0")
    source, target, kind, options = (text.encode() for text in texts)
    began = time.monotonic()
    waits = []
    for _ in range(count):
        _check(libc.mount(source, target, kind, ctypes.c_ulong(0), options))
        waits.append(_await_read_ahead(folder, wanted))
        _check(libc.umount2(target, 0))
    print(json.dumps({"seconds": time.monotonic() - began, "waits": waits}))
    return 0


def _await_read_ahead(folder: str, wanted: str) -> float:
    mounted = time.monotonic()
    number = os.stat(folder).st_dev  # noqa: PTH116 - of a server that answers
    file = Path(f"/sys/class/bdi/{os.major(number)}:{os.minor(number)}/read_ahead_kb")
    took = 0.0
    while file.read_text().strip() != wanted and took < LIMIT_SECONDS:
        time.sleep(LOOK_SECONDS)
        took = time.monotonic() - mounted
    return round(took * 1000, 2)


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    sys.exit(main())
