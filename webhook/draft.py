"""
The copy of a pod that injections write to: cheap, and the pod itself is never written.

Only what an injection may write is copied: the way down to it. All else is shared with the pod, so
fields that nobody here knows stay as they are, and the diff sees at a glance what did not change.
"""

from typing import Any

from webhook.decisions import Json


class DoubtError(Exception):
    """What stands in a pod is of no shape that can be added to; the text names the field."""


def draft_of(pod: Json) -> Json:
    """
    Return a copy of the pod to which injections may add.

    May be written: metadata and its annotations, spec, its tolerations and volumes, each container
    and init container, and a container's lifecycle and volumeMounts.

    Raises:
        DoubtError: One of these is not of its type; null counts as absent.
    """
    draft = dict(pod)
    metadata = _fork(draft, "metadata", dict)
    _fork(metadata, "annotations", dict, "metadata.")
    spec = _fork(draft, "spec", dict)
    for name in ("tolerations", "volumes"):
        _fork(spec, name, list, "spec.")
    for place in ("containers", "initContainers"):
        found = _fork(spec, place, list, "spec.")
        found[:] = [_container(item, f"spec.{place}[{index}]") for index, item in enumerate(found)]
    return draft


def add_item(owner: Json, name: str, item: Json) -> None:
    """Append to a list of the draft, which is made where it is absent or null."""
    if owner.get(name) is None:
        owner[name] = []
    owner[name].append(item)


def add_field(owner: Json, section: str, name: str, value: object) -> None:
    """Set a field in an object of the draft, which is made where it is absent or null."""
    if owner.get(section) is None:
        owner[section] = {}
    owner[section][name] = value


def _container(raw: object, where: str) -> Json:
    if not isinstance(raw, dict):
        raise DoubtError(f"{where} is not an object")
    container = dict(raw)
    _fork(container, "lifecycle", dict, f"{where}.")
    _fork(container, "volumeMounts", list, f"{where}.")
    return container


def _fork(owner: Json, name: str, kind: type[Any], where: str = "") -> Any:  # noqa: ANN401 - as the JSON has it
    """Replace a field by a copy of its own, and return it; an empty one where it is absent."""
    value = owner.get(name)
    if value is None:
        return kind()
    if type(value) is not kind:
        raise DoubtError(f"{where}{name} is not {'a list' if kind is list else 'an object'}")
    owner[name] = kind(value)
    return owner[name]
