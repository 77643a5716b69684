"""SIGKILL at every write of ``apply``, on the real kernel: revert gives the very first state."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.agent_lab.node_commands import AgentNode
from tests.lab.lab import Lab
from tests.lab.world import OFFLOADS_OFF, World

pytestmark = pytest.mark.lab
DRIVER = str(Path(__file__).with_name("crash_driver.py"))
KILLED = -signal.SIGKILL
STORAGE = "10.71.0.2"
NARROW_BYTES = 4000
OTHER = '{"net.ipv4.tcp_rmem": "4096 131072 33554432", "net.ipv4.tcp_mtu_probing": 2}'


@dataclass(frozen=True, slots=True)
class Crasher:
    """A node whose ``apply`` is broken off at a step of its own choosing."""

    node: AgentNode

    def apply(self, where: str = "", *options: str, **variables: str) -> int:
        """Apply with the storage server as endpoint, breaking off there; return the exit code."""
        return self.run(where, "apply", "--endpoint", STORAGE, *options, **variables).returncode

    def run(
        self, where: str, *arguments: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run any command that way."""
        self.names.unlink(missing_ok=True)
        crash = {"CRASH_AT": where, "CRASH_STEPS": str(self.names)}
        return self.node.command([sys.executable, DRIVER, *arguments], {**crash, **variables})

    @property
    def names(self) -> Path:
        """Return the file with the names of the steps."""
        return self.node.folder / "steps"

    def steps(self) -> list[str]:
        """Return the names of the steps that the last run took."""
        return self.names.read_text().splitlines()

    def points(self) -> list[str]:
        """Return every place at which the run just done could have been broken off."""
        found = []
        for number, name in enumerate(self.steps(), 1):
            found += [f"before:{number}", f"after:{number}"]
            found += [f"half:{number}"] if name == "journal write" else []
        return found


@pytest.fixture
def crasher(nfs_world: Lab, tmp_path: Path) -> Iterator[Crasher]:
    """Give the node with its first values; all is set back after the test."""
    node = AgentNode(nfs_world.world.gpu, tmp_path)
    yield Crasher(node)
    nfs_world.world.restore()
    node.restore()


def test_the_driver_sees_every_write(crasher: Crasher) -> None:
    """The steps are the journal's file and each change, the journal's first."""
    assert crasher.apply() == 0
    steps = crasher.steps()
    assert steps[:4] == ["journal open", "journal write", "journal fsync", "journal replace"]
    assert {"host link/eth1/mtu", "host sysctl/net.ipv4.tcp_rmem"} <= set(steps[4:])
    assert crasher.node.revert() == 0


def test_revert_after_a_kill_at_every_write_gives_the_first_state(crasher: Crasher) -> None:
    """Wherever apply dies, alone or before a whole second one, revert undoes all of it."""
    first = crasher.node.first
    assert crasher.apply() == 0
    points = crasher.points()
    assert crasher.node.revert() == 0
    assert crasher.node.values() == first
    for point in points:
        assert crasher.apply(point) == KILLED, point
        assert crasher.node.revert() == 0, point
        assert crasher.node.values() == first, point
        assert not crasher.node.journal.exists(), point


def test_a_second_apply_after_a_kill_keeps_the_very_first_values(crasher: Crasher) -> None:
    """A killed apply, a whole one, then one of another size that is killed too: revert undoes."""
    first = crasher.node.first
    assert crasher.apply() == 0
    points = crasher.points()
    assert crasher.node.revert() == 0
    for point in points:
        assert crasher.apply(point) == KILLED, point
        assert crasher.apply() == 0, point
        assert crasher.node.values()["eth1"] == "9000", point
        assert crasher.node.revert() == 0, point
        assert crasher.node.values() == first, point


def test_a_kill_after_another_configuration_is_undone_too(crasher: Crasher) -> None:
    """Two applies of other sizes die at each pair of places: the first of all values come back."""
    first = crasher.node.first
    for number in range(1, 9):
        point = f"after:{number}"
        assert crasher.apply(point) == KILLED, point
        crasher.apply(f"before:{number + 1}", TUNEGATE_MTU="4000", TUNEGATE_SYSCTLS=OTHER)
        crasher.apply(f"before:{number + 2}", TUNEGATE_MTU="6000")
        assert crasher.node.revert() == 0, point
        assert crasher.node.values() == first, point


def test_a_kill_during_a_fall_back_is_undone_too(crasher: Crasher, nfs_world: Lab) -> None:
    """A path that loses large packets adds a lowering and a remembered ceiling; each may die."""
    nfs_world.world.router.set_path_mtu(NARROW_BYTES, icmp=False)
    assert crasher.apply() == 1
    assert crasher.node.values()["eth1"] == str(NARROW_BYTES)
    steps = crasher.steps()
    assert crasher.node.revert() == 0
    lowering = len(steps) - steps[::-1].index("host link/eth1/mtu")
    for point in (
        f"half:{lowering - 4}",  # the journal learns the lower value
        f"before:{lowering}",
        f"after:{lowering}",
        f"half:{lowering + 2}",  # the journal learns the ceiling
        f"after:{len(steps)}",
    ):
        assert crasher.apply(point) == KILLED, point
        assert crasher.node.revert() == 0, point
        assert crasher.node.values() == crasher.node.first, point


def test_revert_after_a_killed_revert_ends_the_work(crasher: Crasher) -> None:
    """Revert may die at each of its writes too: another one ends its work."""
    assert crasher.apply() == 0
    assert crasher.run("", "revert").returncode == 0
    points = crasher.points()
    assert len(points) >= 8
    for point in points:
        assert crasher.apply() == 0, point
        assert crasher.run(point, "revert").returncode == KILLED, point
        assert crasher.node.revert() == 0, point
        assert crasher.node.values() == crasher.node.first, point


def test_a_mounts_read_ahead_is_undone_too(crasher: Crasher, tmp_path: Path) -> None:
    """Its write is the last one of a pass: apply and revert may die right before and after it."""
    file = tmp_path / "bdi" / "0:50" / "read_ahead_kb"
    file.parent.mkdir(parents=True)
    file.write_text("128\n")
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"54 26 0:50 / /mnt rw - nfs4 srv:/a rw,vers=4.2,addr={STORAGE}\n")
    crasher.node.environment |= {
        "TUNEGATE_BDI": str(tmp_path / "bdi"),
        "TUNEGATE_MOUNTINFO": str(mountinfo),
    }
    for command in ("apply", "revert"):
        if command == "revert":
            crasher.apply()
        crasher.run("", command, "--endpoint", STORAGE)
        number = crasher.steps().index("host readahead/0:50") + 1
        for when in ("before", "after"):
            if command == "apply":
                assert crasher.node.revert() == 0
            else:
                crasher.apply()
            done = crasher.run(f"{when}:{number}", command, "--endpoint", STORAGE)
            assert done.returncode == KILLED
            is_raised = (command == "apply") == (when == "after")
            assert int(file.read_text()) == (15360 if is_raised else 128)
        assert crasher.node.revert() == 0
        assert int(file.read_text()) == 128


@pytest.mark.parametrize("victim", ["host link/eth1/mtu", "host sysctl/net.ipv4.tcp_rmem"])
def test_a_link_that_vanishes_in_the_middle_is_said(
    crasher: Crasher, nfs_world: Lab, victim: str
) -> None:
    """The link goes before or after its own write: the sysctls are written all the same."""
    world = nfs_world.world
    assert crasher.apply() == 0
    number = crasher.steps().index(victim) + 1
    assert crasher.node.revert() == 0
    try:
        done = crasher.run(
            f"shell:{number}", "apply", "--endpoint", STORAGE, CRASH_SHELL="ip link del eth1"
        )
        now = crasher.node.values()
    finally:
        world.gpu.script(_new_cable(world))
    assert done.returncode == 1
    assert done.stderr == ""
    if victim.startswith("host link"):
        assert "pending LinkVanished: eth1 went away while it was being tuned" in done.stdout
        assert "pending: LinkVanished" in done.stdout
    assert "eth1" not in now
    assert now["net.ipv4.tcp_rmem"] == "4096 131072 16777216"
    assert now["net.ipv4.tcp_mtu_probing"] == "1"
    assert crasher.apply() == 0
    assert crasher.node.values()["eth1"] == "9000"
    assert crasher.node.revert() == 0
    assert crasher.node.values() == crasher.node.first


def test_a_link_made_again_under_its_name_is_not_mistaken_for_the_old_one(
    crasher: Crasher, nfs_world: Lab
) -> None:
    """The write is for an index that is gone; the next apply tunes the new link."""
    world = nfs_world.world
    assert crasher.apply() == 0
    number = crasher.steps().index("host link/eth1/mtu") + 1
    assert crasher.node.revert() == 0
    script = "; ".join(["ip link del eth1", *_new_cable(world)])
    done = crasher.run(f"shell:{number}", "apply", "--endpoint", STORAGE, CRASH_SHELL=script)
    assert done.returncode == 1
    assert done.stderr == ""
    assert "pending: LinkVanished" in done.stdout
    assert crasher.node.values()["eth1"] == "1500"
    assert crasher.node.values()["net.ipv4.tcp_rmem"] == "4096 131072 16777216"
    assert crasher.apply() == 0
    assert crasher.node.values()["eth1"] == "9000"
    assert crasher.node.revert() == 0
    assert crasher.node.values() == crasher.node.first


_CABLES = count()


def _new_cable(world: World) -> list[str]:
    """Return shell lines for the node that make its storage link anew, with other indexes."""
    number = next(_CABLES)
    near = world.router.near
    there = f"nsenter --net={near.path}"
    offloads_off = f"{OFFLOADS_OFF} > /dev/null"
    return [
        (
            f"ip link add eth1 index {5000 + number} mtu 1500 type veth "
            f"peer name st-node index {6000 + number} mtu 9000 netns {near.name}"
        ),
        f"{there} ip address add 10.70.0.1/24 dev st-node",
        f"{there} ip link set st-node up",
        f"{there} ethtool -K st-node {offloads_off}",
        f"ethtool -K eth1 {offloads_off}",
        "ip address add 10.70.0.20/24 dev eth1",
        "ip link set eth1 up",
        "ip route add 10.71.0.0/24 via 10.70.0.1",
    ]
