"""One pass over a node: plan, write, read back, revert."""

from dataclasses import replace
from pathlib import Path

from agent.endpoints import Listed
from agent.state import Outcome, Reason
from agent.tune import Tuner
from tests.fakes import mounted
from tests.unit.agent.nodes import SERVER, Node, reasons


def test_applied_lists_every_write(node: Node) -> None:
    """What the report says was written is what the kernel saw."""
    report = node.tuner().tune()
    assert list(report.applied) == node.host.writes


def test_planning_writes_nothing_and_sends_nothing(node: Node) -> None:
    """A plan is a look: no write, no packet, no journal."""
    _, plan = node.tuner().plan()
    assert not plan.is_empty
    assert node.host.attempts == []
    assert node.prober.sent == []
    assert list(Path(node.folder).iterdir()) == []


def test_a_second_pass_and_a_restart_write_nothing(node: Node) -> None:
    """What holds is left alone, and the journal file is not touched either."""
    tuner = node.tuner()
    tuner.tune()
    written, stamp = len(node.host.attempts), Path(node.folder, "journal.jsonl").stat()
    assert tuner.tune().outcome is Outcome.TUNED
    assert node.tuner().tune().outcome is Outcome.TUNED
    assert len(node.host.attempts) == written
    after = Path(node.folder, "journal.jsonl").stat()
    assert (after.st_mtime_ns, after.st_ino) == (stamp.st_mtime_ns, stamp.st_ino)


def test_no_endpoint_tunes_sysctls_only(node: Node) -> None:
    """Without a storage endpoint no link is touched, and the node is degraded."""
    node.config = replace(node.config, storage_endpoints=())
    report = node.tuner().tune()
    assert report.outcome is Outcome.DEGRADED
    assert report.reason is Reason.NO_STORAGE_ENDPOINT
    assert node.host.mtu("eth1") == 1500
    assert node.host.sysctls["net.ipv4.tcp_mtu_probing"] == "1"  # type: ignore[index]


def test_the_server_of_a_mount_is_an_endpoint(node: Node) -> None:
    """A mounted server needs no configuration: the kernel is asked for its route as well."""
    node.config = replace(node.config, storage_endpoints=())
    node.host.mounts = (mounted(source=f"{SERVER}:/m"),)
    assert node.tuner().tune().outcome is Outcome.TUNED
    assert node.host.mtu("eth1") == 9000


def test_mounts_can_be_left_out(node: Node) -> None:
    """With storage.mounts off, only what is configured counts."""
    node.config = replace(node.config, storage_endpoints=(), storage_mounts=False)
    node.host.mounts = (mounted(source=f"{SERVER}:/m"),)
    assert node.tuner().tune().reason is Reason.NO_STORAGE_ENDPOINT


def test_a_name_with_two_addresses_tunes_two_links(node: Node) -> None:
    """Every address of a name is an endpoint of its own."""
    node.host.add("eth2", addresses=("10.2.0.5",))
    node.host.route("10.2.0.10", "eth2")
    node.resolver.names["nfs.example"] = (SERVER, "10.2.0.10")
    node.serve("nfs.example")
    report = node.tuner().tune()
    assert report.link_mtus == {"eth1": 9000, "eth2": 9000}


def test_a_name_that_does_not_resolve_is_pending(node: Node) -> None:
    """It may resolve later: the gate waits, and nothing is raised for it."""
    node.serve("nfs.example")
    tuner = node.tuner()
    report = tuner.tune()
    assert report.outcome is Outcome.PENDING
    assert Reason.ENDPOINT_UNRESOLVED in reasons(report)
    node.resolver.names["nfs.example"] = (SERVER,)
    assert tuner.tune().outcome is Outcome.TUNED


def test_an_endpoint_without_a_route_is_pending(node: Node) -> None:
    """A route may come later."""
    node.serve("10.7.0.1")
    assert node.tuner().tune().reason is Reason.ENDPOINT_UNROUTED


def test_an_endpoint_on_the_node_itself_needs_no_link(node: Node) -> None:
    """What never leaves the node is not probed."""
    node.host.route("10.1.0.5", "lo", is_local=True)
    node.serve("10.1.0.5")
    report = node.tuner().tune()
    assert (report.outcome, report.proofs) == (Outcome.TUNED, ())


def test_the_endpoints_file_is_read_again(node: Node, tmp_path: Path) -> None:
    """A mounted ConfigMap may name servers while the agent runs."""
    listed = tmp_path / "endpoints"
    config = replace(node.config, storage_endpoints=(), storage_endpoints_file=str(listed))
    node.config = config
    tuner = node.tuner()
    waiting = tuner.tune()
    assert (waiting.outcome, waiting.reason) == (Outcome.PENDING, Reason.ENDPOINTS_FILE_MISSING)
    listed.write_text("# none so far\n")
    assert tuner.tune().reason is Reason.NO_STORAGE_ENDPOINT
    listed.write_text(f"{SERVER}  # models\n")
    assert tuner.tune().outcome is Outcome.TUNED


def test_a_missing_endpoints_file_is_asked_for_where_it_comes_from(
    node: Node, tmp_path: Path
) -> None:
    """The kubelet brings it late; once it is there nobody is asked any more."""
    listed = tmp_path / "endpoints"
    node.config = replace(node.config, storage_endpoints=(), storage_endpoints_file=str(listed))
    asked: list[Listed] = []

    def published() -> Listed:
        asked.append(Listed(((SERVER, 2049),), ()))
        return asked[-1]

    tools = replace(node.tools(node.config), listing=published)
    tuner = Tuner(node.config, tools, node.folder)
    assert tuner.tune().outcome is Outcome.TUNED
    count = len(asked)
    assert count > 0
    listed.write_text(f"{SERVER}\n")
    assert tuner.tune().outcome is Outcome.TUNED
    assert len(asked) == count


def test_a_missing_endpoints_file_is_not_waited_for_where_the_storage_is_known(
    node: Node, tmp_path: Path
) -> None:
    """A named server, or a named link, says what to tune: nobody is asked for more."""
    missing = str(tmp_path / "endpoints")
    named = replace(node.config, storage_endpoints_file=missing)
    asked: list[str] = []
    for config in (named, replace(named, storage_endpoints=(), links_include=("eth1",))):
        tools = replace(node.tools(config), listing=lambda: asked.append("asked"))
        assert Tuner(config, tools, node.folder).tune().outcome is Outcome.TUNED
    assert asked == []


def test_revert_gives_the_first_state(node: Node) -> None:
    """Every value of ours goes, and the journal with it."""
    first = str(node.host)
    node.tuner().tune()
    plan, findings = node.tuner().revert()
    assert findings == ()
    assert len(plan.changes) == len(node.host.writes) // 2
    assert str(node.host) == first
    assert list(Path(node.folder).iterdir()) == []


def test_revert_keeps_what_somebody_else_wrote(node: Node) -> None:
    """A value that is not ours is named and left alone."""
    node.tuner().tune()
    node.host.set_mtu("eth1", 9216)
    node.host.sysctls["net.ipv4.tcp_mtu_probing"] = "2"  # type: ignore[index]
    plan, _ = node.tuner().revert()
    assert node.host.mtu("eth1") == 9216
    assert node.host.sysctls["net.ipv4.tcp_mtu_probing"] == "2"  # type: ignore[index]
    assert {left.target for left in plan.left_alone} >= {"link/eth1/mtu"}


def test_verify_writes_nothing_and_tells_drift(node: Node) -> None:
    """An untouched node is not converged, a tuned one is, a drifted one is not."""
    assert node.tuner().verify().outcome is Outcome.FAILED
    assert node.host.attempts == []
    node.tuner().tune()
    assert node.tuner().verify().outcome is Outcome.TUNED
    node.host.set_mtu("eth1", 1500)
    assert node.tuner().verify().reason is Reason.NOT_CONVERGED


def test_repair_puts_drift_right_without_a_packet(node: Node) -> None:
    """The quick half of a pass writes back and asks nobody."""
    tuner = node.tuner()
    tuner.tune()
    node.prober.sent.clear()
    node.resolver.asked.clear()
    node.host.set_mtu("eth1", 1500)
    repair = tuner.repair()
    assert [change.target for change in repair.applied] == ["link/eth1/mtu"]
    assert node.host.mtu("eth1") == 9000
    assert node.prober.sent == []
    assert node.resolver.asked == []
