"""A JSON Patch in memory: the operations that the agent uses, as the API server treats them."""

import copy
from typing import Any


class PatchError(Exception):
    """An operation does not apply: the API server answers 422."""


def apply(document: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the patched copy; raises PatchError, and then nothing is changed."""
    patched = copy.deepcopy(document)
    for operation in operations:
        _apply_one(patched, operation)
    return patched


def _apply_one(document: dict[str, Any], operation: dict[str, Any]) -> None:
    *path, last = [_unescape(step) for step in operation["path"].split("/")[1:]]
    parent: Any = document
    for step in path:
        parent = _child(parent, step)
        if parent is None:
            raise PatchError(operation)
    match operation["op"]:
        case "test":
            if _child(parent, last) != operation["value"]:
                raise PatchError(operation)
        case "add":
            parent[last] = operation["value"]
        case "remove":
            if _child(parent, last) is None:
                raise PatchError(operation)
            del parent[int(last) if isinstance(parent, list) else last]


def _child(parent: Any, step: str) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(parent, list):
        return parent[int(step)] if int(step) < len(parent) else None
    return parent.get(step)


def _unescape(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")
