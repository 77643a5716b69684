"""What a pass does with connections that were opened before the MTU was raised."""

from dataclasses import replace
from errno import EIO, ENOENT, EOPNOTSUPP, EPERM

import pytest

from agent.config import AgentConfig
from agent.ending import LOOKS, end_between_requests
from agent.ports import HostError
from agent.state import Address, Endpoint, Finding, Outcome, Proof, Reason, Report, Severity
from tests.fake_network import FakeProber, FakeServer
from tests.fakes import mounted
from tests.unit.agent.nodes import SERVER, Node, reasons
from tests.unit.agent.sockets import opened, read

SERVER_V6 = "fd01::10"
HARD_V3 = "vers=3,hard,proto=tcp"
SOFT = "vers=4.2,soft,proto=tcp"
POD = "/var/lib/kubelet/pods/0a1b/volumes/kubernetes.io~nfs/weights"


@pytest.fixture
def mounts(node: Node) -> Node:
    """Give a node whose storage was mounted, and used, at MTU 1500."""
    node.host.mounts = (mounted(), mounted("/mnt/logs", f"{SERVER}:/logs", device="0:51"))
    node.prober.opened = [opened(), opened()]
    return node


def with_setting(node: Node, policy: str) -> AgentConfig:
    """Return the node's settings with this policy."""
    return replace(node.config, connections_early=policy)


def found(report: Report, reason: Reason) -> Finding:
    """Return the one finding of this reason."""
    (finding,) = [item for item in report.findings if item.reason is reason]
    return finding


def test_early_connections_are_ended_once_the_path_is_proven(mounts: Node) -> None:
    """Those of every mount of the server, and the node is tuned."""
    early = list(mounts.prober.opened)
    report = mounts.tuner().tune(heals=True)
    assert mounts.prober.destroyed == early
    assert report.outcome is Outcome.TUNED
    assert (report.early_connections, report.healed_connections) == (0, 2)
    finding = found(report, Reason.CONNECTIONS_HEALED)
    assert finding.severity is Severity.NOTE
    assert "ended 2 connections" in finding.message
    assert "version 4.2 at /mnt/models, /mnt/logs" in finding.message
    sent = mounts.prober.sent
    assert sent.index(f"prove {SERVER} 9000") < sent.index("list")


def test_a_second_pass_finds_nothing_to_heal(mounts: Node) -> None:
    """Reconnected at full size, the connections are as they should be."""
    mounts.prober.reopens = lambda old: opened(old.remote, 9000)
    tuner = mounts.tuner()
    assert "2 are open again" in found(tuner.tune(heals=True), Reason.CONNECTIONS_HEALED).message
    report = tuner.tune(heals=True)
    assert report.findings == ()
    assert len(mounts.prober.destroyed) == 2


def test_without_leave_they_are_only_reported(mounts: Node) -> None:
    """After the gate a pass ends nothing; it says what to do and where."""
    report = mounts.tuner().tune()
    assert mounts.prober.destroyed == []
    assert (report.outcome, report.reason) == (Outcome.DEGRADED, Reason.EARLY_CONNECTION)
    assert (report.early_connections, report.healed_connections) == (2, 0)
    message = found(report, Reason.EARLY_CONNECTION).message
    for words in (
        *("2 of 2 connections", "at most 1448 bytes", "where 8948 would pass", "SIGHUP"),
        *("unmount every mount of this server and version", "/mnt/models, /mnt/logs"),
    ):
        assert words in message


def test_verify_ends_nothing(mounts: Node) -> None:
    """It only looks."""
    mounts.tuner().tune()
    report = mounts.tuner().verify()
    assert report.early_connections == 2
    assert mounts.prober.destroyed == []


def test_policy_report_is_obeyed(mounts: Node) -> None:
    """A person's word, also where a pass might heal."""
    mounts.config = with_setting(mounts, "report")
    report = mounts.tuner().tune(heals=True)
    assert mounts.prober.destroyed == []
    assert "connections.early is report" in found(report, Reason.EARLY_CONNECTION).message


def test_one_soft_mount_keeps_the_servers_connections_alive(mounts: Node) -> None:
    """A soft request may fail, and nothing tells whose a connection is."""
    soft = mounted("/mnt/scratch", f"{SERVER}:/scratch", SOFT, "0:52")
    mounts.host.mounts += (soft,)
    report = mounts.tuner().tune(heals=True)
    assert mounts.prober.destroyed == []
    assert "soft mount at /mnt/scratch" in found(report, Reason.EARLY_CONNECTION).message


def test_a_soft_mount_of_another_server_is_no_obstacle(mounts: Node) -> None:
    """Connections of two servers are told apart."""
    mounts.host.mounts += (mounted("/mnt/other", "10.1.0.11:/other", SOFT, "0:52"),)
    mounts.host.route("10.1.0.11", "eth1")
    mounts.prober.opened.append(opened("10.1.0.11"))
    report = mounts.tuner().tune(heals=True)
    assert {item.remote for item in mounts.prober.destroyed} == {SERVER}
    assert found(report, Reason.EARLY_CONNECTION).target == "10.1.0.11"


def test_an_unknown_programs_connections_are_left_alone(mounts: Node) -> None:
    """No mount of that server: whatever it is, it is not ours to end."""
    mounts.host.mounts = (mounted("/mnt/other", "10.1.0.11:/other"),)
    report = mounts.tuner().tune(heals=True)
    assert mounts.prober.destroyed == []
    finding = found(report, Reason.EARLY_CONNECTION)
    assert finding.severity is Severity.NOTE
    assert "another program's" in finding.message


def test_another_users_connections_are_left_alone(mounts: Node) -> None:
    """The kernel's own NFS connections are root's."""
    mine = opened()
    mounts.prober.opened = [opened(uid=1000), mine]
    report = mounts.tuner().tune(heals=True)
    assert mounts.prober.destroyed == [mine]
    assert found(report, Reason.EARLY_CONNECTION).severity is Severity.NOTE


@pytest.mark.parametrize("silent", [True, False])
def test_nothing_is_healed_towards_an_unproven_path(mounts: Node, *, silent: bool) -> None:
    """A small connection that works is better than a large one that may not."""
    server = mounts.prober.servers[SERVER]
    if silent:
        server.answers = False
    else:
        server.pings = False
    report = mounts.tuner().tune(heals=True)
    assert mounts.prober.destroyed == []
    assert (Reason.EARLY_CONNECTION in reasons(report)) is not silent


def test_large_segments_that_arrive_prove_the_way_back(mounts: Node) -> None:
    """Where no echo is answered, what a mount really reads is the better proof."""
    mounts.prober.servers[SERVER].pings = False
    mounts.prober.opened.append(read(opened(mtu=9000), 1 << 20, 9000))
    report = mounts.tuner().tune(heals=True)
    assert len(mounts.prober.destroyed) == 2
    assert report.proofs[0].way_back == "reads"
    assert Reason.PATH_UNPROVEN not in reasons(report)


def test_a_lost_echo_is_tried_again_before_nothing_is_healed(
    mounts: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first proof has no time to wait for echoes; a heal is worth another."""
    prove, echoes = mounts.prober.prove, iter((False, False, True))

    def flaky(endpoint: Endpoint, wanted_bytes: int) -> Proof:
        mounts.prober.servers[SERVER].pings = next(echoes)
        return prove(endpoint, wanted_bytes)

    monkeypatch.setattr(FakeProber, "prove", lambda _self, *asked: flaky(*asked))
    report = mounts.tuner().tune(heals=True)
    assert len(mounts.prober.destroyed) == 2
    assert report.proofs[0].way_back == "icmp"
    assert (report.outcome, Reason.PATH_UNPROVEN in reasons(report)) == (Outcome.TUNED, False)


def test_a_busy_connection_ends_between_two_requests(mounts: Node) -> None:
    """A request that is under way may be repeated only after the mount's timeo, 60 s."""
    busy = opened(unacked=1)
    mounts.prober.opened = [busy]
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            answered = replace(busy.info, unacked=0, received_ago_seconds=0.0)
            mounts.prober.opened = [replace(busy, info=answered)]
        assert not mounts.prober.destroyed

    assert end_between_requests(mounts.prober, [busy], sleep) == 1
    assert len(looks) == 3


def test_a_connection_that_is_never_quiet_ends_all_the_same(mounts: Node) -> None:
    """Half the speed for ever is worse than a request that waits."""
    busy = opened(sent_ago_seconds=0.0, received_ago_seconds=0.5)
    mounts.prober.opened = [busy]
    looks: list[float] = []
    assert end_between_requests(mounts.prober, [busy], looks.append) == 1
    assert len(looks) == LOOKS


def test_a_connection_that_is_gone_by_itself_is_not_counted(mounts: Node) -> None:
    """Its owner closed it meanwhile."""
    assert end_between_requests(mounts.prober, [opened()], lambda _: None) == 0


def test_a_lowered_link_is_what_counts(mounts: Node) -> None:
    """After a fall-back to 1500, connections opened at 1500 are as good as they get."""
    mounts.prober.servers[SERVER].up_bytes = 1500
    report = mounts.tuner().tune(heals=True)
    assert mounts.prober.destroyed == []
    assert Reason.EARLY_CONNECTION not in reasons(report)


def test_a_server_with_a_small_mtu_bounds_what_is_early(mounts: Node) -> None:
    """It would send no larger segments to a new connection either."""
    mounts.prober.servers[SERVER].mtu_bytes = 1500
    report = mounts.tuner().tune(heals=True)
    assert mounts.prober.destroyed == []
    assert reasons(report) == {Reason.SERVER_BELOW_TARGET}


def test_a_learned_route_mtu_bounds_what_is_early(mounts: Node) -> None:
    """A new connection would announce no more than its route allows."""
    address = Address(SERVER)
    mounts.host.routes[address] = replace(mounts.host.routes[address], mtu_bytes=1500)
    mounts.tuner().tune(heals=True)
    assert mounts.prober.destroyed == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (EOPNOTSUPP, "without CONFIG_INET_DIAG_DESTROY"),
        (EPERM, "lacks CAP_NET_ADMIN"),
        (EIO, "the kernel's own words"),
    ],
)
def test_a_refusal_names_cause_cure_and_places(mounts: Node, code: int, words: str) -> None:
    """Mount points, and the pods whose volumes they are."""
    mounts.host.mounts += (mounted(POD, f"{SERVER}:/weights", HARD_V3, "0:53"),)
    mounts.prober.cannot_end = HostError("connections", code, "the kernel's own words")
    report = mounts.tuner().tune(heals=True)
    assert (report.outcome, report.reason) == (Outcome.DEGRADED, Reason.EARLY_CONNECTION)
    message = found(report, Reason.EARLY_CONNECTION).message
    assert words in message
    assert "unmount every mount" in message
    assert "a remount does not help" in message
    assert "version 3 at volume weights of pod 0a1b; version 4.2 at /mnt/models" in message
    assert "SIGHUP" not in message


def test_a_connection_that_comes_back_small_is_not_ended_again(mounts: Node) -> None:
    """Something else bounds it: said once, and left alone until the MTU is another."""
    mounts.prober.reopens = lambda old: opened(old.remote)
    tuner = mounts.tuner()
    for _ in range(2):
        report = tuner.tune(heals=True)
        assert "ip route get" in found(report, Reason.EARLY_CONNECTION).message
    assert len(mounts.prober.destroyed) == 2
    assert report.early_connections == 2


def test_ipv6_is_healed_too(mounts: Node) -> None:
    """Twenty bytes more of header are no early connection."""
    mounts.host.mounts = (mounted(source=f"[{SERVER_V6}]:/models"),)
    mounts.host.route(SERVER_V6, "eth1")
    early, good = opened(SERVER_V6), opened(SERVER_V6, 9000)
    mounts.prober.opened = [early, good]
    mounts.prober.servers[SERVER_V6] = FakeServer()
    mounts.tuner().tune(heals=True)
    assert mounts.prober.destroyed == [early]


def test_no_connection_is_no_fault(mounts: Node) -> None:
    """An idle NFSv3 mount has none, nor has one made in another network namespace."""
    mounts.prober.opened = []
    report = mounts.tuner().tune(heals=True)
    assert report.findings == ()
    assert report.early_connections == 0


def test_connections_small_for_writes_only_are_a_note(mounts: Node) -> None:
    """The server announced 1500 when they were opened; reads are as large as they get."""
    mounts.prober.opened = [opened(mtu=9000, peer_mtu=1500)]
    report = mounts.tuner().tune(heals=True)
    assert report.outcome is Outcome.TUNED
    finding = found(report, Reason.EARLY_CONNECTION)
    assert (finding.severity, report.early_connections) == (Severity.NOTE, 0)
    assert "send at most 1448 bytes" in finding.message


def test_reads_that_arrive_small_are_found(mounts: Node) -> None:
    """Announced large, sent small, in bulk: somebody rewrites the MSS on the way."""
    mounts.prober.opened = [read(opened(mtu=9000), 1 << 30, 1500)]
    report = mounts.tuner().tune(heals=True)
    assert mounts.prober.destroyed == []
    assert (report.outcome, report.reason) == (Outcome.DEGRADED, Reason.SEGMENTS_CLAMPED)
    assert "1448 bytes a segment though 8948" in found(report, Reason.SEGMENTS_CLAMPED).message


@pytest.mark.parametrize("is_silent", [True, False])
def test_a_kernel_that_cannot_list_is_named(mounts: Node, *, is_silent: bool) -> None:
    """With an error or with silence; the node is not worse for it."""
    mounts.prober.opened = []
    if is_silent:
        mounts.prober.unlisted = 4
    else:
        mounts.prober.cannot_list = HostError("connections", ENOENT, "tcp_diag is missing")
    report = mounts.tuner().tune(heals=True)
    finding = found(report, Reason.CONNECTIONS_UNREADABLE)
    assert (report.outcome, finding.severity) == (Outcome.TUNED, Severity.NOTE)
    assert ("4 fewer" if is_silent else "tcp_diag is missing") in finding.message


def test_a_fresh_node_does_not_even_look(node: Node) -> None:
    """Nothing is mounted: the way to the open gate stays as short as it was."""
    node.tuner().tune(heals=True)
    assert "list" not in node.prober.sent


def test_a_roll_back_ends_what_was_born_in_between_for_every_mount(mounts: Node) -> None:
    """Servers of mounts too, also where they are no endpoints, and of both families."""
    mounts.config = replace(mounts.config, storage_mounts=False)
    mounts.host.mounts += (mounted("/mnt/six", f"[{SERVER_V6}]:/six", device="0:54"),)
    mounts.host.route(SERVER_V6, "eth1")
    mounts.prober.servers[SERVER].up_bytes = 4000
    mounts.tuner().tune(heals=True)
    ((remotes, port, above),) = mounts.prober.ended
    assert (set(remotes), port, above) == ({SERVER, SERVER_V6}, 2049, 4000)
