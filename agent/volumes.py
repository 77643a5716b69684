"""
What PersistentVolumes ask of their mounts, and which mount is whose. Pure.

The kubelet mounts a volume below ``kubernetes.io~nfs/NAME`` or ``kubernetes.io~csi/NAME/mount``.
NAME is the PersistentVolume's, or a pod's own name for an inline volume, so what the object says of
server and path must fit the mount as well. Sources: Kubernetes, PersistentVolumeSpec.mountOptions;
csi-driver-nfs, docs/driver-parameters.md (volumeAttributes server, share, subDir); nfs(5).
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise

from agent.nfs import NfsMount
from agent.nfs_want import Wish, parse_want
from common.record import dataclass

_PLUGINS = ("kubernetes.io~nfs", "kubernetes.io~csi")
_MAX_NAME_LENGTH = 253
_SAME = ("nconnect", "rsize", "wsize", "actimeo", "proto", "sec", "xprtsec")
"""Options that are wanted as they are written; the others have more than one spelling."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A PersistentVolume of NFS: ``path`` is "" where the driver makes a folder of its own."""

    name: str
    server: str
    path: str
    mount_options: tuple[str, ...]

    def is_of(self, mount: NfsMount) -> bool:
        """Return whether a mount is this volume's: the name fits, and so do server and path."""
        return self.name in names_of(mount) and any(
            _fits(self, point.source) for point in mount.points
        )


def names_of(mount: NfsMount) -> tuple[str, ...]:
    """Return the names that the kubelet's folders give a mount, most often one."""
    found = []
    for path in mount.mount_points:
        parts = path.split("/")
        for plugin, name in pairwise(parts):
            if plugin in _PLUGINS and 0 < len(name) <= _MAX_NAME_LENGTH:
                found.append(name)
    return tuple(dict.fromkeys(found))


def _fits(volume: Volume, source: str) -> bool:
    host, _, path = source.partition(":/")
    is_server = not volume.server or volume.server.strip("[]") == host.strip("[]")
    folder = volume.path.strip("/")
    return is_server and (path.strip("/") == folder or path.startswith(f"{folder}/") or not folder)


def volume_of(raw: object) -> Volume | None:
    """Return what a PersistentVolume object says, None when it is no NFS volume."""
    spec = _mapping(_mapping(raw).get("spec"))
    name = _mapping(_mapping(raw).get("metadata")).get("name")
    in_tree, csi = spec.get("nfs"), spec.get("csi")
    if not isinstance(name, str) or not (in_tree or csi):
        return None
    nfs = _mapping(in_tree)
    attributes = _mapping(_mapping(csi).get("volumeAttributes"))
    server = nfs.get("server") or attributes.get("server") or ""
    path = nfs.get("path") or attributes.get("share") or ""
    options = spec.get("mountOptions")
    listed = options if isinstance(options, list) else []
    words = (word.strip() for each in listed for word in str(each).split(","))
    return Volume(name, str(server), str(path), tuple(word for word in words if word))


def _mapping(raw: object) -> Mapping[str, object]:
    return raw if isinstance(raw, dict) else {}


def wishes_of(volume: Volume) -> dict[str, Wish | None]:
    """Return what a volume's mountOptions ask for; what is not looked at is passed over."""
    origin = f"PersistentVolume {volume.name}"
    wishes: dict[str, Wish | None] = {}
    for option, value in _wanted(volume.mount_options):
        try:
            wishes |= parse_want({option: value}, origin)
        except ValueError:
            continue
    return wishes


def _wanted(options: Iterable[str]) -> Iterable[tuple[str, object]]:
    """Yield (option, wish) of each mount option, aliases resolved; later ones win, as in mount."""
    version, minor = "", ""
    for option in options:
        name, _, value = option.partition("=")
        if name in _SAME:
            yield name, value
        elif name in ("vers", "nfsvers"):
            version = value
        elif name == "minorversion":
            minor = value
        elif name in ("hard", "soft", "softerr"):
            yield "hard", name == "hard"
        elif name in ("ro", "rw"):
            yield "ro", True if name == "ro" else None
        elif name in ("noac", "ac"):
            yield "noac", None if name == "noac" else False
    if version:
        yield "vers", f"{version}.{minor}" if minor and "." not in version else version
