"""
Kubernetes' own rules on what a patch may touch, tried on the patched pod before it is sent.

A pod that breaks one of them is rejected after admission, and the webhook would be the reason.
Source: kubernetes, pkg/apis/core/validation/validation.go; the name of the function that holds a
rule there stands beside it here. Shapes that no API server would send are problems, too.
"""

from typing import Final

from webhook.decisions import Json
from webhook.quantities import quantity
from webhook.validity.containers import containers
from webhook.validity.shapes import (
    DNS_LABEL,
    LABEL_VALUE,
    MAX_INT64,
    Problems,
    is_int,
    is_qualified,
    items,
)

MAX_ANNOTATIONS_BYTES: Final = 256 * 1024
NO_EXECUTE: Final = "NoExecute"
EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", NO_EXECUTE)
VOLUME_SOURCES: Final = frozenset(
    {
        *("awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "configMap", "csi"),
        *("downwardAPI", "emptyDir", "ephemeral", "fc", "flexVolume", "flocker", "gitRepo"),
        *("gcePersistentDisk", "glusterfs", "hostPath", "image", "iscsi", "nfs", "projected"),
        *("persistentVolumeClaim", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd"),
        *("scaleIO", "secret", "storageos", "vsphereVolume"),
    }
)


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
    if grace is not None and not is_int(grace, 0, MAX_INT64):
        yield "spec.terminationGracePeriodSeconds is not a whole number from 0"
    yield from _tolerations(spec)
    names: set[str] = set()
    yield from _volumes(spec, names)
    yield from containers(spec, names, grace)


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
        if not is_qualified(name.lower()):
            yield f"metadata.annotations: {name[:80]} is not a name"
        total += len(name.encode(errors="replace")) + len(value.encode(errors="replace"))
    if total > MAX_ANNOTATIONS_BYTES:
        yield "metadata.annotations are larger than 256 KiB"


def _tolerations(spec: Json) -> Problems:
    """ValidateTolerations."""
    for item, where in items(spec, "tolerations", "spec"):
        if not isinstance(item, dict):
            yield f"{where} is not an object"
            continue
        key, operator = item.get("key") or "", item.get("operator") or "Equal"
        if key and not is_qualified(key):
            yield f"{where}.key is not a name"
        if not key and operator != "Exists":
            yield f"{where} has no key, so its operator must be Exists"
        if operator == "Equal" and not LABEL_VALUE.fullmatch(str(item.get("value") or "")):
            yield f"{where}.value is not a label's value"
        if operator == "Exists" and item.get("value"):
            yield f"{where} has a value although its operator is Exists"
        if item.get("tolerationSeconds") is not None and item.get("effect") != NO_EXECUTE:
            yield f"{where}.tolerationSeconds stands without the effect {NO_EXECUTE}"
        if (item.get("effect") or NO_EXECUTE) not in EFFECTS:
            yield f"{where}.effect is none"


def _volumes(spec: Json, names: set[str]) -> Problems:
    """ValidateVolumes: unique names, one source each; adds the names that it finds."""
    for item, where in items(spec, "volumes", "spec"):
        if not isinstance(item, dict):
            yield f"{where} is not an object"
            continue
        name = item.get("name")
        if not isinstance(name, str) or not DNS_LABEL.fullmatch(name):
            yield f"{where}.name is not a DNS label"
            continue
        if name in names:
            yield f"{where}.name {name} is there twice"
        names.add(name)
        if sum(item[source] is not None for source in VOLUME_SOURCES & item.keys()) > 1:
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
