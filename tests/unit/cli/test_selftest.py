"""`tunegate selftest`: what counts as working, and what is said of the rest."""

import argparse
import base64
import json

import pytest

from cli.fleet import judge
from cli.node import read_node
from cli.selftest import compared, webhook
from cli.trial import TrialError, caller, judged
from common.moments import seconds
from common.names import POD_ANNOTATION_INJECTED
from tests.lab.fleet import SINCE, fleet_node
from tests.unit.webhook.fake_api import FakeApi

NOW = (seconds(SINCE) or 0.0) + 60
RECORD = {"shm": {"outcome": "injected", "reason": "1 worker"}}
OPTIONS = argparse.Namespace(namespace="tunegate", name="tunegate", gate_taint=[])


def answer(patch: object = None, *, allowed: bool = True, **more: object) -> bytes:
    """Return an AdmissionReview's text."""
    response: dict[str, object] = {"uid": "a", "allowed": allowed, **more}
    if patch is not None:
        response["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
    return json.dumps({"response": response}).encode()


@pytest.mark.parametrize(
    "operation",
    [
        {
            "op": "add",
            "path": "/metadata/annotations",
            "value": {POD_ANNOTATION_INJECTED: json.dumps(RECORD)},
        },
        {
            "op": "add",
            "path": "/metadata/annotations/tunegate.io~1injected",
            "value": json.dumps(RECORD),
        },
    ],
    ids=["all annotations", "one annotation"],
)
def test_what_was_injected_is_read_off_the_record(operation: object) -> None:
    """However the patch writes it."""
    assert judged(answer([{"op": "add", "path": "/spec/volumes", "value": []}, operation])) == "shm"


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"<html>", "no AdmissionReview"),
        (b"{}", "no AdmissionReview"),
        (answer([], allowed=False), "denies"),
        (answer(warnings=["in doubt"]), "in doubt"),
        (answer([{"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}]), "nothing"),
    ],
)
def test_any_other_answer_is_a_failure(body: bytes, word: str) -> None:
    """It says what came instead."""
    with pytest.raises(TrialError, match=word):
        judged(body)


def test_it_calls_by_the_name_that_the_certificate_has() -> None:
    """And waits for the bundle that the webhook writes."""
    service = {"name": "tg-webhook", "namespace": "ns", "path": "/mutate"}
    bundle = base64.b64encode(b"PEM").decode()
    whom = caller({"clientConfig": {"service": service, "caBundle": bundle}}, "10.0.0.1")
    assert (whom.server_name, whom.port, whom.ca_pem) == ("tg-webhook.ns.svc", 443, "PEM")
    with pytest.raises(TrialError, match="no caBundle yet"):
        caller({"clientConfig": {"service": service}}, "10.0.0.1")


def test_without_a_hook_on_pods_there_is_nothing_to_ask() -> None:
    """The twin, or no webhook at all, is no failure."""
    lines, problems = webhook(FakeApi(), OPTIONS)  # type: ignore[arg-type]  # it stands for one
    assert problems == []
    assert "not asked for pods" in lines[0]


def test_a_tuned_node_is_well() -> None:
    """And so is a cluster without a GPU node, so far."""
    row = judge(read_node(fleet_node("gpu-1")), NOW)
    lines, problems = compared({"desiredNumberScheduled": 1, "numberReady": 1}, [row])
    tuned = "nodes: gpu-1 is tuned, gate open (Tuned)"
    assert (lines, problems) == (["nodes: 1 of 1 agents are ready", tuned], [])
    lines, problems = compared({}, [])
    assert problems == []
    assert "none has a label" in lines[1]


def test_what_is_not_ready_or_not_judged_is_a_failure() -> None:
    """An agent that does not run, and a node of which no agent has said anything."""
    raw = {"metadata": {"name": "gpu-9"}, "status": {}}
    row = judge(read_node(raw), NOW)
    _, problems = compared({"desiredNumberScheduled": 2, "numberReady": 1}, [row])
    assert problems[0] == "nodes: 1 of 2 agents are not ready"
    assert "gpu-9 is unknown" in problems[1]


def test_a_verdict_of_another_boot_is_a_failure() -> None:
    """The label may say tuned: it is about a host that is gone."""
    row = judge(read_node(fleet_node("gpu-1", boot="another")), NOW)
    _, problems = compared({"desiredNumberScheduled": 1, "numberReady": 1}, [row])
    assert problems == [
        "nodes: gpu-1 is tuned, gate open (Tuned), and that is not about now: OtherBoot"
    ]
