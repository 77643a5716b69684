"""
Kubernetes' own rules on what a patch may touch, tried on the patched pod before it is sent.

A pod that breaks one of them is rejected after admission, and the webhook would be the reason.
Source: kubernetes, pkg/apis/core/validation/validation.go; the name of the function that holds a
rule there stands beside it here. Shapes that no API server would send are problems, too.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from webhook.decisions import Json
from webhook.quantities import quantity

MAX_ANNOTATIONS_BYTES: Final = 256 * 1024
PROBES: Final = ("startupProbe", "livenessProbe", "readinessProbe")
PROBE_HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "grpc")
VOLUME_SOURCES: Final = (
    *("awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "configMap", "csi"),
    *("downwardAPI", "emptyDir", "ephemeral", "fc", "flexVolume", "flocker", "gcePersistentDisk"),
    *("gitRepo", "glusterfs", "hostPath", "image", "iscsi", "nfs", "persistentVolumeClaim"),
    *("photonPersistentDisk", "portworxVolume", "projected", "quobyte", "rbd", "scaleIO"),
    *("secret", "storageos", "vsphereVolume"),
)
HOOK_HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "sleep")
MAX_INT32: Final = 2**31 - 1
MAX_INT64: Final = 2**63 - 1
NO_EXECUTE: Final = "NoExecute"

_DNS_LABEL: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_NAME_PART: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_DNS_NAME: Final = re.compile(
    r"(?=.{1,253}$)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
)
_PORT_NAME: Final = re.compile(r"(?=.{1,15}$)(?=.*[a-z])(?!.*--)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")

Problems = Iterator[str]


def problems(pod: Json) -> tuple[str, ...]:
    """Return a sentence for each rule that the pod breaks, with the field; () for a valid pod."""
    return tuple(_pod(pod))


def _pod(pod: Json) -> Problems:
    yield from _annotations(pod)
    spec = pod.get("spec")
    if not isinstance(spec, dict):
        yield "spec is not an object"
        return
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and not _is_int(grace, 0, MAX_INT64):
        yield "spec.terminationGracePeriodSeconds is not a whole number from 0"
    yield from _tolerations(spec)
    names: set[str] = set()
    yield from _volumes(spec, names)
    yield from _containers(spec, names, grace)


def _annotations(pod: Json) -> Problems:
    """ValidateAnnotations: names, texts, 256 KiB in all."""
    metadata = pod.get("metadata")
    found = metadata.get("annotations") if isinstance(metadata, dict) else None
    if not isinstance(metadata or {}, dict) or not isinstance(found or {}, dict):
        yield "metadata.annotations are not an object"
        return
    total = 0
    for name, value in (found or {}).items():
        if not isinstance(value, str):
            yield f"metadata.annotations: {name[:80]} is not a text"
            continue
        if not _is_qualified(name.lower()):
            yield f"metadata.annotations: {name[:80]} is not a name"
        total += len(name.encode(errors="replace")) + len(value.encode(errors="replace"))
    if total > MAX_ANNOTATIONS_BYTES:
        yield "metadata.annotations are larger than 256 KiB"


def _tolerations(spec: Json) -> Problems:
    """ValidateTolerations."""
    for item, where in _items(spec, "tolerations", "spec"):
        if not isinstance(item, dict):
            yield f"{where} is not an object"
            continue
        key, operator = item.get("key") or "", item.get("operator") or "Equal"
        if key and not _is_qualified(key):
            yield f"{where}.key is not a name"
        if not key and operator != "Exists":
            yield f"{where} has no key, so its operator must be Exists"
        if operator == "Exists" and item.get("value"):
            yield f"{where} has a value although its operator is Exists"
        if item.get("tolerationSeconds") is not None and item.get("effect") != NO_EXECUTE:
            yield f"{where}.tolerationSeconds stands without the effect {NO_EXECUTE}"
        if (item.get("effect") or NO_EXECUTE) not in EFFECTS:
            yield f"{where}.effect is none"


EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", NO_EXECUTE)


def _volumes(spec: Json, names: set[str]) -> Problems:
    """ValidateVolumes: unique names, one source each; adds the names that it finds."""
    for item, where in _items(spec, "volumes", "spec"):
        if not isinstance(item, dict):
            yield f"{where} is not an object"
            continue
        name = item.get("name")
        if not isinstance(name, str) or not _DNS_LABEL.fullmatch(name):
            yield f"{where}.name is not a DNS label"
            continue
        if name in names:
            yield f"{where}.name {name} is there twice"
        names.add(name)
        if sum(item.get(source) is not None for source in VOLUME_SOURCES) > 1:
            yield f"{where} has more than one source"
        yield from _empty_dir(item.get("emptyDir"), f"{where}.emptyDir")


def _empty_dir(source: object, where: str) -> Problems:
    """ValidateEmptyDirVolumeSource."""
    if source is None:
        return
    if not isinstance(source, dict):
        yield f"{where} is not an object"
        return
    medium = source.get("medium") or ""
    if medium not in ("", "Memory") and not str(medium).startswith("HugePages"):
        yield f"{where}.medium is none"
    size = source.get("sizeLimit")
    try:
        if size is not None and quantity(size) < 0:
            yield f"{where}.sizeLimit is negative"
    except ValueError:
        yield f"{where}.sizeLimit is not a quantity"


def _containers(spec: Json, volumes: set[str], grace: object) -> Problems:
    """ValidateContainers, validateInitContainers: unique names over both lists, and each one."""
    names: set[object] = set()
    for place in ("containers", "initContainers"):
        for item, where in _items(spec, place, "spec"):
            if not isinstance(item, dict):
                yield f"{where} is not an object"
                continue
            name = item.get("name")
            if not isinstance(name, str) or not _DNS_LABEL.fullmatch(name):
                yield f"{where}.name is not a DNS label"
            elif name in names:
                yield f"{where}.name {name} is there twice"
            names.add(str(name))
            runs_on = place == "containers" or item.get("restartPolicy") == "Always"
            yield from _container(item, where, volumes, grace, runs_on=runs_on)


def _container(
    item: Json, where: str, volumes: set[str], grace: object, *, runs_on: bool
) -> Problems:
    yield from _mounts(item, where, volumes)
    probes = [(name, item[name]) for name in PROBES if item.get(name) is not None]
    lifecycle = item.get("lifecycle")
    if not runs_on and (probes or lifecycle is not None):
        yield f"{where} is an init container that ends: neither probe nor hook may stand in it"
    for name, probe in probes:
        yield from _probe(probe, f"{where}.{name}", name)
    if lifecycle is None:
        return
    if not isinstance(lifecycle, dict):
        yield f"{where}.lifecycle is not an object"
        return
    for name in ("postStart", "preStop"):
        handler = lifecycle.get(name)
        if handler is not None:
            yield from _handler(handler, f"{where}.lifecycle.{name}", HOOK_HANDLERS)
            yield from _sleep(handler, f"{where}.lifecycle.{name}", grace)


def _mounts(item: Json, where: str, volumes: set[str]) -> Problems:
    """ValidateVolumeMounts: a volume that exists, a path that is free."""
    paths: set[str] = set()
    for device, _ in _items(item, "volumeDevices", where):
        if isinstance(device, dict):
            paths.add(str(device.get("devicePath")))
    for mount, place in _items(item, "volumeMounts", where):
        if not isinstance(mount, dict):
            yield f"{place} is not an object"
            continue
        path = mount.get("mountPath")
        if mount.get("name") not in volumes:
            yield f"{place} names no volume of the pod"
        if not isinstance(path, str) or not path:
            yield f"{place}.mountPath is empty"
        elif path in paths:
            yield f"{place}.mountPath {path[:80]} is there twice"
        paths.add(str(path))


def _probe(probe: object, where: str, name: str) -> Problems:
    """ValidateProbe, validateLivenessProbe, validateReadinessProbe, validateStartupProbe."""
    if not isinstance(probe, dict):
        yield f"{where} is not an object"
        return
    yield from _handler(probe, where, PROBE_HANDLERS)
    numbers = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold")
    for field in (*numbers, "failureThreshold"):
        if probe.get(field) is not None and not _is_int(probe[field], 0, MAX_INT32):
            yield f"{where}.{field} is not a whole number from 0"
    if name != "readinessProbe" and (probe.get("successThreshold") or 1) != 1:
        yield f"{where}.successThreshold is not 1"
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and name == "readinessProbe":
        yield f"{where} may have no terminationGracePeriodSeconds"
    elif grace is not None and not _is_int(grace, 1, MAX_INT64):
        yield f"{where}.terminationGracePeriodSeconds is not a whole number from 1"


def _handler(owner: object, where: str, known: tuple[str, ...]) -> Problems:
    """ValidateHandler: exactly one; what it needs is in it."""
    if not isinstance(owner, dict):
        yield f"{where} is not an object"
        return
    found = [name for name in known if owner.get(name) is not None]
    # a handler that is newer than this list may be the one
    if len(found) > 1 or not (found or any(isinstance(each, dict) for each in owner.values())):
        yield f"{where} has {len(found)} handlers instead of one"
    for name in found:
        action = owner[name]
        if not isinstance(action, dict):
            yield f"{where}.{name} is not an object"
        else:
            yield from HANDLERS[name](action, f"{where}.{name}")


def _exec(action: Json, where: str) -> Problems:
    if not isinstance(action.get("command"), list) or not action["command"]:
        yield f"{where}.command is empty"


def _port(action: Json, where: str) -> Problems:
    port = action.get("port")
    is_name = isinstance(port, str) and _PORT_NAME.fullmatch(port)
    if not is_name and not _is_int(port, 1, 65535):
        yield f"{where}.port is neither a number from 1 to 65535 nor a port's name"
    if (action.get("scheme") or "HTTP") not in ("HTTP", "HTTPS"):
        yield f"{where}.scheme is neither HTTP nor HTTPS"


def _nothing(_action: Json, _where: str) -> Problems:
    yield from ()


HANDLERS: Final[dict[str, Callable[[Json, str], Problems]]] = {
    "exec": _exec,
    "httpGet": _port,
    "tcpSocket": _port,
    "grpc": _port,
    "sleep": _nothing,
}


def _sleep(handler: object, where: str, grace: object) -> Problems:
    """ValidateSleepAction: not longer than the pod's grace period."""
    action = handler.get("sleep") if isinstance(handler, dict) else None
    if not isinstance(action, dict):
        return
    most = grace if isinstance(grace, int) else MAX_INT64
    if not _is_int(action.get("seconds"), 0, most):
        yield f"{where}.sleep is longer than the grace period"


def _items(owner: Json, name: str, where: str) -> Iterator[tuple[Any, str]]:
    """Yield the items of a list with their places; what is no list stands for one bad item."""
    found = owner.get(name)
    items = found if isinstance(found, list) else [] if found is None else [None]
    for index, item in enumerate(items):
        yield item, f"{where}.{name}[{index}]"


def _is_int(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_qualified(name: object) -> bool:
    """IsQualifiedName: an optional DNS name, a slash, and a name of at most 63 characters."""
    if not isinstance(name, str):
        return False
    prefix, slash, rest = name.rpartition("/")
    if slash and not _DNS_NAME.fullmatch(prefix):
        return False
    return bool(_NAME_PART.fullmatch(rest))
