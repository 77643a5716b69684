"""The ground that a soak stands on: a lab with one agent, a second server that takes a crowd."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.harness import Agent, Stage, await_, label
from tests.lab.lab import Lab
from tests.lab.mount_holder import MountHolder
from tests.lab.nfs_server import PORT
from tests.lab.process import LabProcess
from tests.lab.world import NFS2_ADDRESS, NFS_ADDRESS

STANDING_MOUNTS = 5000
METRICS_PORT = 9469
FULL_BYTES = 9000
WMEM = "net.ipv4.tcp_wmem"
WAIT_SECONDS = 60.0
_SMALL_DISK = 'mount -t tmpfs -o size=64k none "{state}"; exec "$@"'
SETTINGS = {
    "storage_endpoints": f"{NFS_ADDRESS},{NFS2_ADDRESS}",
    "storage_mounts": "true",
    "server_port": METRICS_PORT,
    "watch_repairs": 1000,  # the breaker would keep the other faults from being healed
    "watch_probe_seconds": 2,
    "watch_poll_seconds": 1,
}


@dataclass(slots=True)
class Ground:
    """One node with its agent, and what faults are made of."""

    stage: Stage
    agent: Agent
    holder: MountHolder
    state: Path  # the agent's state folder as the agent sees it, a disk of 64 KiB
    wmem: str

    @property
    def lab(self) -> Lab:
        """Return the lab."""
        return self.stage.lab

    def crowd(self, name: str, *words: str) -> LabProcess:
        """Start an end of a crowd in the node's namespace; back when it is ready."""
        return _crowd(self.stage, self.stage.host.spawn, name, *words)

    def hang_up(self) -> None:
        """Have the agent try the full size again."""
        self.agent.process.send_signal(signal.SIGHUP)

    def await_well(self) -> None:
        """Wait until host and Node are as wanted; raises AssertionError."""
        host = self.stage.host
        await_(lambda: host.mtu("eth1") == FULL_BYTES, "MTU 9000", WAIT_SECONDS)
        await_(lambda: host.sysctl(WMEM) == self.wmem, f"{WMEM} as wanted", WAIT_SECONDS)
        await_(lambda: label(self.stage.node()) == "tuned", "the label tuned", WAIT_SECONDS)
        assert self.agent.process.poll() is None, "the agent ended"


@contextmanager
def ground(lab: Lab) -> Iterator[Ground]:
    """Give the ground with its agent tuned and its gate open."""
    stage = Stage(lab)
    lab.nfs2.stop()
    server = _crowd(stage, lab.world.nfs2.spawn, "serve")
    try:
        with MountHolder.make(lab.lab_dir.path / "mounts", STANDING_MOUNTS) as holder:
            yield _with_agent(stage, holder)
    finally:
        server.kill()
        stage.reset()
        lab.nfs2.start()


def _with_agent(stage: Stage, holder: MountHolder) -> Ground:
    stage.join()
    environment = stage.environment(**SETTINGS) | {"TUNEGATE_MOUNTINFO": holder.mountinfo}
    state = environment["TUNEGATE_STATE_DIR"]
    around = ["unshare", "--mount", "sh", "-euc", _SMALL_DISK.format(state=state), "sh"]
    agent = stage.start_with(environment, around=around)
    stage.wait(lambda node: label(node) == "tuned")
    inside = Path(f"/proc/{agent.process.pid}/root{state}")
    return Ground(stage, agent, holder, inside, stage.host.sysctl(WMEM))


def _crowd(stage: Stage, spawn: object, name: str, *words: str) -> LabProcess:
    argv = [sys.executable, "-m", "tests.lab.crowd", name, NFS2_ADDRESS, str(PORT), *words]
    assert callable(spawn)
    log_path = stage.lab.lab_dir.path / "logs" / f"crowd-{name}.log"
    log_path.unlink(missing_ok=True)
    process = spawn(f"crowd-{name}", argv)
    assert isinstance(process, LabProcess)
    await_(lambda: "ready" in process.log_text(), f"a crowd: {name}", WAIT_SECONDS)
    return process
