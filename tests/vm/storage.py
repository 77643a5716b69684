"""The guest's NFS server and the links to it, for one test at a time."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.host.mounts import unescaped
from tests.vm.channel import SHORT_SECONDS
from tests.vm.guest import Guest

LINK = "stor0"
SERVER, CLIENT = "10.77.0.1", "10.77.0.2"
SERVER_IPV6, CLIENT_IPV6 = "fd77::1", "fd77::2"
ENDPOINT: Mapping[str, str] = {
    "TUNEGATE_STORAGE_ENDPOINTS": SERVER,
    "TUNEGATE_MEMORY_CONNECTIONS": "2",
}
"""Settings by which the agent knows the server before any mount, and takes the small guest for a
node whose memory allows the whole buffers."""

_SCRIPT = "/code/tests/vm/inside/storage.sh"
_NETEM = "netem limit 100000"
_PORT = 2049


@dataclass(frozen=True, slots=True)
class Connection:
    """One established TCP connection of the client to an NFS server, as ss(8) shows it."""

    local: str
    remote: str
    mss: int
    advmss: int
    rcvmss: int
    pmtu: int
    bytes_received: int


class Storage:
    """Two exports of the kernel's server, /models and /data, behind the link stor0."""

    def __init__(self, guest: Guest) -> None:
        """Take the guest; `make` builds namespaces and server."""
        self.guest = guest

    def make(self) -> None:
        """Build it, once a boot."""
        self.guest.run(["sh", _SCRIPT, "make"])

    def reset(self) -> None:
        """Unmount, empty the exports, and give links, sysctls and server their first state."""
        self.guest.run(["sh", _SCRIPT, "reset"], timeout_seconds=60.0)

    @contextlib.contextmanager
    def mount(
        self,
        folder: str,
        options: str = "vers=4.2",
        *,
        export: str = "/models",
        server: str = SERVER,
        timeout_seconds: float = SHORT_SECONDS,
    ) -> Iterator[str]:
        """Mount an export, give the folder's name, unmount it; version 3 gets `nolock`."""
        self.mount_now(
            folder, options, export=export, server=server, timeout_seconds=timeout_seconds
        )
        try:
            yield folder
        finally:
            if self.is_mounted(folder):
                self.umount(folder)

    def mount_now(
        self,
        folder: str,
        options: str = "vers=4.2",
        *,
        export: str = "/models",
        server: str = SERVER,
        timeout_seconds: float = SHORT_SECONDS,
    ) -> None:
        """Mount an export until `umount` or the test's end; raises GuestError when refused."""
        source = f"[{server}]:{export}" if ":" in server else f"{server}:{export}"
        wanted = f"{options},nolock" if "vers=3" in options else options
        self.guest.run(["mkdir", "-p", folder])
        argv = ["mount", "-t", "nfs", "-o", wanted, source, folder]
        self.guest.run(argv, timeout_seconds=timeout_seconds)

    def umount(self, folder: str) -> None:
        """Unmount it, busy or not."""
        self.guest.run(["umount", "--force", "--lazy", folder])

    def is_mounted(self, folder: str) -> bool:
        """Tell whether something is mounted there, without touching it."""
        return any(line[4] == folder for line in self._mounted())

    def mountinfo(self) -> str:
        """Return process 1's mountinfo, which is the node's."""
        return self.guest.read("/proc/1/mountinfo")

    def _mounted(self) -> list[list[str]]:
        """Return the fields of each line."""
        lines = self.mountinfo().splitlines()
        return [[unescaped(field) for field in line.split()] for line in lines]

    def device(self, folder: str) -> str:
        """Return the major:minor of what is mounted there, which is its bdi's name too."""
        return next(line[2] for line in self._mounted() if line[4] == folder)

    def read_ahead(self, folder: str) -> str:
        """Return the path of the mount's read_ahead_kb."""
        return f"/sys/class/bdi/{self.device(folder)}/read_ahead_kb"

    def make_file(self, path: str, mib: int) -> None:
        """Write a file of random bytes into an export, on the server's side: ``/models/a``."""
        self.guest.sh(f"head -c {mib}M /dev/urandom > {path}", timeout_seconds=60.0)

    def drop_caches(self) -> None:
        """Have the client read from the server again; the exports are memory and stay."""
        self.guest.sh("sync; echo 3 > /proc/sys/vm/drop_caches")

    def set_mtu(self, mtu: int, *, server: int | None = None) -> None:
        """Set the MTU of the client's end, and of the server's (the same unless given)."""
        self.guest.sh(
            f"ip link set {LINK} mtu {mtu}; ip -n srv link set {LINK} mtu {server or mtu}"
        )

    def mtu(self) -> int:
        """Return the MTU of the client's end."""
        return int(self.guest.read(f"/sys/class/net/{LINK}/mtu"))

    def delay(self, milliseconds: float) -> None:
        """Hold back all that the server sends, so that a round trip takes this long."""
        self.guest.sh(f"tc -n srv qdisc replace dev {LINK} root {_NETEM} delay {milliseconds}ms")

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Lose all that the server sends: it is gone without a word, the link stays up."""
        self.guest.sh(f"tc -n srv qdisc replace dev {LINK} root netem loss 100%")
        try:
            yield
        finally:
            self.guest.run(["tc", "-n", "srv", "qdisc", "delete", "dev", LINK, "root"])

    @contextlib.contextmanager
    def black_hole(self, mtu: int) -> Iterator[None]:
        """Lose larger packets both ways without a word, whatever the links' own MTU is."""
        self.guest.run(["sh", _SCRIPT, "hole", str(mtu)])
        try:
            yield
        finally:
            self.guest.run(["sh", _SCRIPT, "unhole"])

    def stop(self) -> None:
        """End the server: its machine answers that nobody listens."""
        self.guest.run(["sh", _SCRIPT, "stop"])

    def start(self) -> None:
        """Start it again."""
        self.guest.run(["sh", _SCRIPT, "start"])

    def connections(self) -> tuple[Connection, ...]:
        """Return the client's established connections to port 2049, by local address."""
        argv = ["ss", "-HtinO", "state", "established", f"( dport = :{_PORT} )"]
        lines = self.guest.run(argv).stdout.splitlines()
        return tuple(sorted((_connection(line) for line in lines), key=lambda found: found.local))

    def destroy_connections(self) -> None:
        """Destroy them as `ss -K` does, by hand; the client connects anew with its next call."""
        self.guest.run(["ss", "-K", "state", "established", f"( dport = :{_PORT} )"])


def _connection(line: str) -> Connection:
    _, _, local, remote, *_ = line.split()
    numbers = {name: int(value) for name, value in re.findall(r"(\w+):(\d+)\b", line)}
    names = ("mss", "advmss", "rcvmss", "pmtu", "bytes_received")
    return Connection(local, remote, *(numbers.get(name, 0) for name in names))
