"""The storage link flaps while it is tuned and proven; a rival resets it every second."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_lab.caught import caught_probing
from tests.agent_lab.running import Agent, Watched, await_, watching
from tests.lab.lab import Lab

pytestmark = pytest.mark.lab
OFTEN = {"TUNEGATE_WATCH_PROBE_SECONDS": "1"}
FLAPS = 5
PORT_FLAP = ["ip link set st-node down", "ip link set st-node up"]
LINK_FLAP = [
    "ip link set eth1 down",
    "ip link set eth1 up",
    "ip route replace 10.71.0.0/24 via 10.70.0.1",
]


@pytest.fixture
def watched(nfs_world: Lab, tmp_path: Path) -> Iterator[Watched]:
    """Give the GPU node to watch."""
    with watching(nfs_world, tmp_path) as made:
        yield made


def flap(watched: Watched, where: str, pause_seconds: float = 0.0) -> None:
    """Take the storage link away and back several times: the switch's port, or the node's end."""
    for _ in range(FLAPS):
        if where == "port":
            watched.router.near.script(PORT_FLAP)
        else:
            watched.node.namespace.script(LINK_FLAP)
        time.sleep(pause_seconds)


def outcomes(agent: Agent) -> list[str]:
    """Return the outcome of each verdict so far."""
    return [str(line["outcome"]) for line in agent.said("Judged the node")]


def assert_tuned_again(watched: Watched, agent: Agent) -> None:
    """Wait for the verdict after the fault; no flap may have been taken for a path's limit."""
    watched.await_value("eth1", "9000")
    # the MTU stands before there is any verdict
    await_(lambda: outcomes(agent)[-1:] == ["tuned"], agent.process.log_text)
    assert set(outcomes(agent)) <= {"tuned", "pending"}, agent.process.log_text()
    assert "Traceback" not in agent.process.log_text()


def assert_undone(watched: Watched, agent: Agent) -> None:
    """End the agent and revert: the node has its very first values."""
    assert agent.end() == 0
    assert watched.node.revert() == 0
    assert watched.node.values() == watched.node.first


@pytest.mark.parametrize("where", ["port", "link"])
def test_a_link_that_flaps_in_the_middle_of_the_first_proof_is_tuned(
    watched: Watched, where: str
) -> None:
    """Five times down and up while the very first probe is under way."""
    agent = watched.run(OFTEN, tuned=False)
    with caught_probing(watched.node.namespace, agent.process):
        flap(watched, where)
    assert_tuned_again(watched, agent)
    assert_undone(watched, agent)


@pytest.mark.parametrize("where", ["port", "link"])
def test_a_link_that_flaps_while_drift_is_healed_is_tuned(watched: Watched, where: str) -> None:
    """The MTU is taken away, then the link, in the middle of the proof that follows the repair."""
    agent = watched.run(OFTEN)  # a busy machine may miss the first proof after the repair
    watched.node.namespace.set_mtu("eth1", 1500)
    with caught_probing(watched.node.namespace, agent.process):
        flap(watched, where)
        watched.node.namespace.set_mtu("eth1", 1500)
    assert_tuned_again(watched, agent)
    assert_undone(watched, agent)


@pytest.mark.parametrize("where", ["port", "link"])
def test_a_link_that_goes_on_flapping_is_tuned_when_it_stops(watched: Watched, where: str) -> None:
    """Probes, repairs and flaps meet as they like: nothing is left behind of it."""
    agent = watched.run(OFTEN, tuned=False)
    flap(watched, where, pause_seconds=0.4)
    assert_tuned_again(watched, agent)
    assert_undone(watched, agent)
