"""
An NFS mount on a node without an NFS client: what a kernel recorded, with counters that grow.

The agent is pointed at it (`VALUES`); nothing is mounted, so nothing is read.
"""

import re
import socket
from pathlib import Path
from typing import Any, Final

from tests.lab.node import Node
from tests.lab.world import NFS_ADDRESS

RECORDING: Final = Path(__file__).parents[1] / "data" / "nfs" / "6.12" / "v42-nconnect8"
DEVICE: Final = "0:33"
FOLDER: Final = "/run/recorded"
_RECORDED_SERVER, _RECORDED_NODE = "10.77.0.1", "10.77.0.2"
_READ = re.compile(r"(\bREAD:) .*")
_BYTES = re.compile(r"(\bbytes:\t).*")
NFS_PORT: Final = 2049
_CALL_BYTES = 512 * 1024
VALUES: Final[dict[str, Any]] = {
    "extraEnv": [
        {"name": "TUNEGATE_MOUNTINFO", "value": f"{FOLDER}/mountinfo"},
        {"name": "TUNEGATE_MOUNTSTATS", "value": f"{FOLDER}/mountstats"},
        {"name": "TUNEGATE_BDI", "value": f"{FOLDER}/bdi"},
    ],
    "extraVolumes": [{"name": "recorded", "hostPath": {"path": FOLDER, "type": "Directory"}}],
    "extraVolumeMounts": [{"name": "recorded", "mountPath": FOLDER}],
}
"""The chart's values of the agent that make it look here."""


class RecordedMount:
    """One mount of the lab's NFS server, on one node."""

    def __init__(self, node: Node) -> None:
        """Put it on the node; its read-ahead is the kernel's own."""
        self._node = node
        self.read_bytes = self.calls = 0
        self.round_trip_milliseconds = self.queue_milliseconds = 0
        self.put("mountinfo", self._recorded("mountinfo"))
        self.put(f"bdi/{DEVICE}/read_ahead_kb", "128\n")
        self.load(0, 0.0)

    def connect(self) -> socket.socket:
        """Open a connection to the server from the node, as its client would hold one."""
        with self._node.namespace.entered():
            return socket.create_connection((NFS_ADDRESS, NFS_PORT), timeout=10)

    @property
    def read_ahead_kib(self) -> int:
        """Return what somebody has set."""
        return int(self._node.run(["cat", f"{FOLDER}/bdi/{DEVICE}/read_ahead_kb"]).stdout)

    def load(self, read_bytes: int, call_seconds: float, queue_seconds: float = 0.0) -> None:
        """Count so many bytes more, in calls that took so long each, after waiting so long."""
        calls = read_bytes // _CALL_BYTES
        self.read_bytes += calls * _CALL_BYTES
        self.calls += calls
        self.round_trip_milliseconds += round(calls * call_seconds * 1000)
        self.queue_milliseconds += round(calls * queue_seconds * 1000)
        self.put("mountstats", self._counted(self._recorded("mountstats")))

    def _counted(self, text: str) -> str:
        # operations, transmissions, timeouts, sent, received, queue, round trip, whole, errors
        total = self.queue_milliseconds + self.round_trip_milliseconds
        row = (self.calls, self.calls, 0, self.calls * 200, self.read_bytes)
        times = (self.queue_milliseconds, self.round_trip_milliseconds, total, 0)
        read = " ".join(map(str, (*row, *times)))
        done = f"{self.read_bytes} 0 0 0 {self.read_bytes} 0 {self.read_bytes // 4096} 0"
        return _BYTES.sub(rf"\g<1>{done}", _READ.sub(rf"\1 {read}", text))

    def _recorded(self, name: str) -> str:
        text = (RECORDING / name).read_text().replace(_RECORDED_SERVER, NFS_ADDRESS)
        return text.replace(_RECORDED_NODE, self._node.address)

    def put(self, name: str, text: str) -> None:
        """Put a file on the node, whole at any time."""
        path = f"{FOLDER}/{name}"
        script = 'mkdir -p "$(dirname "$1")"; printf %s "$2" > "$1.new"; mv "$1.new" "$1"'
        self._node.run(["sh", "-euc", script, "sh", path, text])
