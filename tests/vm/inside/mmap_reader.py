"""
Read a file as a model loader does: mapped, page after page; print the bytes per second.

One byte of each page is taken, so that what is timed is the pages' arrival. Loaders of safetensors
map their files (Rust's memmap2) and copy from front to back.
"""

import mmap
import os
import sys
import time

PAGE_BYTES = 4096
SLICE_BYTES = 1 << 20


def main(path: str) -> int:
    """Map the file and read it once; the caller has dropped the page cache."""
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib's import is not what is measured
        size = os.fstat(file.fileno()).st_size
        with mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) as pages:
            began = time.monotonic()
            for start in range(0, size, SLICE_BYTES):
                _ = pages[start : start + SLICE_BYTES : PAGE_BYTES]
            seconds = time.monotonic() - began
    print(size / seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
