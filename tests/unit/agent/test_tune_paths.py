"""What a pass does when the path, the server or the gateway does not carry the full size."""

from dataclasses import replace
from errno import EOPNOTSUPP
from pathlib import Path

import pytest

from agent.ports import HostError
from agent.proving import MAX_FLAPS
from agent.state import (
    Address,
    Change,
    Endpoint,
    Outcome,
    Proof,
    Reason,
    Severity,
    Verdict,
)
from tests.fake_network import FakeProber, FakeServer
from tests.unit.agent.nodes import API_SERVER, GATEWAY, SERVER, Node, one_link, reasons


def test_a_good_path_is_raised_and_proven(node: Node) -> None:
    """The storage link and the sysctls are brought to what is wanted, nothing else is."""
    report = node.tuner().tune()
    assert report.outcome is Outcome.TUNED
    assert report.reason is Reason.TUNED
    assert report.findings == ()
    assert report.link_mtus == {"eth1": 9000}
    assert [proof.verdict for proof in report.proofs] == [Verdict.PASSED]
    assert str(node.host).splitlines() == [
        "lo: mtu 65536",
        "eth0: mtu 1500",
        "eth1: mtu 9000",
        "net.core.rmem_max = 16777216",
        "net.core.wmem_max = 16777216",
        "net.ipv4.tcp_rmem = 4096 131072 16777216",
        "net.ipv4.tcp_wmem = 4096 65536 16777216",
        "net.ipv4.tcp_mtu_probing = 1",
        "net.ipv4.tcp_window_scaling = 1",
    ]


@pytest.mark.parametrize(("up", "down"), [(4000, 65535), (65535, 4000)], ids=["up", "down"])
def test_a_black_hole_falls_back_to_what_passes(node: Node, up: int, down: int) -> None:
    """Whichever way it drops, the link gets the size that passes both ways."""
    server = node.prober.servers[SERVER]
    server.up_bytes, server.down_bytes = up, down
    report = node.tuner().tune()
    assert report.outcome is Outcome.DEGRADED
    assert report.reason is Reason.BLACK_HOLE
    assert node.host.mtu("eth1") == 4000
    assert report.link_mtus == {"eth1": 4000}
    assert report.proofs[0].passes_bytes == 4000


def test_connections_born_in_between_are_ended(node: Node) -> None:
    """They would stay dead: they are destroyed, above the size that is left."""
    node.prober.servers[SERVER].up_bytes = 4000
    node.tuner().tune()
    assert node.prober.ended == [((Address(SERVER),), 2049, 4000)]


def test_a_kernel_that_cannot_end_connections_is_named(node: Node) -> None:
    """Without SOCK_DESTROY the report says which mounts must go."""
    node.prober.servers[SERVER].up_bytes = 4000
    node.prober.cannot_end = HostError("sockets", EOPNOTSUPP, "Operation not supported")
    report = node.tuner().tune()
    (finding,) = [f for f in report.findings if f.reason is Reason.BLACK_HOLE]
    assert "unmounted" in finding.message
    assert "Operation not supported" in finding.message


def test_a_path_that_passes_nothing_large_gives_the_first_value_back(node: Node) -> None:
    """Below the first value no link goes, whatever the path says."""
    node.prober.servers[SERVER].up_bytes = 1400
    report = node.tuner().tune()
    assert node.host.mtu("eth1") == 1500
    assert report.outcome is Outcome.FAILED
    assert report.reason is Reason.BLACK_HOLE


def test_a_path_that_drops_even_small_segments_is_failed(node: Node) -> None:
    """A server that answers and carries nothing is not safe."""
    node.prober.servers[SERVER].up_bytes = 100
    report = node.tuner().tune()
    assert (report.outcome, node.host.mtu("eth1")) == (Outcome.FAILED, 1500)


def test_a_size_that_fails_the_second_proof_falls_to_the_first_value(node: Node) -> None:
    """When the path passes less the second time, there is no third try."""
    server = node.prober.servers[SERVER]
    server.up_bytes = 4000

    def shrink(change: Change) -> None:
        if change.after == "4000":
            server.up_bytes = 3000

    node.host.before_write = shrink
    node.tuner().tune()
    assert node.host.mtu("eth1") == 1500


def test_a_fallback_does_not_flap(node: Node) -> None:
    """A second pass, a restart and a repair keep the size that was found."""
    node.prober.servers[SERVER].up_bytes = 4000
    tuner = node.tuner()
    tuner.tune()
    written = len(node.host.attempts)
    assert tuner.tune().reason is Reason.BLACK_HOLE
    assert tuner.repair().applied == ()
    assert node.tuner().tune().reason is Reason.BLACK_HOLE
    assert len(node.host.attempts) == written


class RivalProber(FakeProber):
    """A network beside which somebody lowers the link in the middle of the first proof."""

    def prove(self, endpoint: Endpoint, wanted_bytes: int) -> Proof:
        """Lower the link, once, and return what the path shows then."""
        if not any(line.startswith("prove") for line in self.sent):
            self.host.set_mtu("eth1", 1514)
        return super().prove(endpoint, wanted_bytes)


def test_a_link_lowered_during_its_proof_is_no_black_hole(node: Node) -> None:
    """Somebody else's write says nothing of the path: nothing is remembered, drift is mended."""
    node.prober = RivalProber(node.host, {SERVER: FakeServer(pings=False)})
    tuner = node.tuner()
    report = tuner.tune()
    assert report.outcome is Outcome.PENDING
    assert Reason.PATH_UNPROVEN in reasons(report)
    assert [change.after for change in tuner.repair().applied] == ["9000"]
    assert tuner.tune().outcome is Outcome.TUNED


def test_a_link_that_flaps_during_its_proof_is_no_black_hole(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was lost with the link says nothing of the path: it is proven again, at full size."""
    prove, server = FakeProber.prove, node.serve(SERVER)

    def flap(prober: FakeProber, endpoint: Endpoint, wanted_bytes: int) -> Proof:
        proof = prove(prober, endpoint, wanted_bytes)
        link = node.host.named("eth1")
        if server.up_bytes < wanted_bytes:
            node.host.links[link.index] = replace(link, carrier_changes=link.carrier_changes + 2)
        return proof

    monkeypatch.setattr(FakeProber, "prove", flap)
    server.up_bytes = 1500
    tuner = node.tuner()
    assert tuner.tune().outcome is Outcome.PENDING
    server.up_bytes = 65535
    assert tuner.tune().outcome is Outcome.TUNED
    assert node.host.mtu("eth1") == 9000


def test_a_link_that_flaps_in_every_proof_is_held_to_what_passes_in_the_end(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the gate would open at a size that never passed, when the time for retries is over."""
    prove, server = FakeProber.prove, node.serve(SERVER)

    def flap(prober: FakeProber, endpoint: Endpoint, wanted_bytes: int) -> Proof:
        link = node.host.named("eth1")
        node.host.links[link.index] = replace(link, carrier_changes=link.carrier_changes + 2)
        return prove(prober, endpoint, wanted_bytes)

    monkeypatch.setattr(FakeProber, "prove", flap)
    server.up_bytes = 1500
    tuner = node.tuner()
    assert {tuner.tune().outcome for _ in range(MAX_FLAPS)} == {Outcome.PENDING}
    assert Reason.BLACK_HOLE in reasons(tuner.tune())
    assert node.host.mtu("eth1") == 1500


def test_asked_to_forget_the_full_size_is_tried_again(node: Node) -> None:
    """Once the path is mended, a person's word is enough."""
    server = node.prober.servers[SERVER]
    server.up_bytes = 4000
    tuner = node.tuner()
    tuner.tune()
    server.up_bytes = 65535
    tuner.forget()
    assert tuner.tune().outcome is Outcome.TUNED
    assert node.host.mtu("eth1") == 9000
    assert node.tuner().tune().outcome is Outcome.TUNED


def test_a_new_process_told_to_forget_tries_the_full_size(node: Node) -> None:
    """What ``apply`` does: the ceilings of the journal do not bind a person."""
    server = node.prober.servers[SERVER]
    server.up_bytes = 4000
    node.tuner().tune()
    server.up_bytes = 65535
    tuner = node.tuner()
    tuner.forget()
    assert tuner.tune().outcome is Outcome.TUNED
    assert node.host.mtu("eth1") == 9000


def test_verifying_beside_a_silent_server_is_pending(node: Node) -> None:
    """Nothing can be said of a path that nobody answers on, and nothing is sent to raise it."""
    node.prober.servers[SERVER].answers = False
    node.tuner().tune()
    assert node.tuner().verify().outcome is Outcome.PENDING


def test_other_settings_try_the_full_size_again(node: Node) -> None:
    """A ceiling found under other settings does not bind."""
    server = node.prober.servers[SERVER]
    server.up_bytes = 4000
    node.tuner().tune()
    server.up_bytes = 65535
    node.config = replace(node.config, mtu=8000)
    assert node.tuner().tune().outcome is Outcome.TUNED
    assert node.host.mtu("eth1") == 8000


def test_a_router_that_says_too_big_lowers_the_link(node: Node) -> None:
    """A path that is honestly smaller is used at its own size."""
    server = node.prober.servers[SERVER]
    server.up_bytes, server.has_hints = 4000, True
    report = node.tuner().tune()
    assert report.reason is Reason.PATH_BELOW_TARGET
    assert node.host.mtu("eth1") == 4000


def test_a_server_below_target_keeps_the_link_up(node: Node) -> None:
    """The MSS keeps such a pair safe: the server is named, the link stays."""
    node.prober.servers[SERVER].mtu_bytes = 1500
    report = node.tuner().tune()
    assert report.outcome is Outcome.DEGRADED
    assert report.reason is Reason.SERVER_BELOW_TARGET
    assert node.host.mtu("eth1") == 9000


def test_no_ping_is_worth_a_note(node: Node) -> None:
    """Where echoes are not answered, the way back stays unshown, and the node is tuned."""
    node.prober.servers[SERVER].pings = False
    report = node.tuner().tune()
    assert report.outcome is Outcome.TUNED
    assert reasons(report) == {Reason.PATH_UNPROVEN}


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        ("no answer within 2 s", Reason.ENDPOINT_SILENT),
        ("connection refused", Reason.ENDPOINT_REFUSED),
    ],
)
def test_a_silent_server_raises_nothing(node: Node, detail: str, reason: Reason) -> None:
    """What cannot be proven is not raised, and is neither well nor too small."""
    server = node.prober.servers[SERVER]
    server.answers, server.detail = False, detail
    tuner = node.tuner()
    report = tuner.tune()
    assert report.outcome is Outcome.PENDING
    assert report.reason is reason
    assert node.host.mtu("eth1") == 1500
    assert tuner.repair().applied == ()
    assert node.host.mtu("eth1") == 1500
    server.answers = True
    assert tuner.tune().outcome is Outcome.TUNED


def test_a_tuned_link_stays_up_when_its_server_goes_silent(node: Node) -> None:
    """A restart while the server is away flaps nothing, and drift is still repaired."""
    node.tuner().tune()
    node.prober.servers[SERVER].answers = False
    tuner = node.tuner()
    assert tuner.tune().outcome is Outcome.PENDING
    assert node.host.mtu("eth1") == 9000
    node.host.set_mtu("eth1", 1500)
    tuner.repair()
    assert node.host.mtu("eth1") == 9000


def test_one_answer_on_a_link_is_enough_to_raise_it(node: Node) -> None:
    """The silent one keeps the gate closed, the other proves the link."""
    node.host.route("10.1.0.11", "eth1")
    node.serve(SERVER, "10.1.0.11")
    node.prober.servers["10.1.0.11"].answers = False
    report = node.tuner().tune()
    assert (report.outcome, node.host.mtu("eth1")) == (Outcome.PENDING, 9000)


def test_each_link_has_its_own_size(node: Node) -> None:
    """Two servers on two links: the black hole of one does not lower the other."""
    node.host.add("eth2", addresses=("10.2.0.5",))
    node.host.route("10.2.0.10", "eth2")
    node.serve(SERVER, "10.2.0.10")
    node.prober.servers["10.2.0.10"].up_bytes = 4000
    report = node.tuner().tune()
    assert report.link_mtus == {"eth1": 9000, "eth2": 4000}


def test_a_single_link_keeps_its_gateway_and_api_server(single: Node) -> None:
    """What answered before answers after, so the link stays up."""
    report = single.tuner().tune()
    assert (report.outcome, single.host.mtu("eth0")) == (Outcome.TUNED, 9000)
    assert single.prober.sent.count(f"gateway {GATEWAY}") == 2


def test_a_link_local_gateway_is_asked_on_its_link(single: Node) -> None:
    """An IPv6 router's usual address means nothing without its link."""
    single.host.default("fe80::1", "eth0")
    assert single.tuner().tune().outcome is Outcome.TUNED
    assert single.prober.sent.count("gateway fe80::1%eth0") == 2


@pytest.mark.parametrize("peer", [GATEWAY, API_SERVER[0]])
def test_a_lost_baseline_is_rolled_back(single: Node, peer: str) -> None:
    """A gateway or API server that goes silent gets the first MTU back, for ever."""
    single.prober.lost_above[peer] = 4000
    report = single.tuner().tune()
    assert single.host.mtu("eth0") == 1500
    assert report.outcome is Outcome.DEGRADED
    assert report.reason is Reason.BASELINE_LOST
    assert list(report.applied) == single.host.writes
    written = len(single.host.attempts)
    assert single.tuner().tune().reason is Reason.BASELINE_LOST
    assert len(single.host.attempts) == written


def test_a_baseline_that_stays_lost_is_a_failure(single: Node) -> None:
    """When even the first MTU does not bring it back, the node is not safe."""

    def unplug(change: Change) -> None:
        if change.target == "link/eth0/mtu":
            single.prober.silent.add(GATEWAY)

    single.host.before_write = unplug
    report = single.tuner().tune()
    assert single.host.mtu("eth0") == 1500
    assert Reason.BASELINE_LOST in reasons(report, Severity.FAILED)


def test_what_was_silent_before_is_no_baseline(single: Node) -> None:
    """A gateway that never answered echoes cannot be lost."""
    single.prober.silent |= {GATEWAY, API_SERVER[0]}
    assert single.tuner().tune().outcome is Outcome.TUNED


def test_a_vlan_over_the_default_route_guards_the_baseline(tmp_path: Path) -> None:
    """Raising a parent for its vlan raises the link of the default route: it must keep working."""
    node = one_link(str(tmp_path))
    node.host.add("vlan7", kind="vlan", on="eth0", addresses=("10.7.0.5",))
    node.host.route("10.7.0.10", "vlan7")
    node.serve("10.7.0.10")
    node.prober.lost_above[GATEWAY] = 4000
    report = node.tuner().tune()
    assert report.reason is Reason.BASELINE_LOST
    assert (node.host.mtu("eth0"), node.host.mtu("vlan7")) == (1500, 1500)


def test_an_api_server_on_the_storage_link_is_a_baseline(node: Node) -> None:
    """Without a default route on the link, the API server behind it counts all the same."""
    node.api_server = API_SERVER
    node.host.route(API_SERVER[0], "eth1")
    node.prober.lost_above[API_SERVER[0]] = 4000
    assert node.tuner().tune().reason is Reason.BASELINE_LOST
    assert node.host.mtu("eth1") == 1500


def test_falling_back_on_a_parent_ends_the_connections_of_its_vlans(node: Node) -> None:
    """A vlan lowered with its parent leaves no connection behind that expects more."""
    node.host.add("vlan7", kind="vlan", on="eth1", addresses=("10.7.0.5",))
    node.host.route("10.7.0.10", "vlan7")
    node.serve(SERVER, "10.7.0.10")
    node.prober.servers[SERVER].up_bytes = 4000
    node.tuner().tune()
    assert (node.host.mtu("eth1"), node.host.mtu("vlan7")) == (4000, 4000)
    assert {address for ended, _, _ in node.prober.ended for address in ended} == {
        Address(SERVER),
        Address("10.7.0.10"),
    }
