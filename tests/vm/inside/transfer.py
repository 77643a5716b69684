"""
Read or write over a mount, again and again, and compare every byte with the truth.

    transfer.py read MOUNTED TRUTH STOP
    transfer.py write MOUNTED TRUTH STOP

``read`` compares MOUNTED, read over the mount and past its cache, with TRUTH. ``write`` copies
TRUTH to MOUNTED; the caller compares the file on the server. A round is a whole file, a line each;
it ends by 0 after a round that began when the file STOP was there, by 1 at a byte that differs.
"""

import os
import sys
import time
from pathlib import Path

CHUNK_BYTES = 1 << 16
REST_SECONDS = 0.002
"""Between two chunks: the machine has one emulated CPU, and a transfer must last."""


def read(mounted: str, truth: str) -> None:
    """Compare one whole reading with the truth; raises SystemExit where they differ."""
    with Path(mounted).open("rb", 0) as ours, Path(truth).open("rb", 0) as theirs:
        os.posix_fadvise(ours.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while expected := theirs.read(CHUNK_BYTES):
            found = b""
            while len(found) < len(expected) and (part := ours.read(len(expected) - len(found))):
                found += part
            if found != expected:
                sys.exit(f"{mounted} differs before byte {theirs.tell()}")
            time.sleep(REST_SECONDS)
        if ours.read(1):
            sys.exit(f"{mounted} is longer than {truth}")


def write(mounted: str, truth: str) -> None:
    """Copy the truth and have the server keep it."""
    with Path(truth).open("rb") as source, Path(mounted).open("wb", 0) as target:
        while chunk := source.read(CHUNK_BYTES):
            if target.write(chunk) != len(chunk):
                sys.exit(f"{mounted} took a part of a chunk")
            time.sleep(REST_SECONDS)
        os.fsync(target.fileno())


def main() -> None:
    """Go round until told to stop."""
    kind, mounted, truth, stop = sys.argv[1:]
    is_last = False
    while not is_last:
        is_last = Path(stop).exists()
        {"read": read, "write": write}[kind](mounted, truth)
        print("round", flush=True)


if __name__ == "__main__":
    main()
