"""
Safe readers for raw pods, as the API server sent them.

Every reader takes what may stand there: null, a list where an object should be, a number for a
text. What is not of the right shape reads as empty; nothing here raises, nothing changes the pod.
Field names: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import normpath
from typing import Any, Final

from webhook.decisions import Json

_PORT: Final = re.compile(r"[0-9]{1,5}")
CONTAINERS: Final = "containers"
INIT_CONTAINERS: Final = "initContainers"
_OBJECT_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
MIRROR: Final = "kubernetes.io/config.mirror"
"""Annotation of a static pod's mirror: https://kubernetes.io/docs/reference/labels-annotations-taints/"""


@dataclass(frozen=True, slots=True)
class Placed:
    """
    A container and where it stands.

    Attributes:
        place: `containers` or `initContainers`; index: its index there.
        raw: the container's own dict, not a copy.
    """

    place: str
    index: int
    raw: Json

    @property
    def name(self) -> str:
        """Return the container's name, "" where there is none."""
        return text(self.raw.get("name"))


def mapping(value: object) -> Json:
    """Return an object as it is, anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """Return a list as it is, anything else as an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """Return a text as it is, anything else as ""."""
    return value if isinstance(value, str) else ""


def number(value: object) -> int | None:
    """Return a whole number as it is (true and false are none), anything else as None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def objects(value: object) -> Iterator[Json]:
    """Yield the objects of a list; what else stands in it is passed over."""
    return (item for item in sequence(value) if isinstance(item, dict))


def texts(value: object) -> list[str]:
    """Return the texts of a list, other scalars as Kubernetes would never send them: left out."""
    return [item for item in sequence(value) if isinstance(item, str)]


def strings(value: object) -> dict[str, str]:
    """Return the entries of an object whose values are texts; a JSON key always is one."""
    return {key: item for key, item in mapping(value).items() if isinstance(item, str)}


def is_object_name(value: str) -> bool:
    """
    Return whether this can be the name of an object or a namespace, and so a part of a path.

    Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
    """
    return bool(_OBJECT_NAME.fullmatch(value))


def metadata(pod: Json) -> Json:
    """Return the pod's metadata."""
    return mapping(pod.get("metadata"))


def spec(pod: Json) -> Json:
    """Return the pod's spec."""
    return mapping(pod.get("spec"))


def labels(pod: Json) -> dict[str, str]:
    """Return the pod's labels."""
    return strings(metadata(pod).get("labels"))


def annotations(pod: Json) -> dict[str, str]:
    """Return the pod's annotations."""
    return strings(metadata(pod).get("annotations"))


def name(pod: Json) -> str:
    """Return the pod's name, or the stem that the API server will make one from."""
    return text(metadata(pod).get("name")) or text(metadata(pod).get("generateName"))


def placed(pod: Json, place: str) -> tuple[Placed, ...]:
    """Return the containers of one place, with the indexes that a patch needs."""
    return tuple(
        Placed(place, index, raw)
        for index, raw in enumerate(sequence(spec(pod).get(place)))
        if isinstance(raw, dict)
    )


def is_native_sidecar(container: Json) -> bool:
    """
    Return whether an init container runs as long as the pod does.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
    """
    return container.get("restartPolicy") == "Always"


def running(pod: Json) -> tuple[Placed, ...]:
    """Return what runs while the pod serves: its containers, then its native sidecars."""
    sidecars = (found for found in placed(pod, INIT_CONTAINERS) if is_native_sidecar(found.raw))
    return (*placed(pod, CONTAINERS), *sidecars)


def limits(container: Json) -> Json:
    """Return the container's resource limits, quantities as they came (text or number)."""
    return mapping(mapping(container.get("resources")).get("limits"))


def requests(container: Json) -> Json:
    """Return the container's resource requests, quantities as they came (text or number)."""
    return mapping(mapping(container.get("resources")).get("requests"))


def volumes(pod: Json) -> tuple[Json, ...]:
    """Return the pod's volumes."""
    return tuple(objects(spec(pod).get("volumes")))


def mounts(container: Json) -> tuple[Json, ...]:
    """Return the container's volume mounts."""
    return tuple(objects(container.get("volumeMounts")))


def mount_path(mount: Json) -> str:
    """
    Return where a mount stands, "" when it does not say.

    The kubelet makes the path absolute and clean: `dev/shm`, `//dev/shm` and `/dev/shm/` are one.
    """
    path = text(mount.get("mountPath")).strip("/")
    return normpath(f"/{path}") if path else ""


def ports(container: Json) -> tuple[Json, ...]:
    """Return the container's declared ports."""
    return tuple(objects(container.get("ports")))


def port_number(container: Json, port: object) -> int | None:
    """
    Return the number that a probe or a hook means: a number, or the name of a declared port.

    A named port is looked up in the same container only, as the kubelet does.
    """
    if isinstance(port, str) and not _PORT.fullmatch(port):
        named = (
            number(each.get("containerPort"))
            for each in ports(container)
            if each.get("name") == port
        )
        return next(named, None)
    return int(port) if isinstance(port, str) else number(port)


def probe_port(container: Json, path: str) -> int | None:
    """Return the port at which the container's own HTTP probes ask for a path, if they agree."""
    found = {
        port_number(container, action.get("port"))
        for kind in ("startupProbe", "readinessProbe", "livenessProbe")
        if (action := mapping(mapping(container.get(kind)).get("httpGet"))).get("path") == path
    }
    return found.pop() if len(found) == 1 else None
