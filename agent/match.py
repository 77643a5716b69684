"""
Which nodes a profile is for: rules over a node's labels and its cloud. Pure.

Labels and their keys are those of the Kubernetes API (labels and selectors, "Syntax and character
set"); a Node's pool is such a label on every cloud, e.g. ``doks.digitalocean.com/node-pool``,
``eks.amazonaws.com/nodegroup``, ``cloud.google.com/gke-nodepool``, ``agentpool``.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from agent.clouds import CLOUDS
from common.readers import MAX_KEY_LENGTH, is_qualified_name, near
from common.record import dataclass

EXISTS = "*"


@dataclass(frozen=True, slots=True)
class LabelRule:
    """One label that a node must have with one of these values, with any (``*``), or not (none)."""

    key: str
    values: tuple[str, ...]

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Return whether a node with these labels keeps the rule."""
        if not self.values:
            return self.key not in labels
        return self.key in labels and (EXISTS in self.values or labels[self.key] in self.values)

    def __str__(self) -> str:
        """Return the rule as people say it."""
        if not self.values:
            return f"no label {self.key}"
        if EXISTS in self.values:
            return f"label {self.key}"
        return f"label {self.key}={'|'.join(self.values)}"


@dataclass(frozen=True, slots=True)
class Match:
    """What a node must be like: every label rule, and one of the clouds where any is named."""

    labels: tuple[LabelRule, ...] = ()
    clouds: tuple[str, ...] = ()

    @property
    def takes_all(self) -> bool:
        """Return whether every node is like this."""
        return not self.labels and not self.clouds

    def __str__(self) -> str:
        """Return the rules as people say them."""
        cloud = (f"cloud {'|'.join(self.clouds)}",) if self.clouds else ()
        return ", ".join((*map(str, self.labels), *cloud)) or "every node"


def read_match(raw: object, where: str, errors: list[str]) -> Match:
    """Read ``{labels: {KEY: value|list|"*"|null}, cloud: NAME|list}``; add what is wrong."""
    body = raw if isinstance(raw, dict) else {}
    if not isinstance(raw, dict):
        errors.append(f"{where}: must be a mapping of labels and cloud ({{}} takes every node)")
    known = {"labels", "cloud"}
    errors += [
        f"{where}.{name}: no such setting{near(str(name), known)}"
        for name in body
        if name not in known
    ]
    labels, rules = body.get("labels", {}), []
    if not isinstance(labels, dict):
        errors.append(f"{where}.labels: must be a mapping of label keys, not {labels!r}")
        labels = {}
    for key, value in labels.items():
        try:
            rules.append(_label_rule(key, value))
        except ValueError as error:
            errors.append(f"{where}.labels.{key}: {error}")
    return Match(tuple(rules), tuple(_clouds(body.get("cloud", []), f"{where}.cloud", errors)))


def _label_rule(key: object, raw: object) -> LabelRule:
    if not isinstance(key, str) or not is_qualified_name(key):
        raise ValueError("is not a label key: expected prefix/name or name")
    if raw is None:
        return LabelRule(key, ())
    values: list[Any] = raw if isinstance(raw, list) else [raw]
    if not values or not all(isinstance(value, str) for value in values):
        raise ValueError(f'must be text, a list of texts, "*" or null, not {raw!r}: quote it')
    if wrong := [value for value in values if value != EXISTS and not _is_value(value)]:
        raise ValueError(f"{wrong[0]!r} cannot be the value of a label")
    return LabelRule(key, tuple(values))


def _is_value(text: str) -> bool:
    ends = (text[:1] + text[-1:]).isalnum() or not text
    body = text.replace("-", "").replace("_", "").replace(".", "")
    return len(text) <= MAX_KEY_LENGTH and ends and text.isascii() and (body.isalnum() or not text)


def _clouds(raw: object, where: str, errors: list[str]) -> Iterator[str]:
    known: Collection[str] = CLOUDS.keys()
    for name in raw if isinstance(raw, list) else [raw]:
        if isinstance(name, str) and name in known:
            yield name
        else:
            meant = near(str(name), set(known)) or f"; known are {', '.join(sorted(known))}"
            errors.append(f"{where}: {name!r} is no cloud{meant}")
