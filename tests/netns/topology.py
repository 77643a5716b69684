"""
Build ``cli - r1 - r2 - srv`` from veth pairs, with offloads off so that packets are real.

The link between the routers is the path's bottleneck. Both families: 10.9.N.0/24 and fd09:N::/64,
N being 1 (client's side), 2 (middle), 3 (server's side).
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Self, TypeVar

from tests.netns.inside import Namespace, inside

T = TypeVar("T")

SERVER = "10.9.3.2"
SERVER_V6 = "fd09:3::2"
GATEWAY = "10.9.1.1"
PORT = 2049
_STUB = Path(__file__).with_name("nfs_stub.py")
_NAMES = ("cli", "r1", "r2", "srv")
_LINKS = (("cli", "r1", 1), ("r1", "r2", 2), ("r2", "srv", 3))
_OFFLOADS = ("tso", "gso", "gro", "tx", "rx")


class Topology:
    """Four namespaces and a stub server; a context manager that removes all of it."""

    def __init__(self) -> None:
        """Choose names nobody else has."""
        self._prefix = f"tg{os.getpid()}-"
        self._children: list[subprocess.Popen[bytes]] = []
        self.server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Make the namespaces, all links at MTU 9000, and start the server."""
        try:
            self._build()
            self.server = self.start_server(PORT)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the servers and delete the namespaces."""
        for child in self._children:
            child.kill()
            child.wait()
        for name in _NAMES:
            subprocess.run(["ip", "netns", "del", self._prefix + name], check=False)

    def namespace(self, name: str) -> str:
        """Return the real name of one of cli, r1, r2, srv."""
        return self._prefix + name

    def command(self, name: str, *words: str) -> list[str]:
        """Return the command line that runs these words in that namespace."""
        return ["nsenter", f"--net=/run/netns/{self.namespace(name)}", *words]

    def run(self, name: str, *words: str, stdin: str = "") -> str:
        """Run a command in one namespace and return what it printed."""
        done = subprocess.run(
            self.command(name, *words), input=stdin, text=True, check=True, capture_output=True
        )
        return done.stdout

    def start_server(self, port: int, unasked_bytes: int = 0) -> subprocess.Popen[bytes]:
        """Start a stub NFS server in srv and wait until it listens."""
        words = (sys.executable, str(_STUB), str(port), str(unasked_bytes))
        child = subprocess.Popen(self.command("srv", *words))
        self._children.append(child)
        while f":{port} " not in self.run("srv", "ss", "-Hltn"):
            time.sleep(0.02)
        return child

    def inside(self, name: str, action: Callable[[], T]) -> T:
        """Call this while the thread lives in one namespace."""
        with inside(Namespace(self.namespace(name))):
            return action()

    def set_mtu(self, link: int, mtu_bytes: int, only: Collection[str] = _NAMES) -> None:
        """Set the ends of one link: 1 the client's, 2 the middle, 3 the server's."""
        for left, right, number in _LINKS:
            for name, device in ((left, f"r{link}"), (right, f"l{link}")):
                if number == link and name in only:
                    self.run(name, "ip", "link", "set", device, "mtu", str(mtu_bytes))

    def firewall(self, name: str, rules: str) -> None:
        """Load nft rules, each line one rule of the chain that its first word names."""
        chains = {line.split(maxsplit=1)[0] for line in rules.strip().splitlines()}
        hooks = "".join(
            f"add chain inet t {chain} {{ type filter hook {chain} priority 0; }}\n"
            for chain in sorted(chains)
        )
        lines = "".join(f"add rule inet t {line}\n" for line in rules.strip().splitlines())
        self.run(name, "nft", "-f", "-", stdin=f"add table inet t\n{hooks}{lines}")

    def restore(self) -> None:
        """Put everything back to 9000 everywhere, no firewall, nothing learned."""
        for link in (1, 2, 3):
            self.set_mtu(link, 9000)
        for name in _NAMES:
            self.run(name, "nft", "flush", "ruleset")
            self.run(name, "ip", "route", "flush", "cache")
            self.run(name, "ip", "-6", "route", "flush", "cache")
        self.allow_ping(allowed=True)

    def allow_ping(self, *, allowed: bool) -> None:
        """Open ping sockets to everyone in the client's namespace, or to nobody."""
        groups = "0 2147483647" if allowed else "1 0"
        self.run("cli", "sysctl", "-qw", f"net.ipv4.ping_group_range={groups}")

    def _build(self) -> None:
        for name in _NAMES:
            subprocess.run(["ip", "netns", "add", self.namespace(name)], check=True)
            self.run(name, "ip", "link", "set", "lo", "up")
            for key in ("ipv4.ip_forward", "ipv6.conf.all.forwarding"):
                self.run(name, "sysctl", "-qw", f"net.{key}={int(name[0] == 'r')}")
            # duplicate address detection would delay the first packets by a second
            self.run(name, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        for left, right, number in _LINKS:
            self._link(left, right, number)
        for name, version, far, via in (
            ("cli", "-4", "default", GATEWAY),
            ("cli", "-6", "default", "fd09:1::1"),
            ("r1", "-4", "10.9.3.0/24", "10.9.2.2"),
            ("r1", "-6", "fd09:3::/64", "fd09:2::2"),
            ("r2", "-4", "10.9.1.0/24", "10.9.2.1"),
            ("r2", "-6", "fd09:1::/64", "fd09:2::1"),
            ("srv", "-4", "default", "10.9.3.1"),
            ("srv", "-6", "default", "fd09:3::1"),
        ):
            self.run(name, "ip", version, "route", "add", far, "via", via)

    def _link(self, left: str, right: str, number: int) -> None:
        """Join two namespaces: device rN at the left end, lN at the right."""
        ends = ((left, f"r{number}"), (right, f"l{number}"))
        peer = ("peer", "name", f"l{number}", "netns", self.namespace(right))
        self.run(left, "ip", "link", "add", f"r{number}", "type", "veth", *peer)
        for index, (name, device) in enumerate(ends):
            host = index + 1 if number != 1 else 2 - index  # the router next to cli is .1
            self.run(name, "ip", "addr", "add", f"10.9.{number}.{host}/24", "dev", device)
            self.run(name, "ip", "addr", "add", f"fd09:{number}::{host}/64", "dev", device, "nodad")
            self.run(name, "ip", "link", "set", device, "mtu", "9000", "up")
            switches = [word for feature in _OFFLOADS for word in (feature, "off")]
            self.run(name, "ethtool", "-K", device, *switches)
