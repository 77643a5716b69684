"""What a revert could not put back stays in the journal: its first value is known nowhere else."""

from pathlib import Path

from agent.journal import load
from agent.state import Outcome, Reason, SysctlKey
from tests.unit.agent.nodes import Node

RMEM = SysctlKey("net.ipv4.tcp_rmem")


def first_of(node: Node, target: str) -> list[str]:
    """Return the first value that the journal on disk has of a target, if any."""
    return [item.first for item in load(node.folder, "boot-1").originals if item.target == target]


def test_a_value_that_cannot_be_read_is_not_forgotten(node: Node) -> None:
    """No descriptor, no memory: the value of ours may stand there all the same."""
    node.tuner().tune()
    kept = node.host.sysctls.pop(RMEM)
    node.host.problems = (f"cannot read sysctl/{RMEM}: Too many open files",)
    plan, findings = node.tuner().revert()
    assert [item.reason for item in findings] == [Reason.HOST_UNREADABLE]
    (left,) = [item for item in plan.left_alone if item.target == f"sysctl/{RMEM}"]
    assert (left.value, left.why) == ("unknown", "cannot be read now")
    node.host.sysctls[RMEM], node.host.problems = kept, ()
    assert node.tuner().revert()[1] == ()
    assert node.host.sysctls[RMEM] == "4096 131072 6291456"
    assert first_of(node, f"sysctl/{RMEM}") == []


def test_a_read_ahead_that_cannot_be_read_is_not_forgotten(node: Node) -> None:
    """The mount is there, or nobody can tell; one that was unmounted is gone."""
    node.host.mount()
    node.tuner().tune()
    shown = dict(node.host.read_ahead)
    node.host.read_ahead.clear()
    node.host.read_ahead_problem = "0:50/read_ahead_kb: Too many open files"
    assert [item.reason for item in node.tuner().revert()[1]] == [Reason.HOST_UNREADABLE]
    assert first_of(node, "readahead/0:50") == ["128"]
    node.host.read_ahead.update(shown)
    node.host.read_ahead_problem = ""
    assert node.tuner().revert()[1] == ()
    assert node.host.read_ahead["0:50"].kib == 128


def test_a_mount_that_is_gone_is_not_waited_for(node: Node) -> None:
    """Another one cannot be read: what is known to be unmounted has nothing to put back."""
    node.host.mount()
    node.tuner().tune()
    node.host.unmount()
    node.host.mount("0:51", path="/mnt/more")
    node.host.read_ahead.clear()
    node.host.read_ahead_problem = "0:51/read_ahead_kb: Too many open files"
    assert node.tuner().revert()[1] == ()
    assert first_of(node, "readahead/0:50") == []


def test_a_link_that_is_held_up_is_not_forgotten(node: Node) -> None:
    """Somebody's vlan stands on it at a size of its own: when that goes, ours can go back."""
    node.tuner().tune()
    node.host.add("vlan7", 5000, kind="vlan", on="eth1")
    plan, findings = node.tuner().revert()
    assert findings == ()
    assert any("stands on it" in item.why for item in plan.left_alone)
    assert node.host.mtu("eth1") == 9000
    node.host.remove("vlan7")
    node.tuner().revert()
    assert node.host.mtu("eth1") == 1500
    assert first_of(node, "link/eth1/mtu") == []


def test_a_journal_that_cannot_be_read_now_is_not_written_over(node: Node) -> None:
    """No descriptor, a disk that hesitates: the first values are in it, and it is read again."""
    node.tuner().tune()
    path = Path(load(node.folder, "boot-1").path)
    aside = path.rename(path.with_name("aside"))
    path.symlink_to(path)  # ELOOP, whoever opens it
    node.host.mount()
    tuner = node.tuner()
    report = tuner.tune()
    assert report.reason is Reason.JOURNAL_UNWRITABLE
    assert "cannot read" in report.findings[0].message
    assert node.host.read_ahead["0:50"].kib == 128
    assert tuner.tend_mounts() == ()
    aside.replace(path)
    assert tuner.tune().outcome is Outcome.TUNED
    assert first_of(node, "link/eth1/mtu") == ["1500"]
    assert first_of(node, "readahead/0:50") == ["128"]
