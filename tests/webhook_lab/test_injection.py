"""What a person sees of the webhook in a real cluster: the record, and who is never touched."""

import json
from pathlib import Path

import pytest

from common.names import POD_LABEL_INJECT
from tests.lab.api import STRATEGIC_PATCH
from tests.lab.objects import vllm_pod
from tests.lab.services import NODE
from tests.lab.webhook_objects import OPTED_IN_HOOK, POD_HOOK
from tests.webhook_lab.stage import Stage, await_, deployment, outcomes, plain_pod, record

pytestmark = [pytest.mark.lab, pytest.mark.api]

SHM = "/dev/shm"  # noqa: S108 - what is looked for
FEATURES = {"tolerations", "startupProbe", "preStop", "gracePeriod", "shm"}


def test_a_pod_created_by_kubectl_shows_the_record(stage: Stage, tmp_path: Path) -> None:
    """All that a vLLM pod needs stands in it, and its annotation says what came from where."""
    file = tmp_path / "pod.json"
    file.write_text(json.dumps(vllm_pod("shown")))
    created = stage.lab.control_plane.kubectl("create", "-f", str(file), "-o", "json")
    assert created.returncode == 0, created.stderr
    pod = json.loads(created.stdout)
    spec, server = pod["spec"], pod["spec"]["containers"][0]
    assert set(record(pod)) == FEATURES
    assert {outcomes(pod)[name] for name in FEATURES - {"tolerations"}} == {"injected"}
    assert server["startupProbe"]["httpGet"]["path"] == "/health"
    assert server["lifecycle"]["preStop"]["exec"]["command"][:2] == ["sh", "-c"]
    assert spec["terminationGracePeriodSeconds"] >= 150
    mount = next(one for one in server["volumeMounts"] if one["mountPath"] == SHM)
    volume = next(one for one in spec["volumes"] if one["name"] == mount["name"])
    assert volume["emptyDir"]["medium"] == "Memory"
    keys = {(one["key"], one.get("effect")) for one in spec["tolerations"]}
    assert {("nvidia.com/gpu", "NoSchedule"), ("nvidia.com/gpu", "NoExecute")} <= keys


def test_a_deployments_pods_get_the_record(stage: Stage) -> None:
    """Deployment, ReplicaSet, pod: the real controllers make it; its template stays."""
    stage.create(deployment("by-deployment"))
    path = "/api/v1/namespaces/default/pods?labelSelector=app%3Dby-deployment"
    pod = await_(lambda: next(iter(stage.admin.get(path)["items"]), None), "the pod")
    assert set(record(pod)) == FEATURES
    made = stage.admin.get("/apis/apps/v1/namespaces/default/deployments/by-deployment")
    assert "startupProbe" not in made["spec"]["template"]["spec"]["containers"][0]


def test_a_pod_without_any_sign_of_vllm_is_never_sent(stage: Stage) -> None:
    """The API server itself tells: not one call for it."""
    before = stage.calls(POD_HOOK)
    answer = stage.create(plain_pod("not-ours"))
    assert (answer.status, record(answer.body)) == (201, {})
    assert stage.calls(POD_HOOK) == before


def test_a_namespace_that_opted_out_is_never_sent(stage: Stage) -> None:
    """Neither are the system's own namespaces."""
    stage.lab.namespace("opted-out", {POD_LABEL_INJECT: "disabled"})
    before = stage.calls(POD_HOOK)
    for namespace in ("opted-out", "kube-system"):
        answer = stage.create(vllm_pod("unseen"), namespace)
        assert (answer.status, record(answer.body)) == (201, {})
    assert stage.calls(POD_HOOK) == before


def test_a_pod_that_opted_out_is_never_sent(stage: Stage) -> None:
    """By its label, in any namespace."""
    pod = vllm_pod("left-alone")
    pod["metadata"]["labels"][POD_LABEL_INJECT] = "disabled"
    before = stage.calls(POD_HOOK)
    assert record(stage.create(pod).body) == {}
    assert stage.calls(POD_HOOK) == before


def test_a_namespace_that_opted_in_has_every_pod_looked_at(stage: Stage) -> None:
    """There a pod without any sign of vLLM arrives, by the hook for such namespaces."""
    stage.lab.namespace("opted-in", {POD_LABEL_INJECT: "enabled"})
    before = stage.calls(OPTED_IN_HOOK), stage.calls(POD_HOOK)
    assert stage.create(plain_pod("looked-at"), "opted-in").status == 201
    assert (stage.calls(OPTED_IN_HOOK), stage.calls(POD_HOOK)) == (before[0] + 1, before[1])


def test_a_mirror_pod_is_never_sent(stage: Stage) -> None:
    """A static pod's image in the API server is not to be changed by anybody."""
    pod = vllm_pod("mirror")
    pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "0123456789abcdef"}
    pod["spec"]["nodeName"] = NODE
    before = stage.calls(POD_HOOK)
    answer = stage.create(pod)
    assert answer.status == 201, answer.body
    assert record(answer.body) == {}
    assert stage.calls(POD_HOOK) == before


def test_ephemeral_containers_are_never_sent(stage: Stage) -> None:
    """`kubectl debug` of a vLLM pod changes a subresource, for which there is no rule."""
    stage.create(vllm_pod("debugged"))
    before = stage.calls(POD_HOOK)
    path = "/api/v1/namespaces/default/pods/debugged/ephemeralcontainers"
    debugger = {"name": "debugger", "image": "vllm/vllm-openai:v0.12.0", "command": ["sh"]}
    changed = stage.admin.patch(
        path, {"spec": {"ephemeralContainers": [debugger]}}, STRATEGIC_PATCH
    )
    assert changed["spec"]["ephemeralContainers"][0]["name"] == "debugger"
    assert stage.calls(POD_HOOK) == before


def test_a_dry_run_is_admitted_as_the_real_one_and_leaves_nothing(stage: Stage) -> None:
    """`kubectl create --dry-run=server` shows what would come, and no pod and no event is there."""
    dry = stage.create(vllm_pod("dry"), dry_run=True)
    assert (dry.status, set(record(dry.body))) == (201, FEATURES)
    assert stage.admin.request("GET", "/api/v1/namespaces/default/pods/dry")[0] == 404
    real = stage.create(vllm_pod("dry"))
    assert record(real.body) == record(dry.body)
