"""The server's paths: what each takes, and what it says."""

import base64
import json
from typing import Any

from tests.webhook_server.caller import encoded, vllm_pod
from webhook.decisions import Mutation, Outcome
from webhook.hooks import nodes_hook, pods_hook, volumes_hook, warnings_hook
from webhook.nodes import NodeGate
from webhook.policy import Namespace, Policy
from webhook.review import Hook, Review, ReviewOutcome, respond
from webhook.selector import parse

DEPLOYMENTS = {"group": "apps", "version": "v1", "resource": "deployments"}


def answer(hook: Hook, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - raw JSON
    """Return the response to a review with these changes."""
    decoded: dict[str, Any] = json.loads(respond(hook, encoded(**request)).body)["response"]
    assert decoded["allowed"] is True
    return decoded


def patch_of(response: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the operations of a response."""
    operations: list[dict[str, Any]] = json.loads(base64.b64decode(response["patch"]))
    return operations


class Heard:
    """Remembers what a pods hook told."""

    def __init__(self, namespace: Namespace | None = None) -> None:
        """Know this namespace."""
        self.asked: list[str] = []
        self.told: list[tuple[Review, Mutation]] = []
        self._namespace = namespace or Namespace()
        self.hook = pods_hook(Policy, self._find, self._judged)

    def _find(self, name: str) -> Namespace:
        self.asked.append(name)
        return self._namespace

    def _judged(self, review: Review, mutation: Mutation) -> None:
        self.told.append((review, mutation))


def test_a_vllm_pod_is_injected_and_the_audit_log_told() -> None:
    """By which rule, and what."""
    heard = Heard()
    response = answer(heard.hook)
    assert {operation["op"] for operation in patch_of(response)} <= {"add", "replace", "test"}
    assert response["auditAnnotations"]["rule"] == heard.told[0][1].recognition.rule
    injected = response["auditAnnotations"]["injected"].split(",")
    decisions = heard.told[0][1].decisions
    assert injected == [key for key in decisions if decisions[key].outcome is Outcome.INJECTED]


def test_the_namespace_is_the_requests() -> None:
    """The pod's own is empty yet; what the namespace says is obeyed."""
    off = Namespace("llm", {"tunegate.io/inject": "disabled"}, {})
    heard = Heard(off)
    response = answer(heard.hook)
    assert heard.asked == ["llm"]
    assert not {"patch", "auditAnnotations"} & set(response)


def test_another_pod_is_left_as_it_is_without_a_word() -> None:
    """Most pods of a cluster are none of our business."""
    pod = vllm_pod(containers=[{"name": "a", "image": "nginx:1.29"}])
    assert set(answer(Heard().hook, object=pod)) == {"uid", "allowed"}


def test_a_dry_run_is_judged_alike_and_said_to_be_one() -> None:
    """Whoever posts Events must know."""
    heard = Heard()
    assert "patch" in answer(heard.hook, dryRun=True)
    assert heard.told[0][0].is_dry_run


def deployment() -> dict[str, Any]:
    """Return a Deployment that will have its pod killed while the model is loading."""
    pod = vllm_pod()
    probe = {"httpGet": {"path": "/health", "port": 8000}, "failureThreshold": 2}
    pod["spec"]["containers"][0]["startupProbe"] = probe
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod["spec"]}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": template}}


def test_workloads_of_any_kind_are_warned_about_and_never_changed() -> None:
    """On CREATE and on UPDATE."""
    hook = warnings_hook(Policy, Namespace)
    for operation in ("CREATE", "UPDATE"):
        request = {"resource": DEPLOYMENTS, "operation": operation, "object": deployment()}
        response = answer(hook, **request)
        assert response["warnings"]
        assert all(len(line) <= 256 for line in response["warnings"])
        assert "patch" not in response
    assert "warnings" not in answer(hook, resource=DEPLOYMENTS, operation="DELETE")


def test_a_volume_whose_class_opts_in_gets_its_options() -> None:
    """The class is read from a cache."""
    volume = {
        "metadata": {"name": "weights"},
        "spec": {"nfs": {"server": "10.0.0.5", "path": "/w"}, "storageClassName": "fast"},
    }
    classes = {"fast": {"tunegate.io/nfs-options": "enabled"}}
    hook = volumes_hook(lambda name: classes.get(name, {}))
    resource = {"group": "", "version": "v1", "resource": "persistentvolumes"}
    response = answer(hook, resource=resource, object=volume)
    assert "nconnect=8" in patch_of(response)[0]["value"]


def test_nodes_are_gated_where_a_selector_says_so() -> None:
    """Nothing is done without one."""
    resource = {"group": "", "version": "v1", "resource": "nodes"}
    node = {"metadata": {"name": "gpu-1", "labels": {"pool": "gpu"}}, "spec": {}}
    off, on = nodes_hook(NodeGate()), nodes_hook(NodeGate(parse("pool=gpu")))
    assert "patch" not in answer(off, resource=resource, object=node)
    assert patch_of(answer(on, resource=resource, object=node))[0]["path"] == "/spec/taints"


def test_a_node_of_no_known_shape_counts_as_failed_safe() -> None:
    """So that somebody sees it."""
    resource = {"group": "", "version": "v1", "resource": "nodes"}
    node = {"metadata": {"labels": {"pool": "gpu"}}, "spec": 7}
    hook = nodes_hook(NodeGate(parse("pool=gpu")))
    response = respond(hook, encoded(resource=resource, object=node))
    assert response.outcome is ReviewOutcome.FAILED_SAFE
