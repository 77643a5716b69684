"""mutate() as a whole: who gets what, what is never raised, and what a later pass makes of it."""

import copy
import json
from typing import Any

import pytest

from common.names import POD_ANNOTATION_DISABLE, POD_ANNOTATION_INJECTED, POD_LABEL_INJECT
from tests.unit.webhook.inject_pods import (
    POLICY,
    container,
    decision,
    mutated,
    only,
    outcome,
    pod,
)
from webhook.decisions import FEATURES, Feature, Json, Mutation, Outcome
from webhook.marks import TOLERATIONS_ALLOWED, marks
from webhook.mutate import mutate
from webhook.policy import Namespace, Policy
from webhook.recognition import Verdict

ALL_INJECTED = dict.fromkeys(FEATURES, Outcome.INJECTED)
SECRET = "hunter2"  # noqa: S105 - a value that must not be seen


def outcomes(made: Mutation) -> dict[Feature, Outcome]:
    """Return what became of each feature."""
    return {feature: entry.outcome for feature, entry in made.decisions.items()}


def labelled(raw: Json, value: str) -> Json:
    """Return the pod with the label that opts in or out."""
    raw["metadata"]["labels"] = {POD_LABEL_INJECT: value}
    return raw


def test_a_pod_that_serves_gets_all_and_a_record() -> None:
    """The plain case; the annotation tells the same as the value."""
    made = mutated(pod())
    assert made.recognition.verdict is Verdict.SERVES
    assert outcomes(made) == ALL_INJECTED
    record = json.loads(made.pod["metadata"]["annotations"][POD_ANNOTATION_INJECTED])
    assert record == {
        feature.value: {"outcome": entry.outcome.value, "reason": entry.reason}
        for feature, entry in made.decisions.items()
    }
    assert list(record) == ["tolerations", "startupProbe", "preStop", "gracePeriod", "shm"]


def test_a_second_pass_changes_nothing_and_says_the_same() -> None:
    """The API server calls again when another webhook changed the pod after us."""
    first = mutated(pod())
    second = mutated(first.pod)
    assert second.patch == ()
    assert second.pod is first.pod
    assert second.decisions == first.decisions


@pytest.mark.parametrize(
    "other",
    [
        container(image="nginx:1.29", command=None),
        container(command=["vllm", "bench", "serve"]),
        container("--headless"),
    ],
)
def test_who_does_not_serve_is_left_as_it_is(other: Json) -> None:
    """No patch, no record, no warning."""
    made = mutated(pod(other))
    assert (made.patch, made.decisions, made.warnings, made.failure) == ((), {}, (), "")


@pytest.mark.parametrize("around", [{}, {POD_LABEL_INJECT: "enabled"}])
def test_a_pod_opts_out_by_its_label(around: dict[str, str]) -> None:
    """Also where its namespace is opted in."""
    made = mutated(labelled(pod(), "disabled"), namespace=Namespace("llm", around))
    assert (made.patch, made.decisions) == ((), {})
    assert made.recognition.rule == "opted-out"


def test_a_namespace_opts_out_for_all_its_pods() -> None:
    """Also for one that is opted in itself: the namespace is its administrator's."""
    closed = Namespace("llm", {POD_LABEL_INJECT: "disabled"})
    for raw in (pod(), labelled(pod(), "enabled")):
        made = mutated(raw, namespace=closed)
        assert (made.patch, made.recognition.rule) == ((), "opted-out")


def test_kubernetes_own_namespaces_are_left_alone() -> None:
    """The API server is told not to ask there; the audit must say the same."""
    for raw in (pod(), labelled(pod(), "enabled")):
        made = mutated(raw, namespace=Namespace("kube-system"))
        assert (made.patch, made.recognition.rule) == ((), "system-namespace")


def test_where_only_those_who_opt_in_get_anything_others_get_nothing() -> None:
    """By the pod's label or by the namespace's."""
    policy = Policy(opt_in_only=True)
    enabled = {POD_LABEL_INJECT: "enabled"}
    assert mutated(pod(), policy).recognition.rule == "not-opted-in"
    assert outcomes(mutated(labelled(pod(), "enabled"), policy)) == ALL_INJECTED
    assert outcomes(mutated(pod(), policy, Namespace("llm", enabled))) == ALL_INJECTED
    nginx = pod(container(image="nginx", command=None))
    assert mutated(nginx, policy, Namespace("llm", enabled)).decisions == {}


def test_what_is_asked_for_but_not_known_gets_what_is_safe() -> None:
    """Tolerations and /dev/shm; no probe and no hook where no port is known."""
    raw = labelled(pod(container(command=["/entrypoint.sh"], image="mine/engine")), "enabled")
    assert outcomes(mutated(raw)) == {
        Feature.TOLERATIONS: Outcome.INJECTED,
        Feature.STARTUP_PROBE: Outcome.NOT_APPLICABLE,
        Feature.PRE_STOP: Outcome.NOT_APPLICABLE,
        Feature.GRACE_PERIOD: Outcome.NOT_APPLICABLE,
        Feature.SHM: Outcome.INJECTED,
    }


def test_what_is_asked_for_and_probed_on_health_gets_all() -> None:
    """The user's own probe tells the port."""
    ready = {"httpGet": {"path": "/health", "port": 9000}}
    engine = container(command=["/entrypoint.sh"], image="mine/engine", readinessProbe=ready)
    made = mutated(labelled(pod(engine), "enabled"))
    assert outcomes(made) == ALL_INJECTED
    assert only(made)["startupProbe"]["httpGet"]["port"] == 9000


@pytest.mark.parametrize("feature", FEATURES)
def test_each_feature_is_switched_off_by_policy_namespace_and_pod(feature: Feature) -> None:
    """The reason says by whom; nothing of the feature is in the patch."""
    off = {POD_ANNOTATION_DISABLE: f" {feature.value.lower()} ,"}
    policy = Policy(features=frozenset(FEATURES) - {feature})
    cases = {
        "the policy": mutated(pod(), policy),
        "the namespace's annotation": mutated(pod(), namespace=Namespace("n", {}, off)),
        "the pod's annotation": mutated(pod(annotations=off)),
    }
    places = {
        Feature.TOLERATIONS: "tolerations",
        Feature.STARTUP_PROBE: "startupProbe",
        Feature.PRE_STOP: "lifecycle",
        Feature.SHM: "volume",
        Feature.GRACE_PERIOD: "terminationGracePeriodSeconds",
    }
    for who, made in cases.items():
        assert decision(made, feature).outcome is Outcome.DISABLED
        assert f"switched off by {who}" in decision(made, feature).reason
        assert [step for step in made.patch if places[feature] in step["path"]] == []
        assert mutated(made.pod, policy if who == "the policy" else POLICY).failure == ""


def test_a_feature_that_does_not_exist_is_named() -> None:
    """The warning lists those that do; the others in the list count."""
    made = mutated(pod(annotations={POD_ANNOTATION_DISABLE: "prestop, liveness"}))
    assert outcome(made, Feature.PRE_STOP) is Outcome.DISABLED
    (warning,) = made.warnings
    assert '"liveness" is no feature' in warning
    assert "tolerations, startupProbe, preStop, gracePeriod, shm" in warning


def test_a_value_in_a_warning_is_cut_and_harmless() -> None:
    """It goes to a terminal."""
    evil = "\x1b[31m" + "x" * 300
    (warning,) = mutated(pod(annotations={POD_ANNOTATION_DISABLE: evil})).warnings
    assert warning.isprintable()
    assert len(warning) <= 256


@pytest.mark.parametrize(
    ("breakage", "said"),
    [
        ({"metadata": []}, "metadata is not an object"),
        ({"spec": {"tolerations": {}}}, "spec.tolerations is not a list"),
        ({"spec": {"volumes": "v"}}, "spec.volumes is not a list"),
        ({"spec": {"initContainers": [3]}}, "spec.initContainers[0] is not an object"),
        ({"spec": {"terminationGracePeriodSeconds": "30"}}, "is not ours to change"),
        (
            {"spec": {"initContainers": [{"name": "i", "lifecycle": []}]}},
            "spec.initContainers[0].lifecycle is not an object",
        ),
        ({"spec": {"initContainers": [{"name": "vllm"}]}}, ""),
    ],
)
def test_what_is_in_doubt_is_left_alone_and_told(breakage: Json, said: str) -> None:
    """Allowed, no patch, every feature failed safe, a warning, and a text for the log."""
    raw = pod()
    for part, fields in breakage.items():
        raw[part] = {**raw[part], **fields} if isinstance(fields, dict) else fields
    made = mutated(raw)
    if not said:  # the pod breaks a rule itself: the patch is not the reason
        assert outcomes(made) == ALL_INJECTED
        return
    assert made.patch == ()
    assert made.pod is raw
    assert set(outcomes(made).values()) == {Outcome.FAILED_SAFE}
    assert said in made.failure
    assert said in made.warnings[0]


def test_a_patch_that_would_make_the_pod_invalid_is_not_sent() -> None:
    """The record would be one annotation too many: 256 KiB in all."""
    made = mutated(pod(annotations={"big": "x" * (256 * 1024 - 10)}))
    assert made.patch == ()
    assert "larger than 256 KiB" in made.failure


def test_a_pod_that_no_node_could_run_is_left_alone() -> None:
    """What may be as large as a request costs no more than one look at it."""
    many = 20_000
    slices = {f"nvidia.com/mig-{number}": 1 for number in range(many)}
    crowd = pod(*(container(name=f"c{number}") for number in range(40)))
    large = pod(
        tolerations=[{"key": f"k{number}", "operator": "Exists"} for number in range(many)],
        volumes=[{"name": f"tunegate-shm-{number}", "secret": {}} for number in range(many)],
        annotations={POD_ANNOTATION_DISABLE: "a b" * many},
    )
    assert "32 kinds" in mutated(pod(container(resources={"limits": slices}))).failure
    assert "32 containers" in mutated(crowd).failure
    made = mutated(large)
    assert outcomes(made) == ALL_INJECTED
    assert len(made.warnings) < 5


class Surprising(dict[str, Any]):
    """A policy's part that breaks where nobody expects it."""

    def __contains__(self, key: object) -> bool:
        """Fail, with a value of the pod in the text."""
        raise RuntimeError(SECRET)


def test_a_surprise_is_told_by_kind_and_place_only() -> None:
    """Its text may quote the pod, and nothing of a pod is ever logged."""
    policy = Policy(features=Surprising())  # type: ignore[arg-type]  # on purpose
    made = mutated(pod(), policy)
    assert made.patch == ()
    assert made.failure.startswith("RuntimeError in test_mutate.py, line ")
    assert SECRET not in str((made.failure, made.warnings, made.decisions))
    assert set(outcomes(made).values()) == {Outcome.FAILED_SAFE}


@pytest.mark.parametrize("tree", [None, 3, "pod", [], {}, {"spec": []}, {"metadata": None}])
def test_what_is_no_pod_is_answered(tree: Any) -> None:  # noqa: ANN401 - any JSON
    """Whatever a broken client sends."""
    made = mutate(tree, Policy())
    assert made.patch == ()
    assert made.pod is tree


def test_unknown_fields_survive_everywhere() -> None:
    """A typed model would drop what it does not know: native sidecars were lost so elsewhere."""
    news: dict[str, Any] = {"x-new": [{"a/b~c": None}]}
    raw = pod(
        container(**news, lifecycle=dict(news)), **news, initContainers=[{"name": "i", **news}]
    )
    raw["metadata"] |= news
    made = mutated(raw)
    assert outcomes(made) == ALL_INJECTED
    places = (made.pod["metadata"], made.pod["spec"], only(made), only(made)["lifecycle"])
    assert [place["x-new"] for place in places] == [news["x-new"]] * 4
    assert only(made, "initContainers") == {"name": "i", **news}


@pytest.mark.parametrize("annotations", [None, {}, {"a/b": "c~d"}])
def test_a_record_is_written_whatever_annotations_there_are(annotations: object) -> None:
    """Its key has a slash, which is ~1 in a path."""
    raw = pod()
    raw["metadata"]["annotations"] = annotations
    made = mutated(raw)
    record = made.pod["metadata"]["annotations"].pop(POD_ANNOTATION_INJECTED)
    assert set(json.loads(record)) == {feature.value for feature in FEATURES}
    assert made.pod["metadata"]["annotations"] == (annotations or {})


def test_a_pod_without_metadata_is_served_too() -> None:
    """A template in a file may have none."""
    raw = pod()
    del raw["metadata"]
    assert POD_ANNOTATION_INJECTED in mutated(raw).pod["metadata"]["annotations"]


def test_a_record_that_is_not_ours_is_replaced() -> None:
    """Somebody's text claims nothing."""
    for text in ("", "{", "[]", '{"shm": 3}', '{"shm":{"outcome":"mine","reason":""}}', "[" * 9999):
        made = mutated(pod(annotations={POD_ANNOTATION_INJECTED: text}))
        assert outcomes(made) == ALL_INJECTED
        assert mutated(made.pod).patch == ()


def test_what_a_person_wrote_just_as_we_would_is_theirs() -> None:
    """Without a record of ours nothing is claimed, and a later pass claims nothing either."""
    written = copy.deepcopy(mutated(pod()).pod)
    del written["metadata"]["annotations"]
    first = mutated(written)
    assert set(outcomes(first).values()) == {Outcome.USER_OWNED}
    assert [step["path"] for step in first.patch] == ["/metadata/annotations"]
    second = mutated(first.pod)
    assert second.patch == ()
    assert second.decisions == first.decisions


def test_a_later_mutator_that_rewrites_our_probe_owns_it() -> None:
    """As Istio does with probes: the next pass neither puts ours back nor claims the other."""
    first = mutated(pod())
    rewritten = copy.deepcopy(first.pod)
    probe = {"httpGet": {"path": "/app-health/vllm/startupz", "port": 15020}}
    rewritten["spec"]["containers"][0]["startupProbe"] = probe
    second = mutated(rewritten)
    assert only(second)["startupProbe"] == probe
    assert decision(second, Feature.STARTUP_PROBE).outcome is Outcome.USER_OWNED
    assert decision(second, Feature.STARTUP_PROBE).reason == (
        "something else changed it after it was injected"
    )
    (step,) = second.patch
    assert step["path"].endswith("injected")
    third = mutated(second.pod)
    assert third.patch == ()
    assert third.decisions == second.decisions


def test_a_later_mutator_that_adds_a_container_leaves_the_record() -> None:
    """As sidecar injectors do: what we decided stays what it was."""
    first = mutated(pod())
    joined = copy.deepcopy(first.pod)
    joined["spec"]["containers"].insert(0, {"name": "istio-proxy", "image": "istio/proxyv2"})
    second = mutated(joined)
    assert second.patch == ()
    assert second.decisions == first.decisions


def test_what_a_later_mutator_drops_comes_back() -> None:
    """As typed clients do with fields that they do not know; nobody removes a probe on purpose."""
    first = mutated(pod())
    dropped = copy.deepcopy(first.pod)
    del dropped["spec"]["containers"][0]["startupProbe"]
    dropped["spec"]["tolerations"] = []
    second = mutated(dropped)
    assert second.pod == first.pod
    assert second.decisions == first.decisions


def test_defaults_that_the_api_server_fills_in_change_nothing() -> None:
    """It does so after each patch; ours is written with them."""
    first = mutated(pod())
    defaulted = copy.deepcopy(first.pod)
    probe = defaulted["spec"]["containers"][0]["startupProbe"]
    for name, value in (("successThreshold", 1), ("failureThreshold", 3), ("periodSeconds", 10)):
        probe.setdefault(name, value)
    probe["httpGet"].setdefault("scheme", "HTTP")
    assert mutated(defaulted).patch == ()


@pytest.mark.parametrize(
    ("listed", "expected"),
    [('[{"key": "a"}]', Outcome.DISABLED), ("[]", Outcome.INJECTED), ("", Outcome.INJECTED)],
)
def test_a_namespace_that_limits_tolerations_gets_none(listed: str, expected: Outcome) -> None:
    """Kubernetes' PodTolerationRestriction would reject the pod because of ours."""
    around = marks({"metadata": {"name": "n", "annotations": {TOLERATIONS_ALLOWED: listed}}})
    made = mutated(pod(), namespace=around)
    assert ("tolerations" in made.pod["spec"]) is (expected is Outcome.INJECTED)
    assert outcome(made, Feature.TOLERATIONS) is expected
    assert outcome(made, Feature.SHM) is Outcome.INJECTED
