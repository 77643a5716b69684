"""
Where NFS mounts are, in words for people: paths, and pods and volumes as kubelet's paths tell.

Pure. kubelet mounts volumes at ``<root>/pods/<uid>/volumes/<plugin>/<volume>[/mount]`` and subPaths
at ``<root>/pods/<uid>/volume-subpaths/<volume>/<container>/<index>`` (kubernetes
pkg/kubelet/kubelet_getters.go, pkg/volume/util/subpath).
"""

from collections.abc import Iterable

from agent.nfs import NfsMount
from common.record import dataclass

SHOWN = 5
"""How many places a sentence names; a node with 200 mounts of one server is ordinary."""

_VOLUMES, _SUBPATHS = "volumes", "volume-subpaths"


@dataclass(frozen=True, slots=True)
class PodVolume:
    """A pod's volume: what ``kubectl get pods -A -o yaml`` has as metadata.uid, and its name."""

    pod_uid: str
    volume: str


def pod_volume(path: str) -> PodVolume | None:
    """Return whose volume is mounted at this path; None for a path that is not kubelet's."""
    before, found, after = path.partition("/pods/")
    parts = after.split("/")
    if not found or not before or len(parts) < 4:  # noqa: PLR2004 - uid, kind and two more
        return None
    uid, kind, first, second = parts[:4]
    if kind == _VOLUMES:
        return PodVolume(uid, second)
    return PodVolume(uid, first) if kind == _SUBPATHS else None


def named(path: str) -> str:
    """Return a mount point as a person finds it: a pod's volume by its names."""
    volume = pod_volume(path)
    return f"volume {volume.volume} of pod {volume.pod_uid}" if volume else path


def places(mounts: Iterable[NfsMount]) -> str:
    """Return where these mounts are, by version, e.g. ``version 3 at /a; version 4.2 at /b``."""
    by_version: dict[str, list[str]] = {}
    for mount in mounts:
        names = by_version.setdefault(mount.version, [])
        names += [named(path) for path in mount.mount_points]
    return "; ".join(
        f"version {version or 'unknown'} at {listed(names)}"
        for version, names in sorted(by_version.items())
    )


def listed(names: Iterable[str]) -> str:
    """Return the first names and how many more there are."""
    unique = list(dict.fromkeys(names))
    more = len(unique) - SHOWN
    text = ", ".join(unique[:SHOWN])
    return f"{text} and {more} more" if more > 0 else text
