"""Ten thousand connections to the NFS port: passes stay right, and the agent stays small."""

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_lab.caught import Connections
from tests.agent_lab.mount_tables import table
from tests.agent_lab.running import Agent, Watched, await_, watching
from tests.lab.crowd import SPARE_DESCRIPTORS
from tests.lab.lab import Lab
from tests.lab.nfs_server import PORT
from tests.lab.process import LabProcess
from tests.lab.world import NFS2_ADDRESS

pytestmark = pytest.mark.lab
CROWD = 10_000
NARROW_BYTES = 4000
PEAK_KIB = 64 * 1024
OPTIONS = ("--endpoint", NFS2_ADDRESS)
SETTINGS = {"TUNEGATE_WATCH_PROBE_SECONDS": "1", "TUNEGATE_WATCH_POLL_SECONDS": "0.5"}


@pytest.fixture
def watched(nfs_world: Lab, tmp_path: Path) -> Iterator[Watched]:
    """Give the GPU node to watch."""
    with watching(nfs_world, tmp_path) as made:
        yield made


class Crowd:
    """Connections from the node to a server that takes them and says nothing."""

    def __init__(self, lab: Lab, node: Watched) -> None:
        """Take the second server's place, which must be stopped."""
        self._node = node.node
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.size = min(CROWD, hard - SPARE_DESCRIPTORS)
        self._started: list[LabProcess] = []
        self._seen = Connections(node.node.namespace)
        name = f"crowd-server-{node.node.folder.name}"  # a log of its own
        self._await_ready(lab.world.nfs2.spawn(name, self._argv("serve")))

    def gather(self) -> None:
        """Open them all; back when they stand."""
        name = f"crowd-{self._node.folder.name}-{len(self._started)}"
        self._await_ready(self._node.namespace.spawn(name, self._argv("hold", str(self.size))))

    def count(self) -> int:
        """Return how many connections to the server stand, whoever has them."""
        return self._seen.to_port(PORT)

    def close(self) -> None:
        """End both ends."""
        for process in self._started:
            process.kill()
        self._seen.close()

    def _argv(self, what: str, *more: str) -> list[str]:
        return [sys.executable, "-m", "tests.lab.crowd", what, NFS2_ADDRESS, str(PORT), *more]

    def _await_ready(self, process: LabProcess) -> None:
        self._started.append(process)
        await_(lambda: "ready" in process.log_text(), process.log_text)


@pytest.fixture
def crowd(nfs_world: Lab, watched: Watched) -> Iterator[Crowd]:
    """Give a crowd in place of the second NFS server, which runs again after the test."""
    nfs_world.nfs2.stop()
    made = Crowd(nfs_world, watched)
    yield made
    made.close()
    nfs_world.nfs2.start()


def peak_kib(agent: Agent) -> int:
    """Return the most memory that the agent ever held (proc(5), VmHWM)."""
    status = Path(f"/proc/{agent.process.pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def test_a_crowd_that_stands_at_full_size_is_left_in_peace(watched: Watched, crowd: Crowd) -> None:
    """Looks, proofs and repairs go on beside it as if it were not there."""
    agent = watched.run(SETTINGS, options=OPTIONS)
    crowd.gather()
    for _ in range(3):
        watched.node.namespace.set_mtu("eth1", 1500)
        watched.await_value("eth1", "9000")
    assert crowd.count() >= crowd.size
    assert {line["outcome"] for line in agent.said("Judged the node")} <= {"tuned", "pending"}
    await_(lambda: agent.said("Judged the node")[-1]["outcome"] == "tuned", agent.process.log_text)
    assert peak_kib(agent) < PEAK_KIB
    assert agent.end() == 0


def test_a_crowd_born_above_what_passes_is_ended_to_the_last(
    watched: Watched, crowd: Crowd
) -> None:
    """The path begins to lose large packets: the link falls back, none of them stays stuck."""
    agent = watched.run(SETTINGS, options=OPTIONS)
    crowd.gather()
    watched.router.set_path_mtu(NARROW_BYTES, icmp=False, toward="nfs2")
    agent.await_line("Judged the node", outcome="degraded", reason="BlackHole")
    watched.await_value("eth1", str(NARROW_BYTES))
    await_(lambda: crowd.count() < 10, lambda: f"{crowd.count()} are left")  # but for probes
    assert peak_kib(agent) < PEAK_KIB
    assert agent.end() == 0


def test_a_crowd_that_came_too_early_is_healed_before_the_gate(
    watched: Watched, crowd: Crowd
) -> None:
    """A hard mount's connections, all born at MTU 1500: ended once the path is proven."""
    crowd.gather()
    mountinfo = watched.node.folder / "mountinfo"
    mountinfo.write_text(table(5000, (NFS2_ADDRESS,)))
    mounted = {"TUNEGATE_STORAGE_MOUNTS": "true", "TUNEGATE_MOUNTINFO": str(mountinfo)}
    agent = watched.run({**SETTINGS, **mounted}, tuned=False, options=())
    agent.await_line("Judged the node", outcome="tuned")
    await_(lambda: crowd.count() < 10, lambda: f"{crowd.count()} are left")
    assert peak_kib(agent) < PEAK_KIB
    assert agent.end() == 0
