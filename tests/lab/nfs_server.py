"""
A real NFS server in one namespace: nfs-ganesha, which needs nothing from the machine's kernel.

NFSv4 over TCP on both families, one export with one file, and everything it writes inside the
lab's folder. Settings: ganesha-core-config(8), ganesha-export-config(8). It answers well under a
second after its start. RQUOTA is off because ganesha ends where that finds no port mapper.
"""

import contextlib
import signal
import socket
import struct
import time
from pathlib import Path

from tests.lab.netns import Namespace
from tests.lab.process import LabDir, LabProcess

PROGRAM = "ganesha.nfsd"
PORT = 2049
EXPORT = "/models"
FILE_NAME = "weights.txt"
FILE_TEXT = "the weights of a small model\n"
RPC_NULL_CALL = struct.pack("!11I", 0x80000000 | 40, 1, 0, 2, 100003, 4, 0, 0, 0, 0, 0)
"""One record of ONC RPC (RFC 5531): procedure NULL of NFS version 4, without credentials."""

START_SECONDS = 120.0
_POLL_SECONDS = 0.01
_ANSWER_SECONDS = 10.0
_CONFIG = """\
NFS_CORE_PARAM {{ Protocols = 4; NFS_Port = {port}; Enable_UDP = false;
  Enable_NLM = false; Enable_RQUOTA = false; }}
NFS_KRB5 {{ Active_krb5 = false; CCacheDir = "{folder}"; }}
NFSV4 {{ Graceless = true; RecoveryBackend = fs; RecoveryRoot = "{folder}/recovery";
  Only_Numeric_Owners = true; }}
EXPORT {{ Export_Id = 1; Path = "{folder}/export"; Pseudo = "{export}"; Access_Type = RW;
  Squash = No_Root_Squash; SecType = sys; Protocols = 4; Transports = TCP; FSAL {{ Name = VFS; }} }}
LOG {{ Default_Log_Level = EVENT; }}
"""
# a unix socket does not stop at a network namespace: it would register with the machine's rpcbind
_LAUNCH = """\
if [ -e /run/rpcbind.sock ]; then mount --bind /dev/null /run/rpcbind.sock; fi
exec "$@"
"""


class NfsServerError(Exception):
    """The server did not come up; the message ends with its log."""


class NfsServer:
    """One server: made stopped; closing the lab folder ends it."""

    def __init__(self, namespace: Namespace, lab_dir: LabDir) -> None:
        """Write its settings and the file that it serves."""
        self.namespace = namespace
        self.name = f"{namespace.role}-server"
        self.folder = lab_dir.path / self.name
        self._log_path = lab_dir.path / "logs" / f"{self.name}.log"
        self._process: LabProcess | None = None
        for inner in ("export", "recovery"):
            (self.folder / inner).mkdir(parents=True)
        (self.folder / "export" / FILE_NAME).write_text(FILE_TEXT, encoding="ascii")
        settings = _CONFIG.format(port=PORT, folder=self.folder, export=EXPORT)
        (self.folder / "ganesha.conf").write_text(settings, encoding="ascii")

    @property
    def pid(self) -> int | None:
        """Return its process id, None while it is stopped."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """
        Bring it up; back when it answers an RPC call.

        Raises NfsServerError when it ends by itself or does not answer within two minutes.
        """
        argv = ["unshare", "--mount", "sh", "-euc", _LAUNCH, "sh", PROGRAM, "-F"]
        argv += ["-f", f"{self.folder}/ganesha.conf", "-p", f"{self.folder}/pid"]
        argv += ["-L", str(self._log_path)]
        environment = {
            "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.folder}/no-bus",
            "BLKID_FILE": str(self.folder / "blkid.tab"),
        }
        self._process = self.namespace.spawn(self.name, argv, environment)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self._process.poll() is not None:
                raise NfsServerError(self._last_words("ended"))
            if time.monotonic() > deadline:
                raise NfsServerError(self._last_words("does not answer"))
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End it in order, also when it is paused: its connections are closed."""
        if self._process is not None:
            self.resume()
            self._process.stop()
            self._process = None

    def restart(self) -> None:
        """End it and bring it up again with the same files."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Stop it in its tracks: the kernel still accepts connections, nobody answers."""
        self._signal(signal.SIGSTOP)
        # the signal is taken by one thread after the other, and any of them may still answer
        while self.pid is not None and not _stands_still(self.pid):
            time.sleep(0.001)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._signal(signal.SIGCONT)

    def answers(self, timeout_seconds: float = _ANSWER_SECONDS) -> bool:
        """Tell whether it answers an RPC NULL call from inside its own namespace."""
        with self.namespace.entered(), contextlib.suppress(OSError):
            address = ("127.0.0.1", PORT)
            with socket.create_connection(address, timeout_seconds) as connection:
                connection.sendall(RPC_NULL_CALL)
                return bool(connection.recv(64))
        return False

    def read(self, client: Namespace, address: str) -> str:
        """
        Return the served file as a client in another namespace reads it, by libnfs's nfs-cat.

        Raises AssertionError with nfs-cat's own words.
        """
        return client.run(["nfs-cat", url(address)]).stdout

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _last_words(self, what: str) -> str:
        lines = self._log_path.read_text(errors="replace").splitlines()
        return "\n".join([f"{self.name} {what}; the end of {self._log_path}:", *lines[-15:]])


def url(address: str) -> str:
    """Return the served file's URL for libnfs; an IPv6 address stands without brackets there."""
    return f"nfs://{address}{EXPORT}/{FILE_NAME}?version=4"


def _stands_still(pid: int) -> bool:
    """Return whether every thread of a process is stopped (proc_pid_stat(5), field 3)."""
    tasks = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(task.read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)
