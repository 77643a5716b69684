"""
Profiles: one configuration for several node pools, chosen by what is known of the node. Pure.
"""

from collections.abc import Mapping

from common.record import dataclass


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """
    What is known of the node itself: its Kubernetes labels and ``spec.providerID``.

    ``labels`` None means that nobody could be asked for them, which is not the same as none.
    """

    labels: Mapping[str, str] | None = None
    provider_id: str = ""
