"""
The ConfigMap of storage endpoints: from PersistentVolumes and StorageClasses to a file for agents.

Pure. The agent reads it as a mounted file, one endpoint a line, `#` begins a comment
(docs/agent.md, `storage.endpointsFile`): so a fresh node knows its storage servers before anything
is mounted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from common import names
from webhook import nfs_sources, pods
from webhook.decisions import Json

MAX_BYTES: Final = 512 * 1024
"""Half of what a ConfigMap may hold (and the agent reads): https://kubernetes.io/docs/concepts/configuration/configmap/"""
_HEAD: Final = (
    "# NFS servers of this cluster, kept by tunegate-webhook; changes by hand are undone.\n"
)
_IGNORED: Final = "ignored"


@dataclass(frozen=True, slots=True)
class Rendered:
    """The file's text, and how many endpoints had no room in it."""

    text: str
    left_out: int


def endpoints_of(volume: Json, region: str = "") -> tuple[str, ...]:
    """Return the storage endpoints of a PersistentVolume; () where it has none or is ignored."""
    return _unless_ignored(volume, nfs_sources.of_volume(volume, region))


def endpoints_of_class(storage_class: Json, region: str = "") -> tuple[str, ...]:
    """Return the storage endpoints that a StorageClass names; () for none, or where ignored."""
    return _unless_ignored(storage_class, nfs_sources.of_class(storage_class, region))


def _unless_ignored(raw: Json, source: nfs_sources.Source | None) -> tuple[str, ...]:
    is_ignored = pods.annotations(raw).get(names.ANNOTATION_STORAGE_ENDPOINT) == _IGNORED
    return () if source is None or is_ignored else source.endpoints


def rendered(endpoints: Iterable[str]) -> Rendered:
    """Return the file: each endpoint once, in order of text, as many as fit."""
    wanted = sorted(set(endpoints))
    lines, size = [_HEAD], len(_HEAD)
    for endpoint in wanted:
        size += len(endpoint) + 1
        if size > MAX_BYTES:
            break
        lines.append(f"{endpoint}\n")
    return Rendered("".join(lines), len(wanted) - len(lines) + 1)


def listed(config_map: Json) -> tuple[str, ...]:
    """Return the endpoints that a ConfigMap lists."""
    text = pods.text(pods.mapping(config_map.get("data")).get(names.STORAGE_ENDPOINTS_KEY))
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def created(namespace: str, name: str, text: str) -> Json:
    """Return the ConfigMap to create where there is none."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": names.WEBHOOK_COMMAND},
        },
        "data": {names.STORAGE_ENDPOINTS_KEY: text},
    }


def change(config_map: Json, text: str) -> Json | None:
    """
    Return the merge patch that a ConfigMap needs, None where it says so already.

    It names the version it was made for: a change in between is answered by 409. Other keys stay.
    """
    data: Mapping[str, object] = pods.mapping(config_map.get("data"))
    if data.get(names.STORAGE_ENDPOINTS_KEY) == text:
        return None
    version = pods.text(pods.metadata(config_map).get("resourceVersion"))
    return {
        "metadata": {"resourceVersion": version},
        "data": {names.STORAGE_ENDPOINTS_KEY: text},
    }
