"""Asks for the list of storage servers where the kubelet has not brought it to this pod yet."""

from agent.cluster.client import ClusterClient
from agent.cluster.errors import ClusterError, NotFoundError
from agent.endpoints import Listed, read_config_map


class StorageList:
    """The ConfigMap behind the endpoints file, by a connection of its own."""

    def __init__(self, client: ClusterClient) -> None:
        """Ask for nothing yet."""
        self._client = client

    def listed(self, config_map: str) -> Listed:
        """Return what ``namespace/name`` lists now; missing where it cannot be read."""
        namespace, _, name = config_map.partition("/")
        try:
            return read_config_map(self._client.get_config_map(namespace, name))
        except NotFoundError:
            return Listed((), (), is_missing=True)
        except ClusterError as error:
            return Listed((), (str(error),), is_missing=True)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
