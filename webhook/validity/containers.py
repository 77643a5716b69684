"""Kubernetes' rules on containers: mounts, probes, hooks."""

from collections.abc import Callable
from typing import Final

from webhook.decisions import Json
from webhook.validity.shapes import (
    DNS_LABEL,
    MAX_INT32,
    MAX_INT64,
    PORT_NAME,
    Problems,
    is_int,
    items,
)

PROBES: Final = ("startupProbe", "livenessProbe", "readinessProbe")
PROBE_HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "grpc")
HOOK_HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "sleep")


def containers(spec: Json, volumes: set[str], grace: object) -> Problems:
    """
    Yield the problems of all containers; their names are unique over both lists.

    ValidateContainers, validateInitContainers.

    Args:
        volumes: the names of the pod's volumes.
        grace: the pod's grace period as it came.
    """
    names: set[object] = set()
    for place in ("containers", "initContainers"):
        for item, where in items(spec, place, "spec"):
            if not isinstance(item, dict):
                yield f"{where} is not an object"
                continue
            name = item.get("name")
            if not isinstance(name, str) or not DNS_LABEL.fullmatch(name):
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
    for device, _ in items(item, "volumeDevices", where):
        if isinstance(device, dict):
            paths.add(str(device.get("devicePath")))
    for mount, place in items(item, "volumeMounts", where):
        if not isinstance(mount, dict):
            yield f"{place} is not an object"
            continue
        path, name = mount.get("mountPath"), mount.get("name")
        if not isinstance(name, str) or name not in volumes:
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
        if probe.get(field) is not None and not is_int(probe[field], 0, MAX_INT32):
            yield f"{where}.{field} is not a whole number from 0"
    if name != "readinessProbe" and (probe.get("successThreshold") or 1) != 1:
        yield f"{where}.successThreshold is not 1"
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and name == "readinessProbe":
        yield f"{where} may have no terminationGracePeriodSeconds"
    elif grace is not None and not is_int(grace, 1, MAX_INT64):
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
    is_name = isinstance(port, str) and PORT_NAME.fullmatch(port)
    if not is_name and not is_int(port, 1, 65535):
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
    if not is_int(action.get("seconds"), 0, most):
        yield f"{where}.sleep is longer than the grace period"
