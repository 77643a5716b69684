"""Raw pods for the tests of the injections: one that serves, and changes to it."""

import json
from typing import Any

from webhook.decisions import Decision, Feature, Json, Mutation, Outcome
from webhook.mutate import mutate
from webhook.policy import Namespace, Policy

POLICY = Policy()


def container(*args: str, **fields: Any) -> Json:  # noqa: ANN401 - any JSON
    """Return a container that serves vLLM, with more arguments and other fields; None drops."""
    made = {
        "name": "vllm",
        "image": "vllm/vllm-openai:v0.32.0",
        "command": ["vllm", "serve", "/models/llama", *args],
        "resources": {"limits": {"nvidia.com/gpu": "1", "memory": "100Gi"}},
    }
    return _without_none(made | fields)


def pod(*containers: Json, annotations: dict[str, str] | None = None, **spec: Any) -> Json:  # noqa: ANN401 - any JSON
    """Return a pod as the API server sends it: defaults filled in, no name yet."""
    fields = {
        "terminationGracePeriodSeconds": 30,
        "containers": list(containers) or [container()],
    }
    metadata = {"generateName": "llm-", "labels": {"app": "llm"}, "annotations": annotations}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _without_none(metadata),
        "spec": _without_none(fields | spec),
    }


def mutated(raw: Json, policy: Policy = POLICY, namespace: Namespace = Namespace()) -> Mutation:  # noqa: B008 - frozen
    """Return what is decided; that the pod itself stays as it is holds for every test."""
    before = json.dumps(raw)
    made = mutate(raw, policy, namespace)
    assert json.dumps(raw) == before
    return made


def decision(made: Mutation, feature: Feature) -> Decision:
    """Return what was decided about one feature."""
    return made.decisions[feature]


def outcome(made: Mutation, feature: Feature) -> Outcome:
    """Return what became of one feature."""
    return made.decisions[feature].outcome


def only(made: Mutation, place: str = "containers", index: int = 0) -> Json:
    """Return a container of the patched pod."""
    found: Json = made.pod["spec"][place][index]
    return found


def _without_none(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}
