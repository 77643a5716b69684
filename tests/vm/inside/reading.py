"""
Reads a file through a memory map from its begin to its end, as safetensors loads a model.

``python3 -m tests.vm.inside.reading FILE``: prints the MB/s of one reading.
"""

import mmap
import sys
import time
from pathlib import Path

SLICE_BYTES = 1 << 20


def main() -> int:
    """Read once."""
    began = time.monotonic()
    with Path(sys.argv[1]).open("rb") as file, mmap.mmap(file.fileno(), 0, prot=1) as mapped:
        for at in range(0, len(mapped), SLICE_BYTES):
            mapped[at : at + SLICE_BYTES]
        size = len(mapped)
    print(size / 1e6 / (time.monotonic() - began))
    return 0


if __name__ == "__main__":
    sys.exit(main())
