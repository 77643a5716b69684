"""The label ``tunegate.io/mode`` on a real Node: obeyed at the start and while running."""

import json

import pytest

from common.names import ANNOTATION_STATE, LABEL_MODE, LABEL_MTU, LABEL_NETWORK
from tests.e2e.harness import NODE_PATH, Agent, Stage, await_, condition, gates, label, verdict
from tests.lab.api import MERGE_PATCH, Object

pytestmark = pytest.mark.api


def switch(stage: Stage, mode: str | None) -> None:
    """Label the Node as ``kubectl label node`` does; None takes the label away."""
    stage.admin.patch(NODE_PATH, {"metadata": {"labels": {LABEL_MODE: mode}}}, MERGE_PATCH)


def is_tuned(node: Object) -> bool:
    """Return whether the Node says that all is well and open."""
    return verdict(node) == ("tuned", "True", "Tuned") and not gates(node)


def wait_held(stage: Stage, reason: str) -> Object:
    """Wait for a Node that carries no verdict and says why; return it."""
    return stage.wait(lambda node: verdict(node) == (None, "Unknown", reason))


def writes(agent: Agent) -> list[Object]:
    """Return what the agent logged of writes to the host."""
    told = ("Applied change", "Repaired drift", "Put first value back")
    return [line for line in agent.lines() if line["message"] in told]


def test_an_observed_node_is_told_what_would_be_done_and_stays_as_it_is(stage: Stage) -> None:
    """The very first pass obeys; the gate opens by policy, since a person decided."""
    stage.join()
    switch(stage, "observe")
    before = {key: stage.host.sysctl(key) for key in ("net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem")}
    agent = stage.start()
    node = wait_held(stage, "Observing")
    assert "link/eth1/mtu 1500 -> 9000" in condition(node)["message"]
    assert stage.host.mtu("eth1") == 1500
    assert {key: stage.host.sysctl(key) for key in before} == before
    assert not writes(agent)
    stage.wait(lambda node: not gates(node))
    await_(lambda: stage.events("Observing"), "the event")
    switch(stage, None)
    stage.wait(is_tuned)
    assert stage.host.mtu("eth1") == 9000


def test_standby_can_keep_the_gate_closed(stage: Stage) -> None:
    """``gate.onStandby: hold`` is for those who want no pod on an untuned node whoever said so."""
    stage.join()
    switch(stage, "off")
    stage.start(gate_on_standby="hold")
    wait_held(stage, "StandingBy")
    assert gates(stage.quiet())


def test_off_puts_first_values_back_and_stands_by_without_a_restart(stage: Stage) -> None:
    """Labels and annotation go; an MTU that somebody sets then is nobody's business."""
    stage.join()
    first = stage.host.sysctl("net.ipv4.tcp_wmem")
    agent = stage.start()
    stage.wait(is_tuned)
    switch(stage, "off")
    node = wait_held(stage, "StandingBy")
    assert "link/eth1/mtu 9000 -> 1500" in condition(node)["message"]
    assert (stage.host.mtu("eth1"), stage.host.sysctl("net.ipv4.tcp_wmem")) == (1500, first)
    assert label(node, LABEL_NETWORK) is label(node, LABEL_MTU) is None
    record = json.loads(node["metadata"]["annotations"][ANNOTATION_STATE])
    assert (record["outcome"], record["links"], record["beat"]) == ("", {}, 3600)
    stage.host.set_mtu("eth1", 1400)
    stage.quiet()
    assert stage.host.mtu("eth1") == 1400
    switch(stage, "apply")
    stage.wait(is_tuned)
    assert agent.process.poll() is None
    assert not stage.events("DriftRepaired")


def test_off_names_what_it_leaves_to_somebody_else(stage: Stage) -> None:
    """A value that is not ours any more is not put back, and the Node says so."""
    stage.join()
    agent = stage.start(watch_poll_seconds=3600)
    stage.wait(is_tuned)
    stage.host.set_sysctl("net.ipv4.tcp_wmem", "4096 65536 20000000")
    switch(stage, "off")
    message = condition(wait_held(stage, "StandingBy"))["message"]
    assert "left sysctl/net.ipv4.tcp_wmem at 4096 65536 20000000: somebody else" in message
    assert stage.host.sysctl("net.ipv4.tcp_wmem").split()[-1] == "20000000"
    assert stage.host.mtu("eth1") == 1500
    assert agent.process.poll() is None


def test_a_word_that_is_no_mode_only_observes(stage: Stage) -> None:
    """A typing mistake of somebody who wanted less must not mean more."""
    stage.join()
    switch(stage, "Off")
    stage.start()
    node = wait_held(stage, "Observing")
    assert "tunegate.io/mode=Off is none of apply, observe, off" in condition(node)["message"]
    assert stage.host.mtu("eth1") == 1500


def test_a_mode_set_while_no_agent_ran_is_obeyed_at_its_start(stage: Stage) -> None:
    """What an earlier agent remembered of the Node does not outweigh what it says now."""
    stage.join()
    earlier = stage.start()
    stage.wait(is_tuned)
    earlier.process.kill()
    switch(stage, "off")
    agent = stage.start()
    wait_held(stage, "StandingBy")
    assert stage.host.mtu("eth1") == 1500
    assert {line["message"] for line in writes(agent)} == {"Put first value back"}


def test_a_heartbeat_moves_only_its_own_time(stage: Stage) -> None:
    """The condition's age means something though nothing changes."""
    stage.join()
    stage.start(node_heartbeat_seconds=2)
    first = condition(stage.wait(is_tuned))
    later = condition(
        stage.wait(lambda node: condition(node)["lastHeartbeatTime"] > first["lastHeartbeatTime"])
    )
    assert later | {"lastHeartbeatTime": ""} == first | {"lastHeartbeatTime": ""}
