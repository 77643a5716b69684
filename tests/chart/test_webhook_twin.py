"""The policies that stand in for the webhook change a pod as the webhook would, or leave it."""

import copy
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings

from tests.chart.twin import FEATURES, Twin, plain_pod, policies, twin
from tests.golden import corpus
from tests.golden.corpus import Case
from tests.lab import chart
from tests.lab.api import Object
from tests.property.pod_trees import pods
from webhook import config
from webhook.decisions import Feature
from webhook.policy import Namespace

pytestmark = [pytest.mark.lab, pytest.mark.api, pytest.mark.timeout(240)]

PLAIN = (
    *("argv-serve", "argv-serve-split", "argv-serve-path", "argv-model-after-switch"),
    *("argv-underscores", "argv-dotted-json", "argv-api-servers", "amd-gpu", "intel-gpu"),
    *("aws-neuron", "mig-slice", "shared-gpu", "small-memory", "docs-chart-helm"),
    *("image-alone", "image-args", "image-digest", "image-mirror-port", "named-probe-port"),
    *("sidecar-download-init", "sidecar-exporter", "sidecar-istio", "do-nfs-reference"),
    *("gate-tolerated", "everything-tolerated", "llmd-prefill", "host-ipc", "user-owned"),
)
"""Pods of the corpus that the policies must know in full."""
ALONE = ("no-hint-gpu", "headless", "vllm-bench-job", "router-module", "windows", "mirror-pod")
"""Pods that are none of vLLM's servers."""
OTHER_VALUES = {"startupBudget": "1h30m", "shmMax": "3Gi", "optInOnly": True}
OPTED_IN = Namespace("opted-in", {"tunegate.io/inject": "enabled"})
SWITCHED_OFF = Namespace(
    "switched-off",
    annotations={
        "tunegate.io/disable": "Shm, startupProbe",
        "scheduler.alpha.kubernetes.io/tolerationsWhitelist": '[{"key": "a"}]',
    },
)


@pytest.fixture(scope="module")
def by_default() -> Iterator[Twin]:
    """Give the policies of the default values at work."""
    with twin({}, SWITCHED_OFF) as made:
        yield made


@pytest.fixture(scope="module")
def by_other_values() -> Iterator[Twin]:
    """Give the policies of other values at work."""
    with twin(OTHER_VALUES, OPTED_IN) as made:
        yield made


@pytest.mark.parametrize("case", corpus.cases(), ids=lambda case: case.name)
def test_a_pod_becomes_what_the_webhook_makes_of_it_or_stays(by_default: Twin, case: Case) -> None:
    """Each feature by itself, for every pod of the corpus; the plain ones in full."""
    outcome = by_default.create(case.pod())
    assert outcome
    found = {feature: outcome.of(feature) for feature in FEATURES}
    assert set(found.values()) <= {"same", "left"}
    if case.name in PLAIN:
        assert set(found.values()) == {"same"}
        assert outcome.twin != outcome.before or case.name == "user-owned"
    if case.name in ALONE:
        assert outcome.twin == outcome.before


@settings(max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
@given(pods())
def test_a_random_pod_becomes_what_the_webhook_makes_of_it_or_stays(
    by_default: Twin, pod: Object
) -> None:
    """And is never refused for what the policies did."""
    pod = copy.deepcopy(pod)
    pod["metadata"]["generateName"] = "random-"
    for place in ("containers", "initContainers"):
        for container in pod["spec"].get(place) or []:
            container.setdefault("image", "vllm/vllm-openai:v0.32.0")
    outcome = by_default.create(pod)
    assume(outcome)
    assert outcome
    assert {outcome.of(feature) for feature in FEATURES} <= {"same", "left"}


@pytest.mark.parametrize("name", PLAIN)
def test_a_second_pass_changes_nothing(by_default: Twin, name: str) -> None:
    """A webhook that changes the pod afterwards makes the API server ask again."""
    case = corpus.case(name).pod()
    first = by_default.create(case)
    assert first
    again = by_default.create({**case, "spec": first.spec})
    assert again
    assert again.twin == again.before == first.twin


def test_a_startup_budget_of_the_pod_holds(by_default: Twin) -> None:
    """As the webhook reads it; one that cannot be used leaves the policy's."""
    for budget, threshold in (("45m", 270), ("1h30m10s", 541), ("5s", 180), ("soon", 180)):
        pod = plain_pod()
        pod["metadata"]["annotations"] = {"tunegate.io/startup-budget": budget}
        outcome = by_default.create(pod)
        assert outcome
        assert outcome.of(Feature.STARTUP_PROBE) == "same"
        assert outcome.spec["containers"][0]["startupProbe"]["failureThreshold"] == threshold


def test_a_namespace_switches_features_off(by_default: Twin) -> None:
    """By the same annotations as with the webhook."""
    outcome = by_default.create(plain_pod(), SWITCHED_OFF)
    assert outcome
    assert outcome.twin == outcome.webhook == outcome.before


@pytest.mark.parametrize("words", [2_000, 40_000])
def test_a_pod_of_any_size_is_admitted(by_default: Twin, words: int) -> None:
    """What costs the API server too much to read is left as it came."""
    pod = plain_pod()
    pod["spec"]["containers"][0]["args"] = [f"--x{number}" for number in range(words)]
    outcome = by_default.create(pod)
    assert outcome
    assert {outcome.of(feature) for feature in FEATURES} <= {"same", "left"}


def test_other_values_reach_the_policies(by_other_values: Twin) -> None:
    """Budget, largest /dev/shm, and that only opted-in pods are changed."""
    pod = plain_pod()
    pod["spec"]["containers"][0]["command"] += ["-tp", "16"]
    outcome = by_other_values.create(pod)
    assert outcome
    assert {outcome.of(feature) for feature in FEATURES} == {"same"}
    assert outcome.spec["containers"][0]["startupProbe"]["failureThreshold"] == 540
    sizes = [one.get("emptyDir", {}).get("sizeLimit") for one in outcome.spec["volumes"]]
    assert "3Gi" in sizes
    del pod["metadata"]["labels"]
    silent = by_other_values.create(pod)
    assert silent
    assert silent.twin == silent.before == silent.webhook
    opted_in = by_other_values.create(pod, OPTED_IN)
    assert opted_in
    assert opted_in.twin == opted_in.webhook != opted_in.before


def test_the_webhook_leaves_pods_to_the_policies() -> None:
    """Its hook on pods is off, and its auditor would take every pod for missed."""
    rendered = chart.render({"mutatingAdmissionPolicy": {"enabled": True}})
    kind = "MutatingWebhookConfiguration"
    assert [one["metadata"]["name"] for one in chart.select(rendered, kind)] == [
        "tunegate-webhook-volumes"
    ]
    text = chart.one(rendered, "ConfigMap", "tunegate-webhook")["data"]["webhook.yaml"]
    assert config.decode(text, "webhook.yaml", {}).audit_enabled is False


def test_a_feature_that_is_switched_off_has_no_policy() -> None:
    """By the same switch as the webhook's."""
    names = {one["metadata"]["name"] for one in policies({"features": {"shm": False}})}
    assert names == {"tunegate-tolerations", "tunegate-startup-probe"}


@pytest.mark.parametrize("version", chart.VERSIONS)
def test_an_older_kubernetes_is_told_in_words(version: int) -> None:
    """1.36 is the first that serves the API as v1."""
    values = {"mutatingAdmissionPolicy": {"enabled": True}}
    ran = chart.rendered(values, kubernetes="1.35.4", version=version)
    assert ran.returncode
    assert "mutatingAdmissionPolicy.enabled: Kubernetes v1.35.4" in ran.stderr
