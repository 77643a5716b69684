"""The policies that stand in for the webhook change a pod as the webhook would, or leave it."""

import copy
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.chart.twin import FEATURES, Twin, plain_pod, policies, twin
from tests.golden import corpus
from tests.golden.corpus import Case
from tests.lab import chart
from tests.lab.api import Object
from tests.property.pod_trees import pods
from webhook import config
from webhook.decisions import Feature
from webhook.inject.tolerations import ACCELERATORS
from webhook.policy import Namespace

pytestmark = [pytest.mark.lab, pytest.mark.api, pytest.mark.timeout(900)]

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


USUAL = st.sampled_from(
    (
        *(("m",), ("--model", "m"), ("--port", "8001"), ("--port=8002",), ("-tp", "2")),
        *(("--tensor_parallel_size=4",), ("--tensor-parallel-size", "8"), ("-pp=3",)),
        *(("--pipeline-parallel-size", "2"), ("--enforce-eager",), ("--host", "0.0.0.0")),
        *(("--host=::",), ("--api-server-count=4",), ("--max-model-len", "4096"), ("-O3",)),
        *(("--kv-transfer-config.kv_role", "kv_both"), ("--no-enable-prefix-caching",)),
    )
)
UNUSUAL = (
    *("--uds", "--uds=/s", "--grpc", "--headless", "--node-rank=1", "--node_rank", "-r", "-n"),
    *("--nnodes=2", "-dp", "--data-parallel-size=4", "--data_parallel_size_local=2", "-dpn=1"),
    *("--config", "--config=a.yaml", "--ssl-keyfile=/a", "--ssl-certfile", "--omni"),
    *("--host=localhost", "localhost", "127.0.0.1", "--host=[::1]", "--help", "--version"),
    *("--kv-offloading-size=10", "--kv_offloading_size", "$(FLAGS)", "$FLAGS", "--port=$(P)"),
    *("--port", "--port=", "--port=0", "--port=08001", "--port=70000", "-port", "--no-port"),
    *("-tp=two", "-tp=1000", "-tp", "--tp=4", "-pp=0", "--headless=true", "serve", "", "-"),
    *("--config.x=1", "--port.x", "--grpc-port=1", "vllm", "sh -c vllm", "-m"),
)
IMAGES = st.sampled_from(
    (
        *(
            "x",
            "vllm/vllm-openai",
            "docker.io/vllm/vllm-openai:v0.11.0",
            "r.io:5000/a/vllm-openai:x",
        ),
        *(
            "r.io/nim/vllm-openai:1",
            "r.io/vllm-openai-router:1",
            "vllm/vllm-openai@sha256:" + "a" * 64,
        ),
    )
)
PROBES: st.SearchStrategy[Object] = st.sampled_from(
    ({}, {"port": 8000}, {"port": 9000}, {"port": "http"})
)
MEMORY = st.sampled_from(("", "100Mi", "3Gi", "1.5Gi", "5G", "64Gi", "1000000001", "1Ti"))


@st.composite
def servers(draw: st.DrawFn) -> Object:
    """Return a pod that runs, or nearly runs, `vllm serve` with any flags."""
    words = [word for usual in draw(st.lists(USUAL, max_size=3)) for word in usual]
    if draw(st.booleans()):
        words.insert(draw(st.integers(0, len(words))), draw(st.sampled_from(UNUSUAL)))
    argv = [
        *draw(st.sampled_from((["vllm", "serve"], ["/opt/vllm", "serve"], ["vllm"], []))),
        *words,
    ]
    cut = draw(st.sampled_from((0, 1, 2, len(argv))))
    memory = draw(MEMORY)
    probe = draw(PROBES)
    pod = plain_pod()
    container = pod["spec"]["containers"][0]
    container |= {"image": draw(IMAGES), "command": argv[:cut], "args": argv[cut:]}
    container["resources"]["limits"] |= {"memory": memory} if memory else {}
    if probe:
        container["ports"] = [{"name": "http", "containerPort": 8100}]
        container["readinessProbe"] = {"httpGet": {"path": "/health", **probe}}
    if draw(st.booleans()):
        del pod["metadata"]["labels"]
    return pod


@pytest.mark.parametrize("word", UNUSUAL)
def test_an_unusual_flag_is_read_as_the_webhook_does_or_left(by_default: Twin, word: str) -> None:
    """Alone, before and after others; whatever it does to the server."""
    for words in ([word], [word, "7"], ["--port", "8001", word], [word, "-tp", "2"]):
        pod = plain_pod()
        container = pod["spec"]["containers"][0]
        container["command"] += words
        container["ports"] = [{"containerPort": 8100}]
        outcome = by_default.create(pod)
        assert outcome
        assert {outcome.of(feature) for feature in FEATURES} <= {"same", "left"}, words


@settings(max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
@given(servers())
def test_a_server_with_any_flags_becomes_what_the_webhook_makes_of_it_or_stays(
    by_default: Twin, pod: Object
) -> None:
    """A flag that the policies misread would show here."""
    outcome = by_default.create(pod)
    assume(outcome)
    assert outcome
    assert {outcome.of(feature) for feature in FEATURES} <= {"same", "left"}


@pytest.mark.parametrize("pattern", ACCELERATORS)
def test_every_accelerator_is_known(by_default: Twin, pattern: str) -> None:
    """The same names as the webhook's, exact and by their beginnings."""
    pod = plain_pod()
    pod["spec"]["containers"][0]["resources"]["limits"] = {pattern.replace("*", "x1"): 1}
    outcome = by_default.create(pod)
    assert outcome
    assert outcome.of(Feature.TOLERATIONS) == "same"
    assert outcome.twin[Feature.TOLERATIONS] != outcome.before[Feature.TOLERATIONS]


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


@pytest.mark.parametrize("words", [2_000, 10_000])
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
