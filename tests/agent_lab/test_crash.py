"""SIGKILL at every write of ``apply``, on the real kernel: revert gives the very first state."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.agent_lab.node_commands import AgentNode
from tests.lab.lab import Lab

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
    first = crasher.node.first
    assert crasher.apply() == 1
    assert crasher.node.values()["eth1"] == str(NARROW_BYTES)
    points, steps = crasher.points(), crasher.steps()
    assert crasher.node.revert() == 0
    late = points[-2 * (len(steps) - steps.index("host sysctl/net.ipv4.tcp_mtu_probing")) :]
    for point in late:
        assert crasher.apply(point) == KILLED, point
        assert crasher.node.revert() == 0, point
        assert crasher.node.values() == first, point
