"""What this process holds open: to see that a test leaves nothing behind."""

import threading
from contextlib import suppress
from pathlib import Path

Held = frozenset[tuple[str, str]]


def held() -> Held:
    """
    Return each descriptor with what it is open on, and each thread.

    To be held against an earlier answer by what is new: what other tests left behind may be
    collected at any moment, which a count would take for something that was closed.
    """
    found = {("thread", f"{thread.name} {id(thread)}") for thread in threading.enumerate()}
    for link in list(Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):  # the list's own
            found.add((link.name, str(link.readlink())))
    return frozenset(found)
