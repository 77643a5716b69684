"""
Label selectors in the form kubectl takes. Pure.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_KEY = (
    r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
)
_VALUE = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?"
_FORMS: Final = (
    ("in", re.compile(rf"({_KEY})\s+in\s*\(([^()]*)\)")),
    ("notin", re.compile(rf"({_KEY})\s+notin\s*\(([^()]*)\)")),
    ("notin", re.compile(rf"({_KEY})\s*!=\s*({_VALUE})")),
    ("in", re.compile(rf"({_KEY})\s*==?\s*({_VALUE})")),
    ("exists", re.compile(rf"({_KEY})()")),
    ("absent", re.compile(rf"!\s*({_KEY})()")),
)
_PARTS: Final = re.compile(r",(?![^(]*\))")
_MAX_LENGTH: Final = 4096


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label; operator is `in`, `notin`, `exists` or `absent`."""

    key: str
    operator: str
    values: frozenset[str]

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Return whether these labels fulfil it; a label that is absent is not in any set."""
        match self.operator:
            case "in":
                return self.key in labels and labels[self.key] in self.values
            case "notin":
                return labels.get(self.key) not in self.values
            case "exists":
                return self.key in labels
            case _:
                return self.key not in labels


@dataclass(frozen=True, slots=True)
class Selector:
    """Conditions that all have to hold; an empty one selects nothing here, never everything."""

    requirements: tuple[Requirement, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Return whether these labels fulfil every condition."""
        return bool(self.requirements) and all(one.holds(labels) for one in self.requirements)


def parse(text: str) -> Selector:
    """
    Read `a=b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, separated by commas.

    Raises:
        ValueError: It is no selector; the text names the part that is wrong.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"a label selector of more than {_MAX_LENGTH} characters")
    if not text.strip():
        return Selector()
    return Selector(tuple(_requirement(part.strip()) for part in _PARTS.split(text)))


def _requirement(part: str) -> Requirement:
    for operator, form in _FORMS:
        if found := form.fullmatch(part):
            key, listed = found.groups()
            values = frozenset(value.strip() for value in listed.split(","))
            if all(re.fullmatch(_VALUE, value) for value in values):
                return Requirement(key, operator, values)
    raise ValueError(f"{part!r} is not a label requirement such as a=b, a in (b,c), a or !a")
