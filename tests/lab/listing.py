"""Everything there is in an API server: what an installation must not leave behind."""

from collections.abc import Iterator

from tests.lab.api import ApiClient, Object

MOVING = ("Lease", "EndpointSlice", "IPAddress")
"""Kinds whose objects come and go by themselves; those of tunegate are told by their names."""
UNLISTED = ("Event", "ComponentStatus")
"""Kubelet and controllers tell of every pod, and Events go by themselves: see `our_events`."""


def everything(api: ApiClient) -> set[str]:
    """Return every object of every kind in every namespace as KIND/NAMESPACE/NAME."""
    return {
        f"{kind}/{namespace}/{name}"
        for kind, namespace, name in _objects(api)
        if kind not in UNLISTED and (kind not in MOVING or "tunegate" in name)
    }


def node_marks(api: ApiClient) -> dict[str, Object]:
    """Return what Nodes show besides what their kubelets refresh and the node controller adds."""
    return {
        node["metadata"]["name"]: {
            "labels": node["metadata"].get("labels", {}),
            "annotations": node["metadata"].get("annotations", {}),
            "taints": [
                one
                for one in node["spec"].get("taints", [])
                if not one["key"].startswith("node.kubernetes.io/")
            ],
            "conditions": sorted(
                (one["type"], one["status"]) for one in node["status"].get("conditions", [])
            ),
        }
        for node in api.get("/api/v1/nodes")["items"]
    }


def our_events(api: ApiClient) -> list[Object]:
    """Return the Events that agent and webhook reported."""
    events: list[Object] = api.get("/api/v1/events")["items"]
    return [one for one in events if str(one.get("reportingComponent")).startswith("tunegate")]


def _objects(api: ApiClient) -> Iterator[tuple[str, str, str]]:
    for folder, resource in _collections(api):
        for one in api.get(f"{folder}/{resource['name']}").get("items") or ():
            metadata = one["metadata"]
            yield resource["kind"], metadata.get("namespace", ""), metadata["name"]


def _collections(api: ApiClient) -> Iterator[tuple[str, Object]]:
    """Yield each kind that can be listed, by its group's preferred version."""
    groups = api.get("/apis")["groups"]
    folders = ["/api/v1", *(f"/apis/{one['preferredVersion']['groupVersion']}" for one in groups)]
    for folder in folders:
        for resource in api.get(folder)["resources"]:
            if "list" in resource["verbs"] and "/" not in resource["name"]:
                yield folder, resource
