"""Thousands of mounts, and storms of them: nothing is missed, nothing is left behind."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host.paths import read_text
from agent.host.watch import FileWatch
from tests.agent_lab.mount_tables import table
from tests.agent_lab.running import Watched, await_, watching
from tests.lab.footprint import Footprint
from tests.lab.held import held
from tests.lab.lab import Lab
from tests.lab.mount_holder import MountHolder
from tests.lab.world import NFS2_ADDRESS, NFS_ADDRESS, NFS_ADDRESS_IPV6

pytestmark = pytest.mark.lab
LINES = 5000
STORM = 200
STORM_SECONDS = 10.0
WAIT_SECONDS = 60.0
GROWTH_KIB = 4096


@pytest.fixture
def watched(nfs_world: Lab, tmp_path: Path) -> Iterator[Watched]:
    """Give the GPU node to watch."""
    with watching(nfs_world, tmp_path) as made:
        yield made


def test_the_nfs_mounts_among_five_thousand_lines_are_all_found_and_proven(
    watched: Watched,
) -> None:
    """One early, one in the middle, one in the last line: three servers proven, one link tuned."""
    servers = (NFS_ADDRESS, NFS_ADDRESS_IPV6, NFS2_ADDRESS)
    mountinfo = watched.node.folder / "mountinfo"
    mountinfo.write_text(table(LINES, servers))
    mounted = {"TUNEGATE_STORAGE_MOUNTS": "true", "TUNEGATE_MOUNTINFO": str(mountinfo)}
    agent = watched.run(mounted, options=())
    watched.await_value("eth1", "9000")
    assert agent.end() == 0
    done = watched.node.agent("verify", "--output", "json", variables=mounted)
    found = {proof["address"]: proof["verdict"] for proof in json.loads(done.stdout)["proofs"]}
    assert found == dict.fromkeys(servers, "passed"), done.stdout


class Seen:
    """What a watch of mountinfo has shown: the mounts as last read."""

    def __init__(self, holder: MountHolder) -> None:
        """Start with what is there."""
        self._holder = holder
        self._news = threading.Condition()
        self._points: frozenset[str] = frozenset()
        self.read()

    def read(self) -> None:
        """Take in the mounts, on the watch's thread."""
        lines = read_text(self._holder.mountinfo).splitlines()
        with self._news:
            self._points = frozenset(line.split(" ", 5)[4] for line in lines)
            self._news.notify_all()

    def await_point(self, name: str, *, there: bool) -> None:
        """Wait until a mount was seen, or seen gone."""
        point = self._holder.point(name)
        with self._news:
            seen = self._news.wait_for(lambda: (point in self._points) is there, WAIT_SECONDS)
        assert seen, f"{name} was {'mounted' if there else 'unmounted'} and nobody was told"


@pytest.mark.parametrize("standing", [0, LINES])
def test_no_mount_of_a_storm_is_missed(tmp_path: Path, standing: int) -> None:
    """Each of 200 mounts and unmounts is told, also among thousands that stand."""
    with MountHolder.make(tmp_path / "mounts", standing) as holder:
        before = held()
        seen = Seen(holder)
        with FileWatch(holder.mountinfo, seen.read):
            for number in range(STORM):
                holder.mount(f"one-{number}")
                seen.await_point(f"one-{number}", there=True)
                holder.unmount(f"one-{number}")
                seen.await_point(f"one-{number}", there=False)
        assert held() - before == set()


def _is_no_larger(after: Footprint, before: Footprint) -> bool:
    grown = after.descriptors > before.descriptors or after.threads > before.threads
    return not grown and after.rss_kib < before.rss_kib + GROWTH_KIB


def test_a_storm_leaves_the_agent_as_it_was(watched: Watched) -> None:
    """200 mounts and unmounts in 10 s among 5,000 lines: it repairs drift meanwhile, and after."""
    with MountHolder.make(watched.node.folder / "mounts", LINES) as holder:
        mounted = {"TUNEGATE_STORAGE_MOUNTS": "true", "TUNEGATE_MOUNTINFO": holder.mountinfo}
        agent = watched.run({**mounted, "TUNEGATE_WATCH_REPAIRS": "1000"})
        pid = agent.process.pid
        watched.node.namespace.set_mtu("eth1", 1500)
        agent.await_line("Repaired drift", target="link/eth1/mtu")  # all of it has come up
        holder.storm(20, 1.0)
        before = Footprint.at_rest(pid)
        storm = threading.Thread(target=holder.storm, args=(STORM, STORM_SECONDS))
        storm.start()
        while storm.is_alive():
            watched.node.namespace.set_mtu("eth1", 1500)
            watched.await_value("eth1", "9000")
            time.sleep(0.05)
        storm.join()
        # what the last repair is proven by is no leak
        await_(
            lambda: _is_no_larger(Footprint.at_rest(pid), before),
            lambda: f"{Footprint.of(pid)} was {before}",
        )
    assert "Traceback" not in agent.process.log_text()
    assert agent.end() == 0
