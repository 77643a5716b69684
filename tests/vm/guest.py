"""
A QEMU guest with a real NFS client: booted once a test session, commanded over a channel.

A test of what the agent does to a real mount is an ordinary test in ``tests/vm/test_*.py``::

    def test_the_mount_is_read(guest: Guest, storage: Storage) -> None:
        with storage.mount("/mnt/a", "vers=4.2,nconnect=8"):
            report = guest.agent("plan", "--output", "json", variables=ENDPOINT)
            found = guest.python("from agent.host.mounts import ...; print(...)")

``guest`` runs programs (``run``, ``sh``, ``python``, ``agent``, ``background``) and moves files
(``put``, ``get``); every call has a time limit. ``storage`` (tests/vm/storage.py) is a server and
links as new for each test: mounts, MTU, delay, a server that is gone. The working copy of agent/,
common/ and tests/vm/inside/ is at /code in the guest and on its Python's path, packed anew for each
session, so a program too long for a string goes into tests/vm/inside/ and runs by
``guest.run(["python3", "-m", "tests.vm.inside.NAME"])``.

One emulated CPU makes Python about ten times as slow as here, and time there means little, unless
in the guest of the fixture ``counted_storage``: its clock counts instructions. On a failure the
console's end is in the report.
"""

import base64
import shutil
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.process import LabDir
from tests.vm.channel import SHORT_SECONDS, Channel, Ended, GuestError, Run
from tests.vm.image import recipe

CODE = Path(__file__).parents[2]
DELIVERED = ("agent", "common", "tests/vm/inside")
MEMORY_MIB = 1024
BOOT_SECONDS = 90.0
QEMU = "qemu-system-x86_64"
CONSOLE_LINES = 40
_COUNTED = ["-icount", "shift=0,sleep=off"]  # one instruction a nanosecond
_KERNEL_ARGUMENTS = (
    "console=ttyS0 panic=-1 quiet loglevel=4 random.trust_cpu=on nokaslr norandmaps mitigations=off"
    # hardening and accounting that no test looks at cost an emulated CPU a tenth of its time
    " init_on_alloc=0 hardened_usercopy=off apparmor=0 cgroup_disable=memory audit=0"
)


def lacking() -> str:
    """Return what a guest needs and this machine lacks, "" when it can be booted."""
    if recipe.foreign():
        return recipe.foreign()
    if shutil.which(QEMU) is None:
        return f"a guest needs {QEMU}: run `make setup` as root"
    kernel = recipe.chosen_kernel()
    if recipe.find(kernel) is None:
        return f"a guest needs its image: run `python -m tests.vm.image {kernel}` as root"
    return ""


class Guest:
    """A booted guest; `close` of the lab's folder ends it, and so does this process' end."""

    def __init__(self, lab_dir: LabDir, kernel: str, *, is_counted: bool = False) -> None:
        """
        Boot the image of this kernel.

        A counted guest's clock goes by instructions and leaps over idle time: a busy machine does
        not change what is measured in it, and between two commands minutes pass there.

        :raises GuestError: it does not come up; the message ends with its console.
        """
        self.kernel = kernel
        self._console = lab_dir.path / "logs" / "console.log"
        image = recipe.find(kernel)
        if image is None:
            raise GuestError(lacking())
        code = lab_dir.path / "code.tar"
        _pack(code)
        socket_path = lab_dir.path / "channel"
        command = _command(image, code, socket_path, self._console)
        self._qemu = lab_dir.spawn("qemu", command + (_COUNTED if is_counted else []))
        self._channel = self._connected(socket_path)
        if not self._channel.wait_ready(BOOT_SECONDS):
            self.close()
            raise GuestError(f"the guest did not come up:\n{self.console()}")

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        timeout_seconds: float = SHORT_SECONDS,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
    ) -> Ended:
        """
        Run a program to its end.

        :raises GuestError: it takes too long (it is killed), or with `check` ends other than by 0.
        """
        ended = self.background(argv, env=env, stdin=stdin).wait(timeout_seconds)
        if check and ended.returncode:
            said = f"{ended.stdout}{ended.stderr}"
            raise GuestError(f"{' '.join(argv)} ended with {ended.returncode}:\n{said}")
        return ended

    def background(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdin: bytes = b""
    ) -> Run:
        """Start a program and return at once."""
        return Run(self._channel, argv, env or {}, stdin)

    def sh(self, script: str, *, timeout_seconds: float = SHORT_SECONDS) -> str:
        """Run a shell script that stops at the first error; return its standard output."""
        return self.run(["sh", "-euc", script], timeout_seconds=timeout_seconds).stdout

    def python(self, source: str, *arguments: str, timeout_seconds: float = SHORT_SECONDS) -> str:
        """Run Python source with the agent's modules at hand; return its standard output."""
        argv = ["python3", "-c", source, *arguments]
        return self.run(argv, timeout_seconds=timeout_seconds).stdout

    def agent(
        self,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        timeout_seconds: float = 60.0,
    ) -> Ended:
        """Run the agent's command line as on a node; its exit code is the test's to judge."""
        argv = ["python3", "-m", "agent", *arguments]
        return self.run(argv, check=False, timeout_seconds=timeout_seconds, env=variables)

    def put(self, path: str, content: bytes) -> None:
        """Write a file in the guest."""
        encoded = base64.b64encode(content).decode("ascii")
        self._channel.call("put", path=path, data=encoded)

    def get(self, path: str) -> bytes:
        """Return a file of the guest; raises GuestError where it cannot be read."""
        return base64.b64decode(self._channel.call("get", path=path)["data"])

    def read(self, path: str) -> str:
        """Return a file's text without blanks at its ends, e.g. of a sysctl."""
        return self.get(path).decode().strip()

    def console(self) -> str:
        """Return the end of what the guest's kernel and process 1 said."""
        said = self._console.read_text(errors="replace") if self._console.exists() else ""
        return "\n".join((said + self._qemu.log_text()).splitlines()[-CONSOLE_LINES:])

    def close(self) -> None:
        """End it."""
        self._qemu.kill()
        self._channel.close()

    def _connected(self, path: Path) -> Channel:
        deadline = time.monotonic() + SHORT_SECONDS
        while time.monotonic() < deadline and self._qemu.poll() is None:
            try:
                return Channel.connect(path)
            except OSError:
                time.sleep(0.02)
        self._qemu.kill()
        raise GuestError(f"QEMU did not start:\n{self.console()}")


def _command(image: recipe.Image, code: Path, channel: Path, console: Path) -> list[str]:
    """
    Return QEMU's command.

    Emulated, since stock kernels do not boot on a nested PVM; one CPU, since the kernel's text
    patching oopsed with two. Without `erms` and `fsrm` the kernel copies eight bytes at a time, for
    an emulator eight times the speed. Writes to the root disk go to a file of their own.
    """
    dying = ["setpriv", "--pdeathsig", "KILL"]
    machine = ["-accel", "tcg", "-cpu", "max,la57=off,erms=off,fsrm=off"]
    machine += ["-smp", "1", "-m", str(MEMORY_MIB)]
    plain = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-nic", "none"]
    kernel = ["-kernel", str(image.kernel), "-initrd", str(image.initramfs)]
    kernel += ["-append", _KERNEL_ARGUMENTS, "-serial", f"file:{console}"]
    disks = ["-drive", f"file={image.root},format=raw,if=virtio,snapshot=on"]
    disks += ["-drive", f"file={code},format=raw,if=virtio,readonly=on"]
    port = ["-device", "virtio-serial-pci"]
    port += ["-chardev", f"socket,id=channel,path={channel},server=on,wait=off"]
    port += ["-device", "virtserialport,chardev=channel,name=tunegate"]
    return [*dying, QEMU, *machine, *plain, *kernel, *disks, *port]


def _pack(output: Path) -> None:
    """Write the working copy's code, without what this machine's Python compiled."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if Path(member.name).name == "__pycache__" else member

    with tarfile.open(output, "w") as archive:
        for name in DELIVERED:
            archive.add(CODE / name, name, filter=plain)
