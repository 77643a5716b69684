"""
Which nodes a pod template would go to, and which taints it tolerates: the scheduler's rules. Pure.

Source: Kubernetes documentation, "Assigning Pods to Nodes" (terms are alternatives, expressions of
a term all hold) and "Taints and Tolerations" (an empty key with Exists tolerates everything).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from common import names
from webhook import pods
from webhook.decisions import Json

_FIELDS: Final = "metadata.name"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One expression over a label, or over the node's name when ``is_name``."""

    key: str
    operator: str
    values: tuple[str, ...]
    is_name: bool = False

    def holds(self, labels: Mapping[str, str], node_name: str) -> bool:
        """Return whether a node fits; an operator that is not known does not hold."""
        found = node_name if self.is_name else labels.get(self.key)
        test = _OPERATORS.get(self.operator)
        return test is not None and test(found, self.values)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0


_OPERATORS: Final[Mapping[str, Callable[[str | None, tuple[str, ...]], bool]]] = {
    "In": lambda found, values: found in values,
    "NotIn": lambda found, values: found not in values,
    "Exists": lambda found, _: found is not None,
    "DoesNotExist": lambda found, _: found is None,
    "Gt": lambda found, values: found is not None and _number(found) > _number(values[0]),
    "Lt": lambda found, values: found is not None and _number(found) < _number(values[0]),
}

Term = tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class Toleration:
    """One toleration; "" for what it does not name."""

    key: str
    operator: str
    effect: str

    def tolerates(self, key: str, effect: str) -> bool:
        """Return whether it lets a pod pass a taint, whose value does not matter for a gate."""
        if self.effect not in ("", effect):
            return False
        if not self.key:
            return self.operator == "Exists"
        return self.key == key


@dataclass(frozen=True, slots=True)
class Selection:
    """
    Where a pod template goes.

    ``terms`` are alternatives; empty means no required affinity.
    """

    node_selector: Mapping[str, str]
    terms: tuple[Term, ...]
    tolerations: tuple[Toleration, ...]

    def chooses(self, labels: Mapping[str, str], node_name: str = "") -> bool:
        """Return whether a node with these labels is chosen, taints aside."""
        if any(labels.get(key) != value for key, value in self.node_selector.items()):
            return False
        return not self.terms or any(
            bool(term) and all(one.holds(labels, node_name) for one in term) for term in self.terms
        )

    def tolerates(self, key: str, effect: str = names.TAINT_EFFECT) -> bool:
        """Return whether it may go to a node with this taint."""
        return any(one.tolerates(key, effect) for one in self.tolerations)

    def alternatives(self) -> tuple[frozenset[str], ...]:
        """Return, for each way to be chosen, the labels that the node must have for it."""
        always = frozenset(self.node_selector)
        wanted = (
            frozenset(one.key for one in term if one.operator in ("In", "Exists", "Gt", "Lt"))
            for term in self.terms or ((),)
        )
        return tuple(always | one for one in wanted)


def selection_of(pod: Json) -> Selection:
    """Return where a pod, or a pod template, goes."""
    spec = pods.spec(pod)
    affinity = pods.mapping(pods.mapping(spec.get("affinity")).get("nodeAffinity"))
    required = pods.mapping(affinity.get("requiredDuringSchedulingIgnoredDuringExecution"))
    return Selection(
        pods.strings(spec.get("nodeSelector")),
        tuple(map(_term, pods.objects(required.get("nodeSelectorTerms")))),
        tuple(map(_toleration, pods.objects(spec.get("tolerations")))),
    )


def _term(raw: Json) -> Term:
    by_label = tuple(map(_requirement, pods.objects(raw.get("matchExpressions"))))
    by_name = (
        Requirement(_FIELDS, pods.text(one.get("operator")), _values(one), is_name=True)
        for one in pods.objects(raw.get("matchFields"))
    )
    return (*by_label, *by_name)


def _requirement(raw: Json) -> Requirement:
    return Requirement(pods.text(raw.get("key")), pods.text(raw.get("operator")), _values(raw))


def _values(raw: Json) -> tuple[str, ...]:
    return tuple(pods.texts(raw.get("values"))) or ("",)


def _toleration(raw: Json) -> Toleration:
    return Toleration(
        pods.text(raw.get("key")), pods.text(raw.get("operator")), pods.text(raw.get("effect"))
    )
