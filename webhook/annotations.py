"""What a pod's annotations ask for: amounts, and features that are switched off."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from common.names import (
    POD_ANNOTATION_DISABLE,
    POD_ANNOTATION_DRAIN_TIMEOUT,
    POD_ANNOTATION_SHM_SIZE,
    POD_ANNOTATION_STARTUP_BUDGET,
)
from webhook import pods
from webhook.decisions import FEATURES, Feature, Json
from webhook.marks import TOLERATIONS_ALLOWED
from webhook.policy import Namespace, Policy
from webhook.quantities import MIB, duration_seconds, duration_text, size_bytes, size_text

MAX_BUDGET_SECONDS: Final = 24 * 3600
MAX_DRAIN_SECONDS: Final = 3600
MIN_SHM_BYTES: Final = 128 * MIB
"""Twice what a container has without us, and less than any vLLM starts with."""
MAX_SHM_BYTES: Final = 2**50
_MAX_DISABLED: Final = 512
"""So much of a list of features is read; all of them are 48 characters."""
_SHOWN: Final = 40
"""So much of a value that cannot be used is shown again."""

_BY_NAME: Final = {feature.lower(): feature for feature in FEATURES}
_NOTHING: Final = ("", "[]", "null")
_SEPARATORS: Final = re.compile(r"[,\s]+")


@dataclass(frozen=True, slots=True)
class Wishes:
    """
    What holds for one pod once its annotations and those of its namespace were read.

    Attributes:
        startup_budget_seconds, drain_timeout_seconds: the pod's own, else the policy's.
        shm_bytes: the size that the pod asks for; 0 where it asks for none.
        disabled: the features that are switched off, each with who did it.
        warnings: a sentence for each value that cannot be used.
    """

    startup_budget_seconds: int
    drain_timeout_seconds: int
    shm_bytes: int
    disabled: Mapping[Feature, str]
    warnings: tuple[str, ...]


def wishes(pod: Json, policy: Policy, namespace: Namespace) -> Wishes:
    """Return what the annotations ask for; the policy holds where they say nothing of use."""
    found = pods.annotations(pod)
    warnings: list[str] = []
    budget = _amount(
        found.get(POD_ANNOTATION_STARTUP_BUDGET),
        _duration(10, MAX_BUDGET_SECONDS),
        f"{POD_ANNOTATION_STARTUP_BUDGET} %s; {duration_text(policy.startup_budget_seconds)} holds",
        warnings,
    )
    drain = _amount(
        found.get(POD_ANNOTATION_DRAIN_TIMEOUT),
        _duration(1, MAX_DRAIN_SECONDS),
        f"{POD_ANNOTATION_DRAIN_TIMEOUT} %s; {duration_text(policy.drain_timeout_seconds)} holds",
        warnings,
    )
    shm = _amount(
        found.get(POD_ANNOTATION_SHM_SIZE),
        _shm_size,
        f"{POD_ANNOTATION_SHM_SIZE} %s; the size is worked out instead",
        warnings,
    )
    disabled = dict(_disabled(found, policy, namespace, warnings))
    return Wishes(
        budget or policy.startup_budget_seconds,
        drain or policy.drain_timeout_seconds,
        shm,
        disabled,
        tuple(warnings),
    )


def _amount(raw: str | None, read: Callable[[str], int], message: str, warnings: list[str]) -> int:
    """Return an annotation's amount; 0, and a warning, where it cannot be used."""
    if raw is None:
        return 0
    try:
        return read(raw)
    except ValueError as error:
        warnings.append(message % f"{_shown(raw)} {error}")
        return 0


def _duration(least: int, most: int) -> Callable[[str], int]:
    def read(raw: str) -> int:
        seconds = duration_seconds(raw)
        if not least <= seconds <= most:
            between = f"{duration_text(least)} and {duration_text(most)}"
            raise ValueError(f"is not between {between}")
        return seconds

    return read


def _shm_size(raw: str) -> int:
    size = size_bytes(raw)
    if not MIN_SHM_BYTES <= size <= MAX_SHM_BYTES:
        raise ValueError(
            f"is not between {size_text(MIN_SHM_BYTES)} and {size_text(MAX_SHM_BYTES)}"
        )
    return size


def _disabled(
    found: Mapping[str, str], policy: Policy, namespace: Namespace, warnings: list[str]
) -> Iterator[tuple[Feature, str]]:
    """Yield what is switched off and by whom; where several did, the nearest to the pod counts."""
    for feature in FEATURES:
        if feature not in policy.features:
            yield feature, "switched off by the policy"
    if namespace.annotations.get(TOLERATIONS_ALLOWED, "").strip() not in _NOTHING:
        why = f"the namespace's annotation {TOLERATIONS_ALLOWED} says what its pods may tolerate"
        yield Feature.TOLERATIONS, why
    sources = ((namespace.annotations, "namespace"), (found, "pod"))
    for annotations, owner in sources:
        written = annotations.get(POD_ANNOTATION_DISABLE, "")[:_MAX_DISABLED]
        for word in _SEPARATORS.split(written):
            named = _BY_NAME.get(word.lower())
            if named:
                yield named, f"switched off by the {owner}'s annotation {POD_ANNOTATION_DISABLE}"
            elif word:
                known = ", ".join(FEATURES)
                warnings.append(
                    f"{POD_ANNOTATION_DISABLE} of the {owner}: {_shown(word)} is no feature;"
                    f" the features are {known}"
                )


def _shown(raw: str) -> str:
    """Return a value in quotes, cut, with nothing in it that a terminal would act on."""
    plain = "".join(char if char.isprintable() else "?" for char in raw[:_SHOWN])
    return f'"{plain}{"..." if len(raw) > _SHOWN else ""}"'
