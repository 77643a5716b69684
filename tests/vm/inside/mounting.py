"""
Mounts an export again and again, and says how long each mount waited for its read-ahead.

``python3 -m tests.vm.inside.mounting COUNT WANTED_KIB SOURCE FOLDER [OPTIONS]`` prints a JSON list:
milliseconds from the moment that mountinfo showed the mount to the moment that its read-ahead was
the one wanted, LIMIT_SECONDS and more where it never was.
"""

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

LIMIT_SECONDS = 10.0
LOOK_SECONDS = 0.0005


def main() -> int:
    """Mount, wait, unmount, so many times."""
    count, wanted, source, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
    options = sys.argv[5] if len(sys.argv) > 5 else "vers=4.2"
    Path(folder).mkdir(parents=True, exist_ok=True)
    waits = []
    for _ in range(count):
        waits.append(_wait(["mount", "-t", "nfs", "-o", options, source, folder], folder, wanted))
        subprocess.run(["umount", folder], check=True)
    print(json.dumps(waits))
    return 0


def _wait(mount: list[str], folder: str, wanted: str) -> float:
    """Return the milliseconds from the mount's appearance to its read-ahead."""
    mountinfo = os.open("/proc/self/mountinfo", os.O_RDONLY)
    try:
        poll = select.poll()
        poll.register(mountinfo, select.POLLPRI)
        poll.poll(0)
        mounting = subprocess.Popen(mount)
        device = None
        while device is None:
            poll.poll(LIMIT_SECONDS * 1000)
            appeared = time.monotonic()
            device = _device(folder)
    finally:
        os.close(mountinfo)
    file = Path(f"/sys/class/bdi/{device}/read_ahead_kb")
    took = 0.0
    while file.read_text().strip() != wanted and took < LIMIT_SECONDS:
        time.sleep(LOOK_SECONDS)
        took = time.monotonic() - appeared
    mounting.wait()
    return round(took * 1000, 2)


def _device(folder: str) -> str | None:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    fields = [line.split(" ") for line in lines]
    return next((field[2] for field in fields if field[4] == folder), None)


if __name__ == "__main__":
    sys.exit(main())
