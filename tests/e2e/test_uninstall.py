"""``tunegate-agent uninstall`` on a tuned node: the host as it was, nothing of ours on its Node."""

import json
import signal

import pytest

from common.names import ANNOTATION_STATE, LABEL_MODE, LABEL_MTU, LABEL_NETWORK
from tests.e2e.harness import (
    NODE,
    NODE_PATH,
    PROGRAM,
    Agent,
    Stage,
    condition,
    gates,
    label,
    taint,
    taints,
    verdict,
)
from tests.lab.api import MERGE_PATCH, Object

pytestmark = pytest.mark.api
FOREIGN = taint("nvidia.com/gpu")


def tuned(stage: Stage) -> Agent:
    """Have the node tuned by an agent."""
    agent = stage.start()
    stage.wait(lambda node: verdict(node) == ("tuned", "True", "Tuned") and not gates(node))
    return agent


def assert_clean(node: Object) -> None:
    """Hold that nothing of ours is on the Node."""
    assert gates(node) == set()
    assert label(node, LABEL_NETWORK) is label(node, LABEL_MTU) is None
    assert ANNOTATION_STATE not in node["metadata"].get("annotations", {})
    assert condition(node) == {}


def test_uninstall_leaves_nothing_but_what_is_not_ours(stage: Stage) -> None:
    """Others' taints, labels and conditions stay; a taint that came back after the agent goes."""
    stage.join(more_taints=(FOREIGN,))
    first = stage.host.sysctl("net.ipv4.tcp_wmem")
    agent = tuned(stage)
    stage.admin.patch(NODE_PATH, {"metadata": {"labels": {LABEL_MODE: "apply"}}}, MERGE_PATCH)
    agent.process.kill()
    stage.add_taint("node.digitalocean.com/network-not-tuned")
    done = stage.host.run([PROGRAM, "uninstall"], env=stage.environment(), check=False)
    assert done.returncode == 0, done.stderr
    assert "link/eth1/mtu" in done.stdout or "eth1" in done.stdout
    assert "taints, labels, condition and annotation are gone" in done.stdout
    node = stage.node()
    assert_clean(node)
    assert (FOREIGN["key"], FOREIGN["effect"]) in taints(node)
    assert label(node, LABEL_MODE) == "apply"
    assert "Ready" in {one["type"] for one in node["status"]["conditions"]}
    assert (stage.host.mtu("eth1"), stage.host.sysctl("net.ipv4.tcp_wmem")) == (1500, first)
    again = stage.host.run(
        [PROGRAM, "uninstall", "--output", "json"], env=stage.environment(), check=False
    )
    assert again.returncode == 0, again.stderr
    said = json.loads(again.stdout)
    assert (said["reverted"], said["node"]["cleared"]) == ([], True)


def test_uninstall_waits_for_an_agent_that_is_ending(stage: Stage) -> None:
    """Helm deletes the DaemonSet and starts the other: they meet."""
    stage.join()
    agent = tuned(stage)
    ending = stage.host.spawn("uninstall", [PROGRAM, "uninstall"], stage.environment())
    try:
        stage.quiet()
        assert ending.poll() is None
        assert stage.host.mtu("eth1") == 9000
        agent.process.send_signal(signal.SIGTERM)
        assert ending.wait(60) == 0
    finally:
        ending.kill()
    assert_clean(stage.node())
    assert stage.host.mtu("eth1") == 1500


def test_a_node_that_cannot_be_cleared_is_said_and_the_host_reverted(stage: Stage) -> None:
    """Without the API server's address the host half is done, the other half is named."""
    stage.join()
    tuned(stage).process.kill()
    environment = stage.environment() | {"TUNEGATE_TOKEN_FILE": "/nonexistent/token"}
    done = stage.host.run([PROGRAM, "uninstall"], env=environment, check=False)
    assert done.returncode == 1
    assert "the Node was not cleared" in done.stdout
    assert stage.host.mtu("eth1") == 1500


def test_a_revert_beside_a_running_agent_names_the_switch(stage: Stage) -> None:
    """It would only be repaired again: the person is told what to do instead."""
    stage.join()
    tuned(stage)
    done = stage.host.run([PROGRAM, "revert"], env=stage.environment(), check=False)
    assert done.returncode == 1
    assert "tunegate.io/mode=off" in done.stderr
    assert stage.host.mtu("eth1") == 9000


def test_uninstall_stays_until_it_is_told_to_end(stage: Stage) -> None:
    """As a DaemonSet's container: done means clean, not gone; SIGTERM ends it with its result."""
    stage.join()
    tuned(stage).process.kill()
    staying = stage.host.spawn("uninstall", [PROGRAM, "uninstall", "--stay"], stage.environment())
    try:
        stage.wait(lambda node: not condition(node))
        assert_clean(stage.quiet())
        assert staying.poll() is None
        staying.send_signal(signal.SIGTERM)
        assert staying.wait(60) == 0
    finally:
        staying.kill()


def test_a_journal_that_cannot_be_read_keeps_no_node_from_being_cleared(stage: Stage) -> None:
    """The host half is named as failed; the Node must not go on promising a tuned network."""
    stage.join()
    tuned(stage).process.kill()
    journal = stage.lab.agent_folder(NODE) / "state" / "journal.jsonl"
    kept = journal.read_bytes()
    journal.unlink()
    journal.mkdir()
    done = stage.host.run([PROGRAM, "uninstall"], env=stage.environment(), check=False)
    journal.rmdir()
    journal.write_bytes(kept)
    assert done.returncode == 1, done.stdout
    assert "journal.jsonl" in done.stdout
    assert_clean(stage.node())
