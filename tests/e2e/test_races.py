"""Other writers on the same Node: none of theirs is lost, and the gate key goes all the same."""

import json
import threading
from functools import partial

import pytest

from common.names import ANNOTATION_STATE, LABEL_NETWORK
from tests.e2e.harness import NODE, NODE_PATH, Stage, await_, condition, gates, label, taint, taints
from tests.lab.api import MERGE_PATCH, Object
from tests.lab.objects import GATE

pytestmark = pytest.mark.api
ROUNDS = 100
GATE_TAINT: Object = dict(GATE)


def is_open(node: Object) -> bool:
    """Return whether the Node is judged tuned and no gate taint stands."""
    return label(node) == "tuned" and condition(node).get("status") == "True" and not gates(node)


def test_a_taint_that_comes_back_goes_and_foreign_things_stay(stage: Stage) -> None:
    """Another key, another effect of a gate key, labels and annotations are not ours."""
    foreign = [taint("example.com/draining"), taint(GATE["key"], "PreferNoSchedule")]
    stage.join(more_taints=foreign)
    own = {"metadata": {"labels": {"example.com/team": "a"}, "annotations": {"example.com/b": "c"}}}
    stage.admin.patch(NODE_PATH, own, MERGE_PATCH)
    agent = stage.start()
    expected = {(one["key"], one["effect"]) for one in foreign}
    for _ in range(3):
        node = stage.wait(is_open)
        assert taints(node) == expected
        stage.add_taint(GATE["key"])
    node = stage.wait(is_open)
    assert label(node, "example.com/team") == "a"
    assert node["metadata"]["annotations"]["example.com/b"] == "c"

    def opened() -> list[object]:
        return [one["taints"] for one in agent.lines() if one["message"] == "Opened the gate"]

    # a line follows its write: the Node says so before the log does
    await_(lambda: len(opened()) >= 4, "the gate opened four times")
    assert opened() == [GATE["key"]] * 4
    assert [one["reason"] for one in stage.events()] == ["Tuned"]


def test_a_gate_key_that_evicts_is_somebody_elses(stage: Stage) -> None:
    """The key with effect NoExecute stays while the one with NoSchedule goes."""
    stage.join()
    stage.start()
    stage.wait(is_open)
    stage.edit_taints(lambda have: [*have, taint(GATE["key"], "NoExecute"), taint(GATE["key"])])
    node = stage.wait(is_open)
    assert taints(node) == {(GATE["key"], "NoExecute")}


def without(key: str, have: list[Object]) -> list[Object]:
    """Return the taints without those of one key."""
    return [one for one in have if one["key"] != key]


def test_a_second_writer_never_loses_a_taint(stage: Stage) -> None:
    """100 foreign changes while a third puts the gate back again and again."""
    stage.join()
    agent = stage.start()
    stage.wait(is_open)
    ended = threading.Event()

    def put_the_gate_back() -> None:
        while not ended.wait(0.03):
            stage.edit_taints(
                lambda have: (
                    have if GATE["key"] in {t["key"] for t in have} else [*have, GATE_TAINT]
                )
            )

    third = threading.Thread(target=put_the_gate_back)
    third.start()
    mine: set[tuple[str, str]] = set()
    try:
        for number in range(ROUNDS):
            key = f"example.com/other-{number % 7}"
            present = (key, "NoSchedule") in mine
            if present:
                stage.edit_taints(partial(without, key))
                mine.discard((key, "NoSchedule"))
            else:
                stage.add_taint(key)
                mine.add((key, "NoSchedule"))
            there = {pair for pair in taints(stage.node()) if pair[0] != GATE["key"]}
            assert there == mine, f"round {number}"
    finally:
        ended.set()
        third.join()
    assert taints(stage.wait(is_open)) == mine
    assert len([one for one in agent.lines() if one["message"] == "Opened the gate"]) > 3


def test_a_node_made_anew_under_the_same_name_is_opened(stage: Stage) -> None:
    """The new object gets the verdict, and its taint goes; the agent is not started again."""
    stage.join()
    agent = stage.start()
    first = stage.wait(is_open)
    stage.admin.delete(NODE_PATH)
    stage.join(by_hand=True)
    second = stage.wait(is_open)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert json.loads(second["metadata"]["annotations"][ANNOTATION_STATE])["outcome"] == "tuned"
    await_(lambda: len(stage.events("Tuned")) == 2, "an event for each object")
    stage.add_taint(GATE["key"])
    stage.wait(is_open)
    assert agent.process.poll() is None


def test_a_node_that_comes_later_than_its_agent_is_opened(stage: Stage) -> None:
    """No Node at the start, so nobody to say that the host may be tuned: then all follows."""
    stage.join()
    environment = stage.environment()
    stage.admin.delete(NODE_PATH)
    agent = stage.start_with(environment)
    agent.await_text(f"nodes {NODE}")
    agent.await_line("Held back", mode="unknown")
    assert stage.host.mtu("eth1") == 1500
    stage.join(by_hand=True)
    stage.wait(is_open)
    assert stage.host.mtu("eth1") == 9000


def test_labels_that_somebody_takes_away_come_back(stage: Stage) -> None:
    """The verdict on the Node is ours to keep true."""
    stage.join()
    stage.start()
    stage.wait(is_open)
    for value in ("failed", None):
        gone = {"metadata": {"labels": {LABEL_NETWORK: value}}}
        stage.admin.patch(NODE_PATH, gone, MERGE_PATCH)
        stage.wait(is_open)
