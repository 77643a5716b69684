"""Each rule of the doctor: what is good, what is worth a note, what is a problem."""

import pytest

from agent.clouds import CLOUDS
from agent.doctor.facts import Device, Kernel, NodeSeen, Record
from agent.doctor.judge_agent import judge_journal, judge_node
from agent.doctor.judge_kernel import judge_kernel, version_of
from agent.doctor.judge_links import judge_links, judge_sysctls
from agent.doctor.judge_mounts import judge_mounts
from agent.doctor.judge_report import ACTIONS, judge_findings, judge_paths
from agent.doctor.remark import Mark, Remark
from agent.readahead import ReadAheadChange
from agent.state import LeftAlone, LinkName, Reason, Severity, SysctlKey, Verdict
from common.record import replace
from tests.fakes import FakeHost, mounted
from tests.unit.agent.doctor.cases import (
    ETH1,
    facts,
    host,
    marks,
    only,
    proof,
    with_finding,
)

GOOD, NOTE, PROBLEM = Mark.GOOD, Mark.NOTE, Mark.PROBLEM


def in_cloud(name: str, node: FakeHost | None = None) -> Remark:
    """Judge the ceiling of a cloud."""
    return only(judge_links(facts(node, cloud=CLOUDS[name], cloud_by="by DMI")), "cloud")


@pytest.mark.parametrize(
    ("release", "version", "words"),
    [
        ("6.18.44", (6, 18), "32 MiB by itself"),
        ("6.16.0-rc1", (6, 16), "32 MiB by itself"),
        ("6.8.0-45-generic", (6, 8), "6 MiB by itself"),
        ("5.14.0-503.el9", (5, 14), "6 MiB by itself"),
        ("weird", None, "cannot be told"),
    ],
)
def test_the_release_tells_the_default(
    release: str, version: tuple[int, int] | None, words: str
) -> None:
    """As numbers, so that 6.8 is below 6.16."""
    assert version_of(release) == version
    assert (
        words
        in only(judge_kernel(Kernel(release, destroys_sockets=True, told_by="")), "kernel").message
    )


@pytest.mark.parametrize(("can", "mark"), [(True, GOOD), (False, NOTE), (None, NOTE)])
def test_a_kernel_that_cannot_end_connections_has_another_cure(
    can: bool | None,  # noqa: FBT001 - a row of the table
    mark: Mark,
) -> None:
    """Not knowing is said as such."""
    remark = only(judge_kernel(Kernel("6.1.0", can, "/boot/config-6.1.0")), "socket-destroy")
    assert remark.mark is mark
    assert ("unmount every mount" in remark.action) == (can is False)


def test_a_storage_link_as_wanted_is_good() -> None:
    """With its limit, driver and speed, and a word that offloads stay."""
    found = judge_links(facts())
    assert only(found, "link-mtu").message == "eth1: MTU 9000, wanted 9000, at most 9216"
    assert "mlx5_core; 100 Gb/s" in only(found, "driver").message
    assert "offloads are left as they are" in only(found, "driver").message
    assert only(found, "storage-server").message.endswith("nfs.example (10.0.0.5) over eth1")


def test_a_small_mtu_is_a_problem() -> None:
    """With what it should be."""
    remark = only(judge_links(facts(host(1500))), "link-mtu")
    assert (remark.mark, remark.target) == (PROBLEM, "eth1")
    assert "MTU 1500 instead of 9000" in remark.message


def test_a_link_that_cannot_do_more_is_as_wanted() -> None:
    """What is wanted of it is what it can."""
    remark = only(judge_links(facts(host(3900, max_mtu_bytes=3900))), "link-mtu")
    assert remark.mark is GOOD
    assert "the settings ask for 9000" in remark.message


def test_layers_below_are_named_with_their_drivers() -> None:
    """A bond has none of its own."""
    port = LinkName("p0")
    base = facts(carriers={ETH1: (ETH1, port)})
    devices = {**base.devices, port: Device(port, "ice", "", 25000)}
    message = only(judge_links(replace(base, devices=devices)), "driver").message
    assert message.endswith("stands on p0 (ice)")


def test_no_storage_server_is_a_problem() -> None:
    """Nothing can be chosen without one; one without a route is another matter."""
    none = only(judge_links(facts(endpoints=())), "storage-server")
    assert (none.mark, "--endpoint SERVER" in none.action) == (PROBLEM, True)
    node = host()
    node.routes.clear()
    unrouted = only(judge_links(facts(node)), "storage-server")
    assert (unrouted.mark, "no route" in unrouted.message) == (PROBLEM, True)


def test_a_route_with_a_small_mtu_of_its_own_is_a_note() -> None:
    """It holds TCP small whatever the link has."""
    node = host()
    server = facts().endpoints[0].address
    node.routes[server] = replace(node.routes[server], mtu_bytes=1500)
    remark = only(judge_links(facts(node)), "route")
    assert (remark.mark, "has MTU 1500, its link eth1 9000" in remark.message) == (NOTE, True)
    assert "route" not in marks(judge_links(facts()))


def test_the_clouds_ceiling_is_held_against_what_is_wanted() -> None:
    """Above it is a problem with the number to set; a link short of it a note."""
    above = in_cloud("gcp")
    assert (above.mark, above.action) == (PROBLEM, "set mtu: 8896 in the settings")
    short = in_cloud("gcp", host(1460, max_mtu_bytes=1460))
    assert short.mark is NOTE
    assert "gcloud compute networks update" in short.message
    assert in_cloud("aws").mark is GOOD
    assert in_cloud("azure").action == "set mtu: 3900 in the settings"
    assert "cloud" not in marks(judge_links(facts()))


def test_many_links_left_alone_are_one_line() -> None:
    """Grouped by why, three named."""
    left = tuple(LeftAlone(f"link/lxc{n}/mtu", "1500", "a pod's link") for n in range(60))
    remark = only(judge_links(facts(left_alone=left)), "left-alone")
    assert remark.message == "left alone: lxc0, lxc1, lxc2 and 57 more (a pod's link)"


def test_a_low_sysctl_is_a_problem_where_it_is_required() -> None:
    """An advisory one is a note, a higher one is good."""
    node = host()
    node.sysctls[SysctlKey("net.ipv4.tcp_rmem")] = "4096 131072 6291456"
    node.sysctls[SysctlKey("net.core.rmem_max")] = "212992"
    found = {remark.target: remark for remark in judge_sysctls(facts(node))}
    assert found["net.ipv4.tcp_rmem"].mark is PROBLEM
    assert "instead of 4096 131072 16777216" in found["net.ipv4.tcp_rmem"].message
    assert found["net.core.rmem_max"].mark is NOTE
    assert found["net.ipv4.tcp_window_scaling"].mark is GOOD


def test_a_proven_path_is_good_and_one_way_a_note() -> None:
    """Without probes nothing is claimed."""
    assert only(judge_paths(facts()), "path").mark is GOOD
    base = facts()
    one_way = replace(base.report, proofs=(replace(proof(), way_back="unproven"),))
    assert only(judge_paths(replace(base, report=one_way)), "path").mark is NOTE
    unasked = only(judge_paths(facts(is_probed=False)), "path")
    assert (unasked.mark, "--no-probes" in unasked.message) == (NOTE, True)


def test_a_path_that_fails_says_what_to_do() -> None:
    """The finding's own sentence, and where to put it right."""
    base = facts()
    small = proof(Verdict.SMALLER, Reason.SERVER_BELOW_TARGET)
    report = replace(base.report, proofs=(small,))
    remark = only(judge_paths(replace(base, report=report)), "path")
    assert remark.mark is PROBLEM
    assert remark.action.startswith("on the server: ip link set")


def test_a_mount_with_a_small_read_ahead_is_a_problem() -> None:
    """One that has what is planned is good; its options stand beside it."""
    node = host()
    node.mounts = (mounted(source="10.0.0.5:/models"),)
    good = only(judge_mounts(facts(node)), "mount")
    assert good.mark is GOOD
    assert good.message.startswith("/mnt/models: 10.0.0.5:/models, NFS 4.2, nconnect 8")
    base = facts(node)
    change = ReadAheadChange("0:50", 1, "10.0.0.5:/models", 128, 15360, "configured")
    small = replace(base.report, plan=replace(base.report.plan, changes=(change,)))
    remark = only(judge_mounts(replace(base, report=small)), "mount")
    assert (remark.mark, "instead of 15360" in remark.message) == (PROBLEM, True)


def test_the_profile_that_won_is_told() -> None:
    """With why, and why not those before it; without profiles there is no word of it."""
    wishes = replace(facts().wishes, profile="gpu (pool=gpu)", passed_over=("h100: other",))
    remark = only(judge_sysctls(facts(wishes=wishes)), "profile")
    assert remark.message == "settings of profile gpu (pool=gpu); passed over: h100: other"
    assert "profile" not in marks(judge_sysctls(facts()))


def test_findings_are_told_once() -> None:
    """A failed one is a problem, a note a note; what a link or sysctl shows is not repeated."""
    found = judge_findings(with_finding(Severity.DEGRADED, Reason.LINK_NOT_ELIGIBLE))
    assert (found[0].mark, found[0].message) == (PROBLEM, "LinkNotEligible: this is so")
    assert found[0].action == ACTIONS[Reason.LINK_NOT_ELIGIBLE]
    noted = judge_findings(with_finding(Severity.NOTE, Reason.MEMORY_GUARD))
    assert noted[0].mark is NOTE
    assert judge_findings(with_finding(Severity.FAILED, Reason.NOT_CONVERGED)) == ()


def test_the_journal_is_told_with_first_values() -> None:
    """And that nobody watches where nobody does."""
    originals = (
        ("link/eth1/mtu", "1500", "9000"),
        ("sysctl/net.ipv4.tcp_rmem", "1 2 3", None),
        ("readahead/0:33", "128", "15360"),
    )
    record = Record("/run/tunegate/journal.jsonl", originals, ("line 3 is damaged",), None)
    found = judge_journal(facts(record=record))
    told = [remark.message for remark in found if remark.check == "first-value"]
    assert told == [
        "eth1 MTU: first 1500, now 9000",
        "net.ipv4.tcp_rmem: first 1 2 3, gone",
        "read-ahead of 0:33, KiB: first 128, now 15360",
    ]
    assert only(found, "running-agent").mark is NOTE
    assert [remark.mark for remark in found if remark.check == "journal"] == [NOTE, GOOD]
    assert only(judge_journal(facts()), "running-agent").mark is GOOD


def test_a_node_that_is_open_and_judged_is_good() -> None:
    """Its labels are shown."""
    node = NodeSeen("gpu-0", labels={"tunegate.io/mtu": "9000"}, condition=("True", "Tuned", "x"))
    found = judge_node(node, agent_runs=True)
    assert set(marks(found).values()) == {GOOD}
    assert "tunegate.io/mtu=9000" in only(found, "node").message


def test_a_closed_gate_is_a_problem() -> None:
    """With the command that opens it where no agent will."""
    node = NodeSeen("gpu-0", gate_taints=("a/b", "c/d"), condition=("False", "BlackHole", "Lost."))
    found = judge_node(node, agent_runs=False)
    assert only(found, "gate").mark is PROBLEM
    assert only(found, "gate").action.endswith("kubectl taint node gpu-0 a/b- c/d-")
    assert only(found, "condition").mark is PROBLEM
    assert "kubectl" not in only(judge_node(node, agent_runs=True), "gate").action


def test_a_node_told_to_be_left_alone_is_noted() -> None:
    """The label's own words, and how to take it back."""
    node = NodeSeen("gpu-0", labels={"tunegate.io/mode": "observe"})
    found = judge_node(node, agent_runs=True)
    assert only(found, "node").mark is NOTE
    assert "tunegate.io/mode=apply" in only(found, "node").action
    assert only(found, "condition").mark is NOTE


def test_a_node_that_was_not_read_is_a_note() -> None:
    """The doctor works without a cluster."""
    (remark,) = judge_node(NodeSeen("", "its name is not known"), agent_runs=False)
    assert (remark.check, remark.mark) == ("node", NOTE)
