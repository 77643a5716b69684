"""The main path on the real parts: tuned, proven, said, opened, bound; then silence; restarts."""

import json
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from common.names import ANNOTATION_STATE, GATE_TAINTS, LABEL_MTU
from tests.e2e.harness import (
    NODE,
    Agent,
    Stage,
    await_,
    condition,
    gates,
    label,
    taints,
)
from tests.lab.api import Object
from tests.lab.link_events import LinkEvents
from tests.lab.objects import vllm_pod

pytestmark = pytest.mark.api
POD_PATH = "/api/v1/namespaces/default/pods/vllm"
JOIN = {("get", "nodes"): 1, ("patch", "nodes"): 1, ("patch", "nodes/status"): 1}
JOIN |= {("create", "events"): 1, ("watch", "nodes"): 1}


def counted(stage: Stage, skip: int = 0) -> dict[tuple[str, str], int]:
    """Return the agent's requests by verb and resource, without the first ``skip``."""
    return Counter((one.verb, one.target) for one in stage.requests()[skip:])


def is_unschedulable(pod: Object) -> bool:
    """Return whether the scheduler has tried and given up for now."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one.get("reason") == "Unschedulable" for one in conditions)


def test_a_node_joins_in_four_requests_and_its_pod_is_bound(stage: Stage) -> None:
    """All five keys go with the label, everything documented is said, then nothing more."""
    stage.join(GATE_TAINTS)
    stage.admin.create(vllm_pod("vllm"))
    stage.admin.wait_for(POD_PATH, is_unschedulable)
    before = len(stage.requests())
    agent = stage.start()
    try:
        stage.admin.wait_for(POD_PATH, lambda pod: pod["spec"].get("nodeName") == NODE)
        await_(lambda: counted(stage, before) == JOIN, "one watch and four requests")
        node = stage.quiet()
        expect_everything_said(stage, node)
        opened = agent.await_line("Opened the gate")
        assert set(opened["taints"].split(",")) == set(GATE_TAINTS)
        expect_silence(stage, agent)
        assert counted(stage, before) == JOIN
    finally:
        stage.admin.delete(POD_PATH)


def expect_everything_said(stage: Stage, node: Object) -> None:
    """Check label, annotation, condition and event against docs/agent.md and the kernel."""
    assert stage.host.mtu("eth1") == 9000
    assert stage.host.mtu("eth0") == 1500
    assert taints(node) == set()
    assert label(node) == "tuned"
    assert label(node, LABEL_MTU) == "9000"
    state = json.loads(node["metadata"]["annotations"][ANNOTATION_STATE])
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    assert (state["boot"], state["links"], state["outcome"]) == (boot, {"eth1": 9000}, "tuned")
    assert {"profile", "when"} <= state.keys()
    ours = condition(node)
    assert (ours["status"], ours["reason"]) == ("True", "Tuned")
    assert "9000" in ours["message"]
    (event,) = stage.events()
    assert (event["reason"], event["type"]) == ("Tuned", "Normal")
    assert event["message"] == ours["message"]


def expect_silence(stage: Stage, agent: Agent, seconds: float = 5.0) -> None:
    """Check that for so long nothing is asked and nothing is logged."""
    requests, lines = len(stage.requests()), len(agent.lines())
    time.sleep(seconds)
    assert stage.requests()[requests:] == []
    assert agent.lines()[lines:] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_writes_nothing_anywhere(stage: Stage, number: signal.Signals) -> None:
    """However it ended: no link message, no sysctl changed, only a read and a watch."""
    stage.join()
    first = stage.start()
    stage.wait(lambda node: not gates(node) and condition(node).get("status") == "True")
    await_(stage.events, "the event")
    with LinkEvents(stage.host) as events:
        first.process.send_signal(number)
        code = first.process.wait()
        assert code == (0 if number is signal.SIGTERM else -signal.SIGKILL)
        assert stage.host.mtu("eth1") == 9000
        version = stage.quiet()["metadata"]["resourceVersion"]
        journal = stage.journal()
        before = len(stage.requests())
        again = stage.start()
        again.await_line("Judged the node", outcome="tuned")
        expected = {("get", "nodes"): 1, ("watch", "nodes"): 1}
        await_(lambda: counted(stage, before) == expected, "a read and a watch")
        time.sleep(1.0)
        assert counted(stage, before) == expected
        assert stage.journal() == journal
        assert events.count("eth1") == 0
    assert stage.node()["metadata"]["resourceVersion"] == version
    assert not again.said("Applied change")
