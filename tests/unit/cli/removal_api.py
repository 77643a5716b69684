"""An API server made of dictionaries, for what `tunegate uninstall` asks of one."""

import re
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from common import names
from common.api_types import ApiError, Json, NotFoundError
from tests.unit.agent import json_patch

WORKLOADS = "/apis/apps/v1/namespaces/tunegate"
PODS = "/api/v1/namespaces/tunegate/pods"
Trouble = Callable[[str, str], ApiError | None]


class FakeClock:
    """Time that passes by waiting alone; `then` is what happens at each wait."""

    def __init__(self) -> None:
        """Begin at 0."""
        self.seconds = 0.0
        self.then: Callable[[], object] = lambda: None

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        self.then()


class FakeApi:
    """Objects by path; `trouble` may refuse a request, `asked` says what was sent."""

    def __init__(self, *nodes: Json) -> None:
        """Hold these nodes and an agent's DaemonSet."""
        self.objects: dict[str, Json] = {}
        self.asked: list[tuple[str, str]] = []
        self.trouble: Trouble = lambda _method, _path: None
        self._versions = count(1)
        for node in nodes:
            self.put(f"/api/v1/nodes/{node['metadata']['name']}", node)
        self.put(f"{WORKLOADS}/daemonsets/tunegate-agent", {"metadata": {"name": "tunegate-agent"}})

    def put(self, path: str, body: Json) -> None:
        """Keep an object."""
        body.setdefault("metadata", {}).setdefault("uid", path)
        body["metadata"].setdefault("name", path.rpartition("/")[2])
        self.objects[path] = body

    def node(self, name: str) -> Json:
        """Return a node as it is now."""
        return self.objects[f"/api/v1/nodes/{name}"]

    def writes(self) -> list[tuple[str, str]]:
        """Return what was sent besides GET."""
        return [one for one in self.asked if one[0] != "GET"]

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,  # noqa: ANN401 - any JSON value
        **_: object,
    ) -> Json:
        """Answer as the API server does, for what is used of it."""
        self.asked.append((method, path))
        if error := self.trouble(method, path):
            raise error
        if method == "GET" and path not in self.objects:
            return self._listed(path, query or {})
        place = path.removesuffix("/status")
        if place not in self.objects:
            if path.endswith("/events"):
                return {}
            raise NotFoundError(404, "NotFound", path)
        if method == "DELETE":
            del self.objects[place]
        elif method == "PATCH":
            self.objects[place] = _patched(self.objects[place], body)
        return self.objects.get(place, {})

    def _listed(self, path: str, query: Mapping[str, str]) -> Json:
        if path.endswith("/tunegate-webhook"):
            raise NotFoundError(404, "NotFound", path)
        below = re.compile(rf"{re.escape(path)}/[^/]+")
        found = [one for place, one in self.objects.items() if below.fullmatch(place)]
        selector = query.get("labelSelector", "")
        if selector == f"{names.LABEL_MODE}=off":
            found = [one for one in found if one["metadata"]["labels"].get(names.LABEL_MODE)]
        elif selector and "," not in selector:
            key, _, value = selector.partition("=")
            found = [one for one in found if one["metadata"].get("labels", {}).get(key) == value]
        start, limit = int(query.get("continue", 0)), int(query.get("limit", 500))
        more = {"continue": str(start + limit)} if start + limit < len(found) else {}
        return {"metadata": more, "items": found[start : start + limit]}


def _patched(raw: Json, body: Any) -> Json:  # noqa: ANN401 - any JSON value
    if isinstance(body, list):
        try:
            return json_patch.apply(raw, body)
        except (json_patch.PatchError, KeyError) as error:
            raise ApiError(422, "Invalid", str(error)) from error
    kept = [one for one in raw["status"]["conditions"] if one["type"] != names.CONDITION]
    return {**raw, "status": {**raw["status"], "conditions": kept}}
