"""What a cluster object says to tunegate: labels and annotations of ours, and limits. Pure."""

from collections.abc import Mapping
from typing import Final

from webhook import pods
from webhook.decisions import Json
from webhook.policy import Namespace

TOLERATIONS_ALLOWED: Final = "scheduler.alpha.kubernetes.io/tolerationsWhitelist"
"""
On a namespace: all that its pods may tolerate; a pod that tolerates more is rejected.

Source: Kubernetes, "Admission Control in Kubernetes", PodTolerationRestriction.
"""
_OURS: Final = "tunegate.io/"


def marks(raw: Json) -> Namespace:
    """Return them, of a Namespace or whatever else has metadata."""
    name = pods.text(pods.metadata(raw).get("name"))
    return Namespace(name, _ours(pods.labels(raw)), _ours(pods.annotations(raw)))


def _ours(found: Mapping[str, str]) -> Mapping[str, str]:
    return {
        key: value
        for key, value in found.items()
        if key.startswith(_OURS) or key == TOLERATIONS_ALLOWED
    }
