"""Mounts in plan, verify and the loop: judged without a packet, and not before the gate."""

import time
from dataclasses import replace
from errno import ENOENT

from agent.news import News
from agent.nfs_stats import MountStats, Statistics, Transport
from agent.ports import HostError
from agent.reconcile import JUDGE_SECONDS
from agent.state import Outcome, Reason
from tests.fakes import AS_WANTED, FakeStorage, mounted
from tests.unit.agent.nodes import SERVER, Node, reasons
from tests.unit.agent.test_reconcile import Turning

OPTIONS = "ro,vers=4.2,hard,proto=tcp,acregmin=30,acdirmin=30"
PLAIN = mounted(source=f"{SERVER}:/m", options=OPTIONS)
WANTED = mounted(source=f"{SERVER}:/n", options=f"{OPTIONS},nconnect=8")


def packets(node: Node) -> list[str]:
    """Return what was asked of the network; the list of connections is the kernel's own."""
    return [sent for sent in node.prober.sent if sent != "list"]


def test_a_node_without_mounts_has_nothing_read(node: Node) -> None:
    """A fresh node's way to the gate costs nothing."""
    assert node.tuner().tune().outcome is Outcome.TUNED
    assert node.storage.reads == 0


def test_too_few_connections_make_a_node_degraded(node: Node) -> None:
    """In verify and in tune; the plan says it too, and there is nothing to change."""
    node.host.mounts = (PLAIN,)
    report = node.tuner().tune()
    assert (report.outcome, report.reason) == (Outcome.DEGRADED, Reason.NCONNECT_BELOW_WANTED)
    assert node.tuner().verify().reason is Reason.NCONNECT_BELOW_WANTED
    sent = packets(node)
    _, plan = node.tuner().plan()
    assert plan.is_empty
    assert [finding.reason for finding in plan.findings] == [Reason.NCONNECT_BELOW_WANTED]
    assert packets(node) == sent


def test_advice_leaves_a_node_tuned(node: Node) -> None:
    """A writable mount is a note."""
    node.host.mounts = (mounted(source=f"{SERVER}:/m", options="vers=4.2,hard,nconnect=8"),)
    report = node.tuner().tune()
    assert report.outcome is Outcome.TUNED
    assert {"NotReadOnly", "AttributeCacheShort"} <= reasons(report)


def test_a_pods_mount_adds_no_endpoint(node: Node) -> None:
    """What another namespace reaches, the node may not."""
    options = "ro,vers=4.2,hard,nconnect=8,clientaddr=10.244.0.9"
    node.host.mounts = (mounted(source="10.9.9.9:/m", options=options),)
    report = node.tuner().tune()
    assert report.outcome is Outcome.TUNED
    assert "NotCheckableHere" in reasons(report)
    assert not any("10.9.9.9" in sent for sent in node.prober.sent)


def test_mounts_are_judged_where_connections_do_not_show(node: Node) -> None:
    """Neither a refusal nor a list with holes is taken for "no connection"."""
    node.host.mounts = (mounted(source=f"{SERVER}:/m", options="ro,vers=3,hard,nconnect=8"),)
    stats = MountStats(
        "/mnt/models", f"{SERVER}:/m", {}, transports=(Transport("tcp", 2, idle_seconds=9),) * 8
    )
    node.storage.statistics = Statistics({"/mnt/models": stats})
    assert "NotCheckableHere" in reasons(node.tuner().verify())
    node.prober.unlisted = 3
    assert "NotCheckableHere" not in reasons(node.tuner().verify())
    node.prober.cannot_list = HostError("connections", ENOENT, "no module")
    assert "NotCheckableHere" not in reasons(node.tuner().verify())


def turned(turning: Turning, wait_seconds: float = 0.0) -> None:
    """Let the loop turn once, after so long."""
    time.sleep(wait_seconds)
    turning.loop.wake(News.HOST)
    turning.loop._wait()  # noqa: SLF001 - one turn of the loop, without its thread
    turning.loop.turn()


def test_a_mount_that_comes_is_judged_without_a_packet(node: Node) -> None:
    """Its server is known already: nothing to prove, only its options to look at."""
    turning = Turning(node)
    node.host.mounts = (WANTED,)
    turning.loop.first_pass()
    turned(turning)
    assert turning.published[-1].outcome is Outcome.TUNED
    turning.status.is_gate_open = True
    sent = packets(node)
    turning.loop._judged_seconds -= 5  # noqa: SLF001 - as if that were long ago
    node.host.mounts = (PLAIN,)
    turned(turning)
    assert turning.published[-1].reason is Reason.NCONNECT_BELOW_WANTED
    assert turning.status.report is turning.published[-1]
    assert packets(node) == sent
    node.host.mounts = (WANTED,)
    turning.loop._judged_seconds -= 5  # noqa: SLF001 - as above
    turned(turning)
    assert turning.published[-1].outcome is Outcome.TUNED
    assert turning.published[-1].findings == ()


def test_a_storm_of_mounts_is_judged_once_a_second(node: Node) -> None:
    """Each look sees it, none reads the counters before its time."""
    turning = Turning(node)
    node.host.mounts = (WANTED,)
    turning.loop.first_pass()
    turned(turning)
    reads, began = node.storage.reads, time.monotonic()
    for number in range(20):
        node.host.mounts = (WANTED, mounted(f"/mnt/{number}", f"{SERVER}:/n", device=f"0:{number}"))
        turned(turning)
    seconds = time.monotonic() - began  # a busy machine takes longer
    assert node.storage.reads <= reads + 1 + seconds // JUDGE_SECONDS
    assert turning.loop._due.judge < time.monotonic() + 1.1  # noqa: SLF001 - it will wake for it


def test_what_was_found_otherwise_stays(node: Node) -> None:
    """Only what mounts say is said anew, and it comes last: the path's reason is the node's."""
    tuner = node.tuner()
    node.prober.servers[SERVER].mtu_bytes = 1500
    node.host.mounts = (PLAIN,)
    mounted_state = node.host.observe(())
    report = tuner.tune()
    assert report.reason is Reason.SERVER_BELOW_TARGET
    node.host.mounts = ()
    again = tuner.mounts.judged(node.host.observe(()), report)
    assert again.findings == report.findings[:-1]
    assert again.outcome is Outcome.DEGRADED
    assert tuner.mounts.judged(mounted_state, again) == report


V3 = mounted(source=f"{SERVER}:/m", options=AS_WANTED.replace("4.2", "3"))


def test_a_firewall_before_rpcbind_is_advice_where_version_3_is_used(node: Node) -> None:
    """Verify asks; the first pass does not, which has the gate to open."""
    node.prober.mount_problems[SERVER] = "rpcbind (port 111) does not answer"
    node.host.mounts = (V3,)
    tuner = node.tuner()
    assert "MountServiceUnreachable" not in reasons(tuner.tune())
    assert f"rpcbind {SERVER}" not in node.prober.sent
    report = tuner.tune()
    assert report.outcome is Outcome.TUNED
    (finding,) = report.findings
    assert finding.message.startswith(f"{SERVER}: rpcbind (port 111) does not answer; NFSv3 mounts")
    assert "MountServiceUnreachable" in reasons(node.tuner().verify())


def test_rpcbind_is_asked_only_where_it_matters(node: Node) -> None:
    """Not for version 4, nor of a server that is gone; but where nothing newer than 3 is wanted."""
    node.prober.mount_problems[SERVER] = "rpcbind (port 111) does not answer"
    node.host.mounts = (WANTED,)
    assert "MountServiceUnreachable" not in reasons(node.tuner().verify())
    node.host.mounts = ()
    node.config = replace(node.config, nfs_want={"vers": [3, ">=4.1"]})
    assert "MountServiceUnreachable" not in reasons(node.tuner().verify())
    node.config = replace(node.config, nfs_want={"vers": 3})
    assert "MountServiceUnreachable" in reasons(node.tuner().verify())
    node.prober.servers[SERVER].answers = False
    assert "MountServiceUnreachable" not in reasons(node.tuner().verify())


class AnsweringStorage(FakeStorage):
    """Counters beside which a volume is read while they are first looked at."""

    turning: Turning | None = None

    def stats(self) -> Statistics:
        """Have the mounts judged again, once."""
        turning, self.turning = self.turning, None
        if turning:
            turning.loop.judge_again()
        return super().stats()


def test_mounts_are_judged_again_though_more_is_known_before_the_pass_ends(node: Node) -> None:
    """The answer about a volume may be faster than the rest of the pass that asked."""
    node.storage = storage = AnsweringStorage()
    node.host.mounts = (WANTED,)
    turning = Turning(node)
    storage.turning = turning
    turning.loop.first_pass()
    assert storage.reads == 1
    turned(turning)
    assert storage.reads == 2
    turned(turning)
    assert storage.reads == 2


def test_mounts_are_judged_again_when_more_is_known_of_them(node: Node) -> None:
    """A volume that was read later changes what is wanted of a mount that stays."""
    turning = Turning(node)
    node.host.mounts = (WANTED,)
    turning.loop.first_pass()
    turned(turning)
    reads, published = node.storage.reads, len(turning.published)
    turned(turning)
    assert node.storage.reads == reads
    turning.loop.judge_again()
    turned(turning)
    assert node.storage.reads == reads + 1
    assert len(turning.published) == published, "nothing new was found"
