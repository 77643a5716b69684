"""
JSON Patch (RFC 6902) from a pod to its draft: additions only, at known places only.

A webhook's failurePolicy does not cover a patch that does not apply: the API server rejects the
pod. So operations are few, of two kinds, and ``apply`` tries them on the pod before they are sent.
Source: apiserver, pkg/admission/plugin/webhook/mutating/dispatcher.go.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from webhook.decisions import Json

GRACE: Final = "/spec/terminationGracePeriodSeconds"
"""The one place where a value may be replaced; a test of the old value goes before."""

_ADDABLE: Final = re.compile(
    r"/metadata"
    r"|/metadata/annotations(?:/tunegate\.io~1injected)?"
    r"|/spec/(?:tolerations|volumes)(?:/-)?"
    rf"|{GRACE}"
    r"|/spec/(?:containers|initContainers)/[0-9]+/"
    r"(?:startupProbe|lifecycle|lifecycle/preStop|volumeMounts|volumeMounts/-)"
)
_RECORD: Final = "/metadata/annotations/tunegate.io~1injected"


class PatchError(Exception):
    """A patch would do what none may, or does not apply; the text names the place."""


def diff(before: Json, after: Json) -> tuple[Json, ...]:
    """
    Return the operations that add to one tree what the other has more.

    Raises:
        PatchError: The other lacks something, has another value, or has more where nothing may be
            added.
    """
    return tuple(_object(before, after, ""))


def apply(tree: Json, operations: Iterable[Json]) -> Json:
    """
    Return the tree with the operations applied; the tree itself stays as it is.

    Understands what ``diff`` makes: add, replace and test.

    Raises:
        PatchError: An operation does not apply.
    """
    for operation in operations:
        path = str(operation.get("path"))
        way = path.split("/")[1:]
        if "~" in path:
            way = [_plain(part) for part in way]
        if not way:
            raise PatchError("the whole document is never replaced")
        tree = _changed(tree, way, operation)
    return tree


def escaped(name: str) -> str:
    """Return a key as it stands in a path (RFC 6901 section 3)."""
    return name.replace("~", "~0").replace("/", "~1")


def same(one: Any, other: Any) -> bool:  # noqa: ANN401 - any JSON
    """Return whether two JSON values are equal; unlike in Python, true is not 1, nor 1.0."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _object(before: Json, after: Json, path: str) -> Iterator[Json]:
    if not before.keys() <= after.keys():
        raise PatchError(f"something at {path or '/'} was removed")
    for name, value in after.items():
        there = before.get(name)
        if value is there and name in before:
            continue
        yield from _value(there, value, f"{path}/{escaped(name)}")


def _value(before: object, after: object, path: str) -> Iterator[Json]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _object(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _list(before, after, path)
    elif before is None or path == _RECORD:
        yield _added(path, after)
    elif path == GRACE and _is_raised(before, after):
        yield {"op": "test", "path": path, "value": before}
        yield {"op": "replace", "path": path, "value": after}
    elif not same(before, after):
        raise PatchError(f"{path} is not ours to change")


def _list(before: list[Any], after: list[Any], path: str) -> Iterator[Json]:
    if len(after) < len(before):
        raise PatchError(f"something at {path} was removed")
    for index, (old, new) in enumerate(zip(before, after, strict=False)):
        if old is not new:
            yield from _value(old, new, f"{path}/{index}")
    for item in after[len(before) :]:
        yield _added(f"{path}/-", item)


def _is_raised(before: object, after: object) -> bool:
    return type(before) is int and type(after) is int and before < after


def _added(path: str, value: object) -> Json:
    if not _ADDABLE.fullmatch(path):
        raise PatchError(f"{path} is not a place where anything is added")
    return {"op": "add", "path": path, "value": value}


def _plain(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def _changed(node: Any, way: list[str], operation: Json) -> Any:  # noqa: ANN401 - any JSON
    """Return a copy of a node with one operation done below it."""
    head, *rest = way
    if isinstance(node, dict):
        return _changed_object(node, head, rest, operation)
    if isinstance(node, list):
        return _changed_list(node, head, rest, operation)
    raise PatchError(f"{operation['path']} leads through what is neither object nor list")


def _changed_object(node: Json, head: str, rest: list[str], operation: Json) -> Json:
    if head not in node and (rest or operation["op"] != "add"):
        raise PatchError(f"{operation['path']} is not there")
    value = _changed(node[head], rest, operation) if rest else _leaf(node.get(head), operation)
    return {**node, head: value}


def _changed_list(node: list[Any], head: str, rest: list[str], operation: Json) -> list[Any]:
    if head == "-" and not rest and operation["op"] == "add":
        return [*node, operation["value"]]
    if not head.isdecimal() or int(head) >= len(node) or not rest:
        raise PatchError(f"{operation['path']} is not there")
    index = int(head)
    return [*node[:index], _changed(node[index], rest, operation), *node[index + 1 :]]


def _leaf(there: object, operation: Json) -> object:
    """Return what stands at the end of the way once the operation is done."""
    if operation["op"] == "test":
        if not same(there, operation["value"]):
            raise PatchError(f"{operation['path']} has another value")
        return there
    if operation["op"] not in ("add", "replace"):
        raise PatchError(f"{operation['op']} is not an operation of ours")
    return operation["value"]
