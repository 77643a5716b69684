"""Pod templates in workloads of every kind, and in what only looks like one."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from webhook.templates import MAX_LOOKED_AT, MAX_TEMPLATES, Template, templates

SPEC = {"containers": [{"name": "vllm", "image": "vllm/vllm-openai"}]}
POD = {"metadata": {"labels": {"app": "vllm"}}, "spec": SPEC}


def made(kind: str, spec: Any, version: str = "apps/v1") -> dict[str, Any]:  # noqa: ANN401 - any tree
    """Return a workload."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "it"}, "spec": spec}


def owner(found: Template) -> str:
    """Return the kind that owns the pod."""
    return str(found.pod["metadata"]["ownerReferences"][0]["kind"])


FORMS = {
    "Deployment": ({"template": POD}, ["spec.template"], "ReplicaSet"),
    "StatefulSet": ({"template": POD}, ["spec.template"], "StatefulSet"),
    "DaemonSet": ({"template": POD}, ["spec.template"], "DaemonSet"),
    "ReplicaSet": ({"template": POD}, ["spec.template"], "ReplicaSet"),
    "Rollout": ({"template": POD}, ["spec.template"], "ReplicaSet"),
    "Job": ({"template": POD}, ["spec.template"], "Job"),
    "CronJob": (
        {"jobTemplate": {"spec": {"template": POD}}},
        ["spec.jobTemplate.spec.template"],
        "Job",
    ),
    "JobSet": (
        {"replicatedJobs": [{"template": {"spec": {"template": POD}}}]},
        ["spec.replicatedJobs[0].template.spec.template"],
        "Job",
    ),
    "LLMInferenceService": (
        {"template": SPEC, "worker": SPEC, "prefill": {"template": SPEC}},
        ["spec.template", "spec.worker", "spec.prefill.template"],
        "LLMInferenceService",
    ),
    "RayCluster": (
        {"headGroupSpec": {"template": POD}, "workerGroupSpecs": [{"template": POD}]},
        ["spec.headGroupSpec.template", "spec.workerGroupSpecs[0].template"],
        "RayCluster",
    ),
    "RayService": (
        {"rayClusterConfig": {"headGroupSpec": {"template": POD}}},
        ["spec.rayClusterConfig.headGroupSpec.template"],
        "RayCluster",
    ),
    "PodTemplate": (None, [], ""),
    "StormService": (
        {"template": {"spec": {"roles": [{"name": "prefill", "template": POD}]}}},
        ["spec.template.spec.roles[0].template"],
        "StormService",
    ),
    "NobodyHasHeardOfIt": ({"engines": {"big": POD}}, ["spec.engines.big"], "NobodyHasHeardOfIt"),
}


@pytest.mark.parametrize("kind", FORMS)
def test_each_kind_gives_its_pods(kind: str) -> None:
    """With the place in the manifest and the kind that will own them."""
    spec, paths, owned_by = FORMS[kind]
    found = templates(made(kind, spec))
    assert [one.path for one in found] == paths
    assert {one.kind for one in found} <= {kind}
    assert {owner(one) for one in found} == ({owned_by} if paths else set())
    assert all(one.pod["spec"]["containers"] == SPEC["containers"] for one in found)
    assert all(one.pod["spec"]["terminationGracePeriodSeconds"] == 30 for one in found)


def test_a_pod_is_itself() -> None:
    """Nothing is added but what the API server adds before it asks webhooks."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "it"}, "spec": SPEC}
    (found,) = templates(pod)
    assert found.path == ""
    assert found.pod == {**pod, "spec": {**SPEC, "terminationGracePeriodSeconds": 30}}
    assert "terminationGracePeriodSeconds" not in SPEC


def test_a_template_of_its_own_is_found() -> None:
    """PodTemplate has no spec above its template."""
    (found,) = templates({"kind": "PodTemplate", "template": POD})
    assert (found.path, found.name) == ("template", "")


def test_a_grace_period_of_the_manifest_stays() -> None:
    """Zero is one, too."""
    spec = {**SPEC, "terminationGracePeriodSeconds": 0}
    (found,) = templates(made("Deployment", {"template": {"spec": spec}}))
    assert found.pod["spec"]["terminationGracePeriodSeconds"] == 0


def test_a_pod_of_a_template_has_what_its_controller_gives() -> None:
    """A name to be, the namespace, the labels; a name in the template means nothing."""
    workload = made("Deployment", {"template": {**POD, "metadata": {"name": "wrong"}}})
    workload["metadata"]["namespace"] = "serving"
    (found,) = templates(workload)
    assert found.namespace == "serving"
    assert found.pod["metadata"]["generateName"] == "it-"
    assert found.pod["metadata"]["namespace"] == "serving"
    assert "name" not in found.pod["metadata"]


def lws(**template: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - any tree
    """Return where the pods of a LeaderWorkerSet come from and their worker index."""
    index = "leaderworkerset.sigs.k8s.io/worker-index"
    workload = made("LeaderWorkerSet", {"leaderWorkerTemplate": template})
    return [
        (one.path.rpartition(".")[2], one.pod["metadata"]["labels"][index])
        for one in templates(workload)
    ]


def test_a_leader_and_its_workers_are_two_pods() -> None:
    """Also where they share one template: the controller numbers them."""
    both = {"leaderTemplate": POD, "workerTemplate": POD}
    assert lws(size=2, **both) == [("leaderTemplate", "0"), ("workerTemplate", "1")]
    assert lws(size=2, workerTemplate=POD) == [("workerTemplate", "0"), ("workerTemplate", "1")]
    assert lws(size=1, workerTemplate=POD) == [("workerTemplate", "0")]


def test_a_model_of_kserve_becomes_its_container() -> None:
    """The predictor is a pod spec whose container is called kserve-container."""
    predictor = {
        "model": {"args": ["--model", "x"], "modelFormat": {"name": "vLLM"}},
        "annotations": {"a": "b"},
        "minReplicas": 1,
        "tolerations": [],
    }
    (found,) = templates(made("InferenceService", {"predictor": predictor}))
    assert found.pod["spec"]["containers"] == [
        {"name": "kserve-container", "args": ["--model", "x"]}
    ]
    assert set(found.pod["spec"]) == {"containers", "tolerations", "terminationGracePeriodSeconds"}
    assert found.pod["metadata"]["annotations"] == {"a": "b"}
    assert found.pod["metadata"]["labels"] == {"serving.kserve.io/inferenceservice": "it"}


def test_containers_of_kserve_are_taken_as_they_are() -> None:
    """A transformer beside the predictor is a pod of its own."""
    spec = {"predictor": SPEC, "transformer": SPEC}
    found = templates(made("InferenceService", spec))
    assert [one.path for one in found] == ["spec.predictor", "spec.transformer"]


def test_lists_give_what_is_in_them() -> None:
    """A PodList's items come without a kind."""
    items = [made("Deployment", {"template": POD}), {"kind": "Service"}, None]
    assert [one.kind for one in templates({"kind": "List", "items": items})] == ["Deployment"]
    assert [one.kind for one in templates({"kind": "PodList", "items": [POD]})] == ["Pod"]


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "text",
        {"kind": "Service", "spec": {"ports": []}},
        {"kind": "ConfigMap", "data": {"spec": {"containers": [{"name": "x"}]}}},
        {"kind": "Deployment", "status": {"template": POD}},
        {"kind": "Deployment", "spec": {"template": {"spec": {"containers": {}}}}},
        {"kind": "Deployment", "spec": {"template": {"spec": {"containers": ["x", None]}}}},
        {"kind": ["Pod"], "metadata": [], "spec": None},
    ],
)
def test_what_holds_no_pod_gives_none(document: Any) -> None:  # noqa: ANN401 - any tree
    """Whatever its shape."""
    assert templates(document) == ()


def test_a_flood_of_templates_is_cut() -> None:
    """A manifest cannot make the webhook work for ever."""
    workload = made("Many", {"a": [POD] * (MAX_TEMPLATES + 5)})
    assert len(templates(workload)) == MAX_TEMPLATES


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
KEYS = st.sampled_from(
    ["kind", "spec", "template", "containers", "metadata", "items", "predictor", "name", "model"]
)
KINDS = st.sampled_from([*FORMS, "InferenceService", "LeaderWorkerSet", "List", "PodList", "Pod"])
TREES = st.recursive(
    LEAVES | KINDS | st.just(POD),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=4),
    max_leaves=25,
)


@given(TREES, KINDS)
def test_no_shape_raises_and_nothing_is_changed(tree: Any, kind: str) -> None:  # noqa: ANN401
    """A webhook meets everything that a person can type."""
    workload = {"kind": kind, "metadata": tree, "spec": tree}
    before = yaml.safe_dump(workload)
    for one in (*templates(tree), *templates(workload)):
        assert one.pod["spec"]["containers"]
    assert yaml.safe_dump(workload) == before


def test_a_tree_of_any_size_is_left_in_time() -> None:
    """A custom resource of 7 MiB holds everything but a pod."""
    wide = {str(number): [{"a": number}] * 3 for number in range(MAX_LOOKED_AT)}
    deep: Any = POD
    for _ in range(MAX_LOOKED_AT):
        deep = {"x": deep}
    assert templates(made("Wide", wide)) == ()
    assert templates(made("Deep", deep)) == ()
