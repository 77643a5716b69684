"""A link that comes to carry storage in the middle of a pass is left until it was asked."""

import pytest

from agent.state import Endpoint, Outcome, Proof, Reason
from agent.tune import Tuner
from tests.fake_network import FakeProber, FakeServer
from tests.unit.agent.nodes import LATE, Node, add_network, reasons


def tuned(node: Node) -> Tuner:
    """Return the tuner of a node that had its first pass, and has a second network by then."""
    tuner = node.tuner()
    assert tuner.tune().outcome is Outcome.TUNED
    add_network(node, FakeServer(up_bytes=1500))
    return tuner


def mount(node: Node, tuner: Tuner) -> None:
    """Mount over the second network, as its watch sees at once."""
    node.host.mount("0:60", source=f"{LATE}:/models")
    assert [change.target for change in tuner.tend_mounts()] == ["readahead/0:60"]


def test_a_mount_between_look_and_write_grows_no_link_that_was_not_asked(node: Node) -> None:
    """What else works over it must be asked before: that is the next pass's, which proves it."""
    tuner = tuned(node)
    node.host.set_mtu("eth1", 1500)
    report = tuner.tune(before_write=lambda: mount(node, tuner))
    assert (report.outcome, report.reason) == (Outcome.PENDING, Reason.NOT_CONVERGED)
    assert (node.host.mtu("eth1"), node.host.mtu("eth2")) == (9000, 1500)
    assert Reason.BLACK_HOLE in reasons(tuner.tune())
    assert node.host.mtu("eth2") == 1500


def test_a_mount_in_the_middle_of_a_fall_back_grows_no_link_unproven(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass that lowers one link raises no other: nobody would prove it before the gate opens."""
    tuner = tuned(node)
    prove = FakeProber.prove
    begun: list[Endpoint] = []

    def proving(prober: FakeProber, endpoint: Endpoint, wanted_bytes: int) -> Proof:
        if not begun:
            begun.append(endpoint)
            mount(node, tuner)
        return prove(prober, endpoint, wanted_bytes)

    monkeypatch.setattr(FakeProber, "prove", proving)
    node.prober.servers["10.1.0.10"].up_bytes = 4000
    report = tuner.tune()
    assert report.outcome is Outcome.PENDING
    assert "link/eth2/mtu" in {finding.target for finding in report.findings}
    assert (node.host.mtu("eth1"), node.host.mtu("eth2")) == (4000, 1500)
