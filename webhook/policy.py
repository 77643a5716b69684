"""What the administrator wants injected: values only; `webhook.settings` reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from common.names import GATE_TAINTS
from webhook.decisions import FEATURES, Feature

MINUTE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Toleration:
    """A toleration to add besides those of the accelerators; effect "" means every effect."""

    key: str
    operator: str = "Exists"
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """
    The switches and amounts; defaults as documented, with the reason for each, in docs/webhook.md.

    Attributes:
        features: those that are switched on.
        startup_budget_seconds: how long a vLLM server may take from start to ready.
        drain_timeout_seconds: how long the preStop hook waits for requests to finish.
        propagation_seconds: how long endpoints may need to learn that the pod ends.
        teardown_seconds: kept free between the end of the hook and the end of the grace period.
        respect_grace_30: a grace period of 30 s is the user's will, not the default.
        tolerations: added to every recognised pod that asks for an accelerator.
        gate_taints: keys that are never tolerated for anybody.
        shm_max_bytes: no /dev/shm above this, whatever the formula says; 0 means no limit.
        opt_in_only: inject only into pods and namespaces labelled `tunegate.io/inject=enabled`.
    """

    features: frozenset[Feature] = frozenset(FEATURES)
    startup_budget_seconds: int = 30 * MINUTE_SECONDS
    drain_timeout_seconds: int = 2 * MINUTE_SECONDS
    propagation_seconds: int = 5
    teardown_seconds: int = 30
    respect_grace_30: bool = False
    tolerations: tuple[Toleration, ...] = ()
    gate_taints: tuple[str, ...] = GATE_TAINTS
    shm_max_bytes: int = 0
    opt_in_only: bool = False


@dataclass(frozen=True, slots=True)
class Namespace:
    """What a pod's namespace says; empty when it is not known."""

    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
