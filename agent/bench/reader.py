"""
The process that touches the file: opens it, drops it from the page cache, reads it, says how fast.

Speaks lines of JSON on standard output: first ``opened`` (or ``error``), then, for each line of
standard input (mode, offset, bytes, seconds), ``at`` while it reads and ``run`` at the end.
Reads only. Linux keeps it for ever where the server is gone; whoever started it does not wait.
Sources: posix_fadvise(2), mincore(2), open(2) on O_DIRECT, safetensors' use of mmap.
"""

import ctypes
import json
import mmap
import os
import stat
import sys
import time
from collections.abc import Iterator

BLOCK_BYTES = 1 << 20
REPORT_SECONDS = 0.1
PAGE_BYTES = mmap.PAGESIZE
_MAX_MINCORE_BYTES = 1 << 34


def main() -> None:
    """Open the file that is named, then do one run for each line."""
    path = sys.argv[1]
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            _say(error=f"{path} is not a regular file")
            return
        if found.st_size == 0:
            _say(error=f"{path} is empty")
            return
    except OSError as error:
        _say(error=f"{path}: {error.strerror}")
        return
    device = f"{os.major(found.st_dev)}:{os.minor(found.st_dev)}"
    _say(opened={"size": found.st_size, "device": device})
    for line in sys.stdin:
        try:
            _say(run=_reopened(path, json.loads(line)))
        except OSError as error:
            _say(error=error.strerror or str(error))


def _reopened(path: str, task: dict[str, object]) -> dict[str, object]:
    """Do one run on a file opened for it: an open file keeps the read-ahead of that moment."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _run(path, descriptor, task)
    finally:
        os.close(descriptor)


def _say(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _run(path: str, descriptor: int, task: dict[str, object]) -> dict[str, object]:
    """Do one run; raises OSError where the mode does not work on this file."""
    offset, wanted = int(str(task["offset"])), int(str(task["bytes"]))
    os.posix_fadvise(descriptor, offset, wanted, os.POSIX_FADV_DONTNEED)
    cached = _cached_share(descriptor, offset, wanted)
    read = {"read": _read, "mmap": _mapped, "direct": _direct}[str(task["mode"])]
    limit = float(str(task["seconds"]))
    started, started_cpu = time.monotonic(), time.process_time()
    next_report, done = started + REPORT_SECONDS, 0
    is_cut = False
    for count in read(path, descriptor, offset, wanted):
        done += count
        now = time.monotonic()
        if now >= next_report:
            _say(at={"bytes": done, "seconds": now - started})
            next_report = now + REPORT_SECONDS
        if now - started >= limit and done < wanted:
            is_cut = True
            break
    seconds, cpu = time.monotonic() - started, time.process_time() - started_cpu
    os.posix_fadvise(descriptor, offset, wanted, os.POSIX_FADV_DONTNEED)
    return {
        "offset_bytes": offset,
        "bytes": done,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "cached_share": cached,
        "is_cut": is_cut,
    }


def _read(_: str, descriptor: int, offset: int, wanted: int) -> Iterator[int]:
    """Yield the bytes of each read(2) into one buffer."""
    buffer = memoryview(bytearray(BLOCK_BYTES))
    end = offset + wanted
    while offset < end:
        count = os.preadv(descriptor, [buffer[: min(BLOCK_BYTES, end - offset)]], offset)
        if count == 0:
            return
        offset += count
        yield count


def _mapped(_: str, descriptor: int, offset: int, wanted: int) -> Iterator[int]:
    """Yield the bytes copied out of a mapping: every page is a fault until it is there."""
    buffer = bytearray(BLOCK_BYTES)
    start = offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    size = min(wanted, os.fstat(descriptor).st_size - start)
    mapped = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ, offset=start)
    with mapped, memoryview(mapped) as view:
        for at in range(0, size, BLOCK_BYTES):
            with view[at : at + BLOCK_BYTES] as part:  # a mapping that is still seen cannot close
                count = len(part)
                buffer[:count] = part
            yield count


def _direct(path: str, _: int, offset: int, wanted: int) -> Iterator[int]:
    """Yield the bytes of each O_DIRECT read; its buffer and offset are aligned to pages."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
    try:
        with mmap.mmap(-1, BLOCK_BYTES) as buffer:
            at = offset // BLOCK_BYTES * BLOCK_BYTES
            end = at + wanted
            while at < end:
                count = os.preadv(descriptor, [buffer], at)
                yield count
                if count < BLOCK_BYTES:
                    return
                at += count
    finally:
        os.close(descriptor)


def _cached_share(descriptor: int, offset: int, wanted: int) -> float | None:
    """Return which part of a range is in the page cache, None where the kernel does not tell."""
    start = offset // PAGE_BYTES * PAGE_BYTES
    size = min(wanted, os.fstat(descriptor).st_size - start)
    if not 0 < size <= _MAX_MINCORE_BYTES:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (
        *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int),
        *(ctypes.c_int, ctypes.c_int, ctypes.c_int64),
    )
    libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, start)
    if address in (None, ctypes.c_void_p(-1).value):
        return None
    pages = -(-size // PAGE_BYTES)
    there = ctypes.create_string_buffer(pages)
    try:
        if libc.mincore(address, size, there) != 0:
            return None
        return (pages - there.raw[:pages].count(0)) / pages
    finally:
        libc.munmap(address, size)


if __name__ == "__main__":
    main()
