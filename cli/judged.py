"""
What the webhook makes of manifests: its own engine on every pod, in the order of the files. Pure.

Namespaces, Services, claims and volumes in the same files are what a pod is judged with.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cli.manifests import Document
from webhook import pods
from webhook.decisions import Json, Mutation
from webhook.mutate import mutate
from webhook.policy import Namespace, Policy
from webhook.recognition import Verdict
from webhook.templates import Template, templates, workloads
from webhook.warn import Caution, cautions_of, names_before
from webhook.warn.scene import Surroundings

_HOLDS_PODS: Final = frozenset(
    {
        *("Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"),
        *("Rollout", "LeaderWorkerSet", "RayCluster", "RayService"),
    }
)
_MADE_ELSEWHERE: Final = frozenset({"InferenceService", "LLMInferenceService"})


@dataclass(frozen=True, slots=True)
class Judged:
    """One pod of a document, and what becomes of it."""

    document: Document
    template: Template
    mutation: Mutation
    cautions: tuple[Caution, ...]
    cured: tuple[str, ...]

    @property
    def hidden(self) -> str:
        """The name of a container that says neither image nor command, "" where there is none."""
        is_known = self.mutation.recognition.verdict is not Verdict.OTHER
        containers = () if is_known else pods.placed(self.mutation.pod, pods.CONTAINERS)
        blank = (one.name for one in containers if not {"image", "command"} & one.raw.keys())
        return next(blank, "")


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    All pods, and what was passed over.

    Attributes:
        notes: sentences about documents that hold no pod that can be judged.
        without_pods: how many objects are of kinds that have no pods.
    """

    pods: tuple[Judged, ...]
    notes: tuple[str, ...]
    without_pods: int


@dataclass(slots=True)
class _Known:
    """What the files say beside workloads."""

    namespaces: dict[str, Namespace] = field(default_factory=dict)
    services: set[str] = field(default_factory=set)
    claims: dict[str, Json] = field(default_factory=dict)
    volumes: dict[str, Json] = field(default_factory=dict)

    def learn(self, thing: Json) -> None:
        """Take up one object."""
        name, spec = pods.text(pods.metadata(thing).get("name")), pods.spec(thing)
        match thing.get("kind"):
            case "Namespace":
                said = Namespace(name, pods.labels(thing), pods.annotations(thing))
                self.namespaces[name] = said
            case "Service" if spec.get("clusterIP") != "None":
                self.services.add(name)
            case "PersistentVolumeClaim":
                self.claims[name] = spec
            case "PersistentVolume":
                self.volumes[name] = spec


def judge(documents: Iterable[Document], policy: Policy, around: Namespace) -> Judgement:
    """Return what becomes of every pod in these documents; `around` adds to their namespaces."""
    kept = list(documents)
    known = _Known()
    for document in kept:
        for thing in workloads(document.tree):
            known.learn(thing)
    found: list[Judged] = []
    notes: list[str] = []
    without = 0
    for document in kept:
        pods_here = list(_pods(document, policy, around, known))
        found += pods_here
        if not pods_here:
            note = _note(document)
            notes += [note] if note else []
            without += not note
    return Judgement(tuple(found), tuple(notes), without)


def _pods(document: Document, policy: Policy, around: Namespace, known: _Known) -> Iterator[Judged]:
    surroundings = Surroundings(frozenset(known.services), known.claims, known.volumes)
    for template in templates(document.tree):
        namespace = _namespace(template, around, known.namespaces)
        mutation = mutate(template.pod, policy, namespace)
        found = cautions_of(template, mutation, policy, surroundings)
        left = {caution.name for caution in found}
        before = names_before(template, mutation, policy, surroundings)
        cured = tuple(name for name in before if name not in left)
        yield Judged(document, template, mutation, found, cured)


def _namespace(template: Template, around: Namespace, known: Mapping[str, Namespace]) -> Namespace:
    name = template.namespace or "default"
    there = known.get(name, Namespace(name))
    return replace(
        there,
        labels={**there.labels, **around.labels},
        annotations={**there.annotations, **around.annotations},
    )


def _note(document: Document) -> str:
    """Return what to say of a document without pods, "" where that is as it should be."""
    tree = pods.mapping(document.tree)
    kind = pods.text(tree.get("kind"))
    name = f"{kind} {pods.text(pods.metadata(tree).get('name'))}".strip()
    place = f"{document.source}:{document.line}: {name}"
    if kind in _MADE_ELSEWHERE:
        return f"{place} names no containers: KServe makes them from a runtime that is not here"
    if kind in _HOLDS_PODS:
        return f"{place} holds no containers that could be read"
    return ""


def pod_object(judged: Judged) -> dict[str, Any]:
    """Return one pod as `-o json` prints it."""
    return {
        "name": judged.template.name,
        "kind": judged.template.kind,
        "patch": list(judged.mutation.patch),
        "pod": judged.mutation.pod,
        "decisions": {
            feature.value: {"outcome": decision.outcome.value, "reason": decision.reason}
            for feature, decision in judged.mutation.decisions.items()
        },
        "warnings": [caution.line for caution in judged.cautions],
    }
