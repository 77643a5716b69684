"""
What was decided about a pod, per feature: the values that record, metrics and people share.

The record stands in the pod annotation `tunegate.io/injected`; `tunegate explain` prints the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from webhook.recognition import Recognition

Json = dict[str, Any]
"""A decoded JSON object, as the API server sent it: unknown fields stay."""


class Feature(StrEnum):
    """What can be injected; the values are the keys of the record and of the policy's switches."""

    TOLERATIONS = "tolerations"
    STARTUP_PROBE = "startupProbe"
    PRE_STOP = "preStop"
    GRACE_PERIOD = "gracePeriod"
    SHM = "shm"


FEATURES: Final[tuple[Feature, ...]] = tuple(Feature)


class Outcome(StrEnum):
    """What became of one feature."""

    INJECTED = "injected"
    USER_OWNED = "user-owned"
    NOT_APPLICABLE = "not-applicable"
    DISABLED = "disabled"
    FAILED_SAFE = "failed-safe"


@dataclass(frozen=True, slots=True)
class Decision:
    """
    One feature's outcome and why.

    Attributes:
        reason: one plain sentence without a full stop, at most 160 characters, which names the
            container or field that decided; no value of the environment, no secret.
    """

    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """
    Everything that was decided about one pod.

    Attributes:
        recognition: whether the pod serves vLLM, and by which rule.
        decisions: one entry for each feature; empty for a pod that is left alone.
        patch: RFC 6902 operations from the pod as it came; () changes nothing.
        pod: the pod with the patch applied; the very same object when there is none.
        warnings: sentences for the person who made the pod, at most 256 characters each.
        failure: what went wrong when a feature failed safe, for the log and the Event; else "".
    """

    recognition: Recognition
    decisions: Mapping[Feature, Decision]
    patch: tuple[Json, ...]
    pod: Json
    warnings: tuple[str, ...] = field(default=())
    failure: str = ""
