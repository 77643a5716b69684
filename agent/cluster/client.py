"""
The agent's API calls: read its Node, patch it, patch its status, post an event, watch it.

Where it is switched on, also: read the PersistentVolume of a mount.
One kept connection for the requests; each watch has its own. Safe to call from several threads:
one request at a time.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from agent.cluster.connection import Connection
from agent.cluster.credentials import Credentials
from agent.cluster.errors import Call, ClusterError, ConflictError, ServerError, error_of
from agent.cluster.stream import NodeStream
from agent.cluster.wire import Request, Response, quoted
from agent.node import NodeView, node_view
from agent.node_patch import EVENT_NAMESPACE
from common import names
from common.node_patches import Operation

if TYPE_CHECKING:
    from agent.volumes import Volume

OnRequest = Callable[[str, int], None]
"""Told of every request: its verb and the HTTP status, 0 when no answer came."""

JSON_PATCH = "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
_OK, _CREATED, _UNAUTHORIZED = 200, 201, 401


def _ignore(_verb: str, _status: int) -> None:
    pass


class ClusterClient:
    """The API server as the agent sees it; every method raises ClusterError."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        timeout_seconds: float = 5.0,
        on_request: OnRequest = _ignore,
    ) -> None:
        """Connect to nothing yet."""
        self._credentials = credentials
        self._timeout_seconds = timeout_seconds
        self._on_request = on_request
        self._connection = Connection(credentials, timeout_seconds)
        self._turn = threading.Lock()

    def get_node(self, name: str) -> NodeView:
        """Return the Node as it is now."""
        return node_view(self._call(Call("get", "nodes", name), "GET", _node_path(name)))

    def patch_node(self, name: str, operations: Sequence[Operation]) -> NodeView:
        """Apply a JSON Patch to the Node and return what it made of it."""
        call = Call("patch", "nodes", name)
        path = _node_path(name) + _MANAGER
        return node_view(self._call(call, "PATCH", path, operations, JSON_PATCH))

    def patch_status(self, name: str, patch: Mapping[str, object]) -> NodeView:
        """Apply a strategic merge patch to the Node's status and return what it made of it."""
        call = Call("patch", "nodes/status", name)
        path = _node_path(name) + "/status" + _MANAGER
        return node_view(self._call(call, "PATCH", path, patch, STRATEGIC_PATCH))

    def create_event(self, event: Operation) -> None:
        """Post an event; one that is there already counts as posted."""
        path = f"/api/v1/namespaces/{EVENT_NAMESPACE}/events" + _MANAGER
        try:
            self._call(Call("create", "events", ""), "POST", path, event, "application/json")
        except ConflictError:
            return

    def get_volume(self, name: str) -> "Volume | None":
        """Return a PersistentVolume, None when it is none of NFS."""
        from agent.volumes import volume_of  # noqa: PLC0415 - off by default

        path = "/api/v1/persistentvolumes/" + quoted(name)
        return volume_of(self._call(Call("get", "persistentvolumes", name), "GET", path))

    def get_config_map(self, namespace: str, name: str) -> object:
        """Return a ConfigMap as it is."""
        path = f"/api/v1/namespaces/{quoted(namespace)}/configmaps/{quoted(name)}"
        return self._call(Call("get", "configmaps", name), "GET", path)

    def node_stream(self, name: str) -> NodeStream:
        """Return a watch of this Node on a connection of its own, not yet opened."""
        connection = Connection(self._credentials, self._timeout_seconds)
        return NodeStream(connection, name, self._headers, self._on_request)

    def close(self) -> None:
        """Close the kept connection; a later call opens a new one."""
        with self._turn:
            self._connection.close()

    def _call(
        self, call: Call, method: str, path: str, body: object = None, content_type: str = ""
    ) -> object:
        payload = None if body is None else json.dumps(body).encode()
        with self._turn:
            response, answer = self._exchange(call, method, path, payload, content_type)
            if response.status == _UNAUTHORIZED:  # the token was rotated as we spoke: read it anew
                response, answer = self._exchange(call, method, path, payload, content_type)
        if response.status not in (_OK, _CREATED):
            raise error_of(call, response.status, answer, response.header("retry-after"))
        try:
            return json.loads(answer)
        except ValueError as error:
            message = f"{call.verb} {call.resource}: the answer is not JSON"
            raise ServerError(message, response.status) from error

    def _exchange(
        self, call: Call, method: str, path: str, payload: bytes | None, content_type: str
    ) -> tuple[Response, bytes]:
        headers = self._headers()
        if content_type:
            headers["Content-Type"] = content_type
        try:
            response, answer = self._connection.exchange(Request(method, path, headers, payload))
        except ClusterError:
            self._on_request(call.verb, 0)
            raise
        self._on_request(call.verb, response.status)
        return response, answer

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._credentials.token()}",
            "Accept": "application/json",
            "User-Agent": names.AGENT_COMMAND,
        }


_MANAGER = f"?fieldManager={names.AGENT_COMMAND}"


def _node_path(name: str) -> str:
    return "/api/v1/nodes/" + quoted(name)
