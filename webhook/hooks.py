"""
The server's paths: which review each takes, and which part of the engine judges it. Pure.

What an object's namespace or StorageClass says comes from caches that are read without waiting.
"""

from collections.abc import Callable, Mapping
from typing import Final

from webhook.amendment import Amendment
from webhook.decisions import Json, Mutation, Outcome
from webhook.mutate import mutate
from webhook.nodes import NodeGate, gate
from webhook.policy import Namespace, Policy
from webhook.recognition import Verdict
from webhook.review import Answer, Hook, Review
from webhook.volumes import amend
from webhook.warn import bounded, warnings_for

MUTATE: Final = "/mutate"
WARN: Final = "/warn"
VOLUMES: Final = "/volumes"
NODES: Final = "/nodes"
PATHS: Final = (MUTATE, WARN, VOLUMES, NODES)
FAILED_SAFE: Final = "failed-safe"
"""The rule of an object that could not be judged."""


def pods_hook(
    policy: Callable[[], Policy],
    namespace: Callable[[str], Namespace],
    judged: Callable[[Review, Mutation], None],
) -> Hook:
    """Return the hook that injects; `judged` hears of every pod, in the request's own thread."""

    def decide(review: Review) -> Answer:
        mutation = mutate(review.object, policy(), namespace(review.namespace))
        judged(review, mutation)
        return Answer(mutation.patch, mutation.warnings, _audit(mutation), mutation.failure)

    return Hook(MUTATE, decide, "pods")


def _audit(mutation: Mutation) -> Mapping[str, str]:
    """Return what the audit log gets of a pod that serves; other pods are none of its business."""
    if mutation.recognition.verdict is not Verdict.SERVES:
        return {}
    injected = [
        feature
        for feature, decision in mutation.decisions.items()
        if decision.outcome is Outcome.INJECTED
    ]
    return {"rule": mutation.recognition.rule, "injected": ",".join(injected)}


def volumes_hook(class_annotations: Callable[[str], Mapping[str, str]]) -> Hook:
    """Return the hook that gives NFS PersistentVolumes their mount options."""
    return _amending(VOLUMES, "persistentvolumes", lambda volume: amend(volume, class_annotations))


def nodes_hook(settings: NodeGate) -> Hook:
    """Return the hook that puts the gate taint on nodes that register."""
    return _amending(NODES, "nodes", lambda node: gate(node, settings))


def warnings_hook(policy: Callable[[], Policy], namespace: Callable[[str], Namespace]) -> Hook:
    """Return the hook that warns about workloads, whatever their kind, and never changes one."""

    def decide(review: Review) -> Answer:
        cautions = warnings_for(review.object, policy(), namespace(review.namespace))
        return Answer(warnings=bounded(cautions))

    return Hook(WARN, decide, operations=frozenset({"CREATE", "UPDATE"}))


def _amending(path: str, resource: str, amended: Callable[[Json], Amendment]) -> Hook:
    def decide(review: Review) -> Answer:
        amendment = amended(review.object)
        failure = f"the {resource} rule failed" if amendment.rule == FAILED_SAFE else ""
        return Answer(amendment.patch, amendment.warnings, failure=failure)

    return Hook(path, decide, resource)
