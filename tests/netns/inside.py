"""Make a network namespace and step into it, for tests on the real kernel."""

import ctypes
import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from agent.state import HostState, Link, LinkName, SysctlKey

TCP_RMEM = SysctlKey("net.ipv4.tcp_rmem")
RMEM_MAX = SysctlKey("net.core.rmem_max")
KEYS = (TCP_RMEM, RMEM_MAX, SysctlKey("net.ipv4.no_such_setting"))

_CLONE_NEWNET = 0x40000000
_NUMBERS = itertools.count()


class Namespace:
    """One named network namespace."""

    def __init__(self, name: str) -> None:
        """Keep the name."""
        self.name = name

    def ip(self, words: str) -> None:
        """Run one command of iproute2 in it; raises CalledProcessError."""
        subprocess.run(["ip", "-n", self.name, *words.split()], check=True, capture_output=True)

    def ip_batch(self, lines: list[str]) -> None:
        """Run many commands of iproute2 in it."""
        subprocess.run(
            ["ip", "-n", self.name, "-batch", "-"],
            input="\n".join(lines).encode(),
            check=True,
            capture_output=True,
        )

    def can_make(self, words: str) -> bool:
        """Make a link of some kind; False when this kernel does not have the kind."""
        made = subprocess.run(
            ["ip", "-n", self.name, *words.split()], check=False, capture_output=True
        )
        if made.returncode and b"Unknown device type" not in made.stderr:
            raise AssertionError(made.stderr.decode())
        return made.returncode == 0


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Make a namespace with the loopback up, and delete it."""
    name = f"tgh{os.getpid()}-{next(_NUMBERS)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        made = Namespace(name)
        # or each link's own address is told of a second or two later
        words = ["sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0"]
        subprocess.run(["nsenter", f"--net=/run/netns/{name}", *words], check=True)
        made.ip("link set lo up")
        yield made
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@contextmanager
def inside(where: Namespace) -> Iterator[None]:
    """Be in the namespace with this thread, and with the threads that it starts."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{where.name}", os.O_RDONLY)
    try:
        _enter(there)
        yield
    finally:
        _enter(before)
        os.close(there)
        os.close(before)


def _enter(descriptor: int) -> None:
    """Call setns(2), which Python has from 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def named(state: HostState, name: str) -> Link:
    """Return a link that must be there."""
    link = state.named(LinkName(name))
    assert link is not None
    return link
