"""
One watch of one Node, as the API server streams it.

Source: Kubernetes documentation, "API concepts", efficient detection of changes, watch bookmarks.
A watch needs the verb ``watch`` only; with a field selector on the name it costs the server an
index look-up.
"""

import json
import os
from collections.abc import Callable, Iterator

from agent.cluster.connection import Connection
from agent.cluster.errors import Call, ClusterError, ServerError, error_of
from agent.cluster.wire import Request, Response, quoted
from agent.node import NodeView, node_view
from common.record import dataclass

BOOKMARK = "BOOKMARK"
DELETED = "DELETED"

_KINDS = ("ADDED", "MODIFIED", DELETED, BOOKMARK)
_OK = 200


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """One change: ADDED, MODIFIED, DELETED, or BOOKMARK (only the resource version counts)."""

    kind: str
    view: NodeView


class NodeStream:
    """
    A watch that is opened by iterating ``events`` and ended from outside by ``abort``.

    ``grace_seconds`` is how much later than promised the server may end a watch.
    """

    grace_seconds = 15.0

    def __init__(
        self,
        connection: Connection,
        name: str,
        headers: Callable[[], dict[str, str]],
        on_request: Callable[[str, int], None],
    ) -> None:
        """Take over the connection."""
        self._connection = connection
        self._call = Call("watch", "nodes", name)
        self._headers = headers
        self._on_request = on_request

    def events(self, resource_version: str, timeout_seconds: float = 0.0) -> Iterator[NodeEvent]:
        """
        Yield the changes after this version ("": all there is, then the changes).

        Ends when the server ends the watch, after ``timeout_seconds`` or, when 0, four and a half
        to five minutes (spread, so that many nodes do not come back at once). Raises GoneError
        when the version is too old, UnreachableError when the stream tears or falls silent.
        """
        seconds = int(timeout_seconds) or 270 + os.urandom(1)[0] * 30 // 255
        response = self._open(resource_version, seconds)
        if response.status != _OK:
            raise error_of(self._call, response.status, *self._rest_of(response))
        for line in self._lines(response):
            yield self._decode(line)

    def abort(self) -> None:
        """End the iteration in the other thread at once, and every later one."""
        self._connection.abort()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _open(self, resource_version: str, seconds: int) -> Response:
        query = {
            "watch": "1",
            "fieldSelector": f"metadata.name={self._call.name}",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        path = "/api/v1/nodes?" + "&".join(f"{key}={quoted(query[key])}" for key in query)
        request = Request("GET", path, self._headers())
        try:
            response = self._connection.send(request, seconds + self.grace_seconds)
        except ClusterError:
            self._on_request(self._call.verb, 0)
            raise
        self._on_request(self._call.verb, response.status)
        return response

    def _lines(self, response: Response) -> Iterator[bytes]:
        """
        Yield the whole lines until the end that the server made.

        Each as soon as it is here; a stream that was cut is not taken for one that ended.
        """
        rest = b""
        while True:
            try:
                piece = response.read_some()
            except (OSError, ValueError) as error:
                self.close()
                raise self._connection.unreachable(error) from error
            if not piece:
                return
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines

    def _rest_of(self, response: Response) -> tuple[bytes, str | None]:
        try:
            body = response.read()
        except OSError:
            body = b""
            self.close()
        return body, response.header("retry-after")

    def _decode(self, line: bytes) -> NodeEvent:
        try:
            decoded = json.loads(line)
            kind, thing = decoded["type"], decoded["object"]
        except (ValueError, KeyError, TypeError) as error:
            self.close()
            message = "watch nodes: a line of the stream is not a watch event"
            raise ServerError(message) from error
        if kind in _KINDS:
            return NodeEvent(kind, node_view(thing))
        self.close()
        code = thing.get("code") if isinstance(thing, dict) else None
        status = code if isinstance(code, int) else 500
        raise error_of(self._call, status, json.dumps(thing).encode())
