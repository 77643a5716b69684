"""Hold an agent still in the middle of a probe, so that a fault can be put exactly there."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.netns import Namespace
from tests.lab.nfs_server import PORT
from tests.lab.process import LabProcess

ESTABLISHED = "01"  # include/net/tcp_states.h, as /proc/net/tcp prints it
CATCH_SECONDS = 30.0
_REMOTE, _TCP_STATE = 2, 3


class Connections:
    """The TCP connections of one namespace, IPv4, read without a process for each look."""

    def __init__(self, namespace: Namespace) -> None:
        """Open the namespace's own list."""
        with namespace.entered():
            self._file = os.open("/proc/thread-self/net/tcp", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the list."""
        os.close(self._file)

    def to_port(self, port: int = PORT) -> int:
        """Return how many are established to this port."""
        os.lseek(self._file, 0, os.SEEK_SET)
        text = b"".join(iter(lambda: os.read(self._file, 1 << 16), b"")).decode()
        rows = [line.split() for line in text.splitlines()[1:]]
        ending = f":{port:04X}"
        return sum(row[_TCP_STATE] == ESTABLISHED and row[_REMOTE].endswith(ending) for row in rows)


@contextmanager
def caught_probing(namespace: Namespace, process: LabProcess) -> Iterator[None]:
    """
    Stop the process while it has a connection to the storage server; let it go on afterwards.

    It must be the only one in its namespace that has any. Raises AssertionError when none is seen.
    """
    connections = Connections(namespace)
    deadline = time.monotonic() + CATCH_SECONDS
    try:
        while not _stopped_connected(connections, process):
            assert time.monotonic() < deadline, f"no probe was seen:\n{process.log_text()}"
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)
    finally:
        connections.close()


def _stopped_connected(connections: Connections, process: LabProcess) -> bool:
    """Look once; return whether the process stands still with a connection open."""
    assert process.poll() is None, process.log_text()
    if not connections.to_port():
        time.sleep(0.0005)
        return False
    process.send_signal(signal.SIGSTOP)
    while not _is_stopped(process.pid):
        time.sleep(0.0005)
    if connections.to_port():
        return True
    process.send_signal(signal.SIGCONT)
    return False


def _is_stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123
        return file.read().rpartition(")")[2].split()[0] == "T"
