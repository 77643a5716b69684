"""What is known of the node itself, which decides how its host is treated. Pure."""

from collections.abc import Mapping

from common.record import dataclass


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """
    What is known of the node itself: its Kubernetes labels and ``spec.providerID``.

    ``labels`` None means that nobody could be asked for them, which is not the same as none.
    ``machine_cloud`` is the cloud that the machine's firmware names, for a node without a
    provider ID.
    """

    labels: Mapping[str, str] | None = None
    provider_id: str = ""
    machine_cloud: str = ""

    @property
    def cloud(self) -> str:
        """Return the name of the node's cloud, "" when nothing tells."""
        if not self.provider_id:
            return self.machine_cloud
        from agent.clouds import detect_from_provider_id  # noqa: PLC0415 - rarely asked

        cloud = detect_from_provider_id(self.provider_id)
        return cloud.name if cloud else self.machine_cloud
