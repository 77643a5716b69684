"""Tolerations: for what is asked for, with the user's standing, and never for the gate."""

from typing import Any

import pytest

from common.names import GATE_TAINTS, STARTUP_TAINT
from tests.unit.webhook.inject_pods import container, decision, mutated, outcome, pod
from webhook.decisions import Feature, Json, Mutation, Outcome
from webhook.policy import Policy, Toleration

NOT_READY = {
    "key": "node.kubernetes.io/not-ready",
    "operator": "Exists",
    "effect": "NoExecute",
    "tolerationSeconds": 300,
}


def exists(key: str, effect: str) -> Json:
    """Return a toleration as it is injected."""
    return {"key": key, "operator": "Exists", "effect": effect}


def keys(made: Mutation) -> list[str]:
    """Return the keys that the patched pod tolerates, each once, as they come."""
    found = made.pod["spec"].get("tolerations") or []
    return list(dict.fromkeys(item.get("key", "") for item in found))


def asking(**limits: Any) -> Json:  # noqa: ANN401 - any JSON
    """Return a pod whose container has just these limits."""
    named = {name.replace("__", "/"): amount for name, amount in limits.items()}
    return pod(container(resources={"limits": named}))


def limited(name: str, amount: object = "1") -> Json:
    """Return a pod that asks for one resource."""
    return pod(container(resources={"limits": {name: amount}}))


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("nvidia.com/gpu", ["nvidia.com/gpu"]),
        ("nvidia.com/gpu.shared", ["nvidia.com/gpu", "nvidia.com/gpu.shared"]),
        ("nvidia.com/mig-1g.10gb", ["nvidia.com/gpu", "nvidia.com/mig-1g.10gb"]),
        ("amd.com/gpu", ["amd.com/gpu"]),
        ("gpu.intel.com/xe", ["gpu.intel.com/xe"]),
        ("gpu.intel.com/i915", ["gpu.intel.com/i915"]),
        ("habana.ai/gaudi", ["habana.ai/gaudi"]),
        ("aws.amazon.com/neuron", ["aws.amazon.com/neuron"]),
        ("aws.amazon.com/neuroncore", ["aws.amazon.com/neuroncore"]),
        ("google.com/tpu", ["google.com/tpu"]),
    ],
)
def test_each_accelerator_is_tolerated_by_its_own_key(resource: str, expected: list[str]) -> None:
    """Slices of an NVIDIA GPU stand in pools that are tainted with the whole one's key, too."""
    made = mutated(limited(resource))
    assert keys(made) == expected
    assert made.pod["spec"]["tolerations"] == [
        exists(key, effect) for key in expected for effect in ("NoSchedule", "NoExecute")
    ]
    assert outcome(made, Feature.TOLERATIONS) is Outcome.INJECTED


@pytest.mark.parametrize("resource", ["cpu", "nvidia.com/gpumem", "example.com/fpga", "rdma/ib"])
def test_what_is_no_accelerator_is_not_tolerated(resource: str) -> None:
    """Nothing is guessed from a name that looks alike."""
    assert keys(mutated(limited(resource))) == []


@pytest.mark.parametrize("amount", ["0", 0, "0.0", "-1", "none", None, {}, []])
def test_a_quantity_of_nothing_asks_for_nothing(amount: object) -> None:
    """Kubernetes' own plugin adds one for 0 as well: kubernetes issue 125426."""
    made = mutated(limited("nvidia.com/gpu", amount))
    assert outcome(made, Feature.TOLERATIONS) is Outcome.NOT_APPLICABLE
    assert keys(made) == []


def test_requests_and_init_containers_count_as_limits_do() -> None:
    """An init container that warms a GPU needs the node, too."""
    warm = {"name": "warm", "resources": {"requests": {"amd.com/gpu": 1}}}
    made = mutated(pod(container(resources={}), initContainers=[warm]))
    assert keys(made) == ["amd.com/gpu"]


@pytest.mark.parametrize(
    ("image", "claim", "expected"),
    [
        ("vllm/vllm-openai:v0.32.0", "gpu", "nvidia.com/gpu"),
        ("vllm/vllm-openai-rocm:v0.32.0", "gpu", "amd.com/gpu"),
        ("vllm/vllm-openai:v0.32.0", "gaudi", "habana.ai/gaudi"),
    ],
)
def test_a_claim_stands_for_the_likeliest_accelerator(
    image: str, claim: str, expected: str
) -> None:
    """A pod with dynamic resource allocation names no resource; image and claim hint at it."""
    claims = [{"name": claim, "resourceClaimTemplateName": "one"}]
    made = mutated(pod(container(image=image, resources={}), resourceClaims=claims))
    assert keys(made) == [expected]


def test_a_claim_beside_an_accelerator_adds_nothing() -> None:
    """It is a network card's, most likely."""
    made = mutated(pod(resourceClaims=[{"name": "gaudi"}]))
    assert keys(made) == ["nvidia.com/gpu"]


@pytest.mark.parametrize(
    "own",
    [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "nvidia.com/gpu", "operator": "Exists"},
        {"key": "nvidia.com/gpu", "operator": "Equal", "value": "h100", "effect": "NoSchedule"},
        {"key": "nvidia.com/gpu", "value": "present"},
        {"operator": "Exists", "effect": "NoSchedule"},
    ],
)
def test_a_toleration_of_the_users_for_the_same_taint_stands(own: Json) -> None:
    """Also one that covers a value only: the user may keep off the other pools."""
    made = mutated(pod(tolerations=[own]))
    assert exists("nvidia.com/gpu", "NoSchedule") not in made.pod["spec"]["tolerations"][1:]
    assert made.pod["spec"]["tolerations"][0] == own


def test_only_the_effect_that_is_missing_is_added() -> None:
    """NoSchedule by the user, NoExecute by us."""
    own = exists("nvidia.com/gpu", "NoSchedule")
    made = mutated(pod(tolerations=[NOT_READY, own]))
    assert made.pod["spec"]["tolerations"] == [
        NOT_READY,
        own,
        exists("nvidia.com/gpu", "NoExecute"),
    ]


def test_a_toleration_without_key_and_operator_covers_nothing() -> None:
    """Kubernetes refuses it; whatever it was meant to be, it is not "everything"."""
    made = mutated(pod(tolerations=[{"effect": "NoSchedule"}]))
    assert exists("nvidia.com/gpu", "NoSchedule") in made.pod["spec"]["tolerations"]
    assert made.warnings == ()


def test_a_pod_that_tolerates_all_itself_is_the_users() -> None:
    """Nothing is added, and the record says whose it is."""
    own = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    made = mutated(pod(tolerations=own))
    assert made.pod["spec"]["tolerations"] == own
    assert decision(made, Feature.TOLERATIONS).outcome is Outcome.USER_OWNED
    assert "its own tolerations stand" in decision(made, Feature.TOLERATIONS).reason


@pytest.mark.parametrize(
    "own",
    [
        {"operator": "Exists"},
        {"operator": "Exists", "effect": "NoSchedule"},
        {"key": STARTUP_TAINT, "operator": "Exists"},
        {"key": GATE_TAINTS[-1], "operator": "Equal", "value": "true", "effect": "NoSchedule"},
    ],
)
def test_a_pod_that_passes_the_gate_gets_a_warning(own: Json) -> None:
    """Its toleration stays: it is the user's."""
    made = mutated(pod(tolerations=[own]))
    assert [text for text in made.warnings if "not proven" in text]
    assert made.pod["spec"]["tolerations"][0] == own


@pytest.mark.parametrize(
    "own",
    [
        {"operator": "Exists", "effect": "NoExecute"},
        {"key": STARTUP_TAINT, "operator": "Exists", "effect": "NoExecute"},
        NOT_READY,
    ],
)
def test_a_toleration_of_another_taint_gets_no_warning(own: Json) -> None:
    """The gate's effect is NoSchedule."""
    assert mutated(pod(tolerations=[own])).warnings == ()


def test_configured_tolerations_are_added_where_an_accelerator_is_asked_for() -> None:
    """With value and effect as configured."""
    pool = Toleration("dedicated", "Equal", "gpu", "NoSchedule")
    policy = Policy(tolerations=(pool,))
    made = mutated(pod(), policy)
    wanted = {"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}
    assert made.pod["spec"]["tolerations"][-1] == wanted
    assert keys(mutated(pod(container(resources={})), policy)) == []


def test_the_gate_is_never_tolerated_even_if_configured() -> None:
    """It would let pods onto nodes whose network is not proven."""
    wide = (Toleration(STARTUP_TAINT), Toleration("", "Exists"), Toleration("pool"))
    made = mutated(pod(), Policy(tolerations=wide))
    assert keys(made) == ["nvidia.com/gpu", "pool"]


def test_an_accelerator_whose_key_is_the_gate_is_not_tolerated() -> None:
    """Somebody gates with the GPU's own key."""
    made = mutated(pod(), Policy(gate_taints=("nvidia.com/gpu",)))
    assert keys(made) == []
    assert outcome(made, Feature.TOLERATIONS) is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize("tolerations", [None, []])
def test_no_list_of_tolerations_yet(tolerations: object) -> None:
    """Absent, null and empty are all the same."""
    raw = pod()
    raw["spec"]["tolerations"] = tolerations
    assert keys(mutated(raw)) == ["nvidia.com/gpu"]
