"""``tunegate-agent doctor`` beside a real Node: one request, and what the Node says of itself."""

import json
from typing import Any

import pytest

from common.names import LABEL_MTU, STARTUP_TAINT
from tests.e2e.harness import NODE, NODE_PATH, PROGRAM, Stage, condition, gates
from tests.lab.api import MERGE_PATCH

pytestmark = pytest.mark.api


def doctor(stage: Stage, *options: str) -> dict[str, Any]:
    """Run it with the agent's own credentials; hold the exit code to the number of problems."""
    done = stage.host.run(
        [PROGRAM, "doctor", "--output", "json", *options], env=stage.environment(), check=False
    )
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if found["problems"] else 0)
    return found


def told(found: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return (mark, message) by check of what concerns Node and agent."""
    groups = ("node", "journal", "rights", "links")
    return {
        one["check"]: (one["mark"], one["message"])
        for one in found["remarks"]
        if one["group"] in groups
    }


def test_a_closed_node_without_an_agent_is_told(stage: Stage) -> None:
    """The gate with the command that opens it, and that nobody has judged the node."""
    stage.join()
    before = len(stage.requests())
    found = doctor(stage, "--no-probes")
    mark, message = told(found)["gate"]
    assert (mark, STARTUP_TAINT in message) == ("problem", True)
    assert told(found)["condition"][0] == "note"
    assert told(found)["network-namespace"][0] == "good"  # the Node's address is on a link here
    assert found["host"] == NODE
    assert [(one.verb, one.target) for one in stage.requests()[before:]] == [("get", "nodes")]
    assert gates(stage.node()) == {STARTUP_TAINT}
    assert condition(stage.node()) == {}


def test_a_tuned_node_is_all_good(stage: Stage) -> None:
    """Beside the running agent, which is not disturbed."""
    stage.join()
    agent = stage.start()
    stage.wait_verdict("tuned", "True", "Tuned")
    stage.wait(lambda node: not gates(node))
    found = doctor(stage)
    assert (found["isGood"], found["problems"]) == (True, 0)
    assert told(found)["gate"][0] == told(found)["condition"][0] == "good"
    assert f"{LABEL_MTU}=9000" in told(found)["node"][1]
    assert f"process {agent.process.pid}" in told(found)["running-agent"][1]
    assert agent.process.poll() is None
    assert stage.host.mtu("eth1") == 9000


def test_the_node_tells_its_cloud(stage: Stage) -> None:
    """The ceiling is held against what is wanted."""
    stage.join()
    stage.admin.patch(NODE_PATH, {"spec": {"providerID": "gce://p/z/gpu-0"}}, MERGE_PATCH)
    mark, message = told(doctor(stage, "--no-probes"))["cloud"]
    assert mark == "problem"
    assert message.startswith("by the Node's providerID: Google Cloud carries")


def test_an_api_server_that_is_gone_is_a_note(stage: Stage) -> None:
    """The host is judged all the same."""
    stage.join()
    gone = {**stage.environment(), "TUNEGATE_API_SERVER": "https://10.60.0.10:1"}
    done = stage.host.run([PROGRAM, "doctor", "--output", "json"], env=gone, check=False)
    found = json.loads(done.stdout)
    mark, message = told(found)["node"]
    assert (mark, message.startswith("the Node was not read: ")) == ("note", True)
    assert told(found)["storage-server"][0] == "good"
