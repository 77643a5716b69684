"""
Parts of the patches that change a Node beside other writers, and what takes our marks off. Pure.

``spec.taints`` is an atomic list, so a merge patch would replace all of it; a JSON Patch (RFC 6902)
that tests an entry's key and effect before it removes that index takes away our own taint or fails
as a whole. Every patch also holds the Node's uid, so that a Node made anew under the same name is
read before it is written.
"""

from collections.abc import Mapping, Sequence

from common import names
from common.record import dataclass

Operation = dict[str, object]
"""One operation of a JSON Patch."""

Map = Mapping[str, str]
Wish = Mapping[str, str | None]
"""What a map of texts shall hold; None takes a key away."""


@dataclass(frozen=True, slots=True)
class Taint:
    """One entry of ``spec.taints``; garbage reads as empty texts, so that indexes still count."""

    key: str
    effect: str


def is_gate(taint: Taint, keys: Sequence[str]) -> bool:
    """Return whether this taint is one of ours to remove; another effect is somebody else's."""
    return taint.key in keys and taint.effect == names.TAINT_EFFECT


def with_uid(uid: str, changes: Sequence[Operation]) -> list[Operation]:
    """Return the changes, held to this very Node; none for none."""
    return [must_be("/metadata/uid", uid), *changes] if changes else []


def map_operations(field: str, have: Map, want: Wish, *, is_missing: bool) -> list[Operation]:
    """Return what makes `metadata.FIELD` as wanted; JSON Patch adds no key to a missing map."""
    setting = {key: v for key, v in want.items() if v is not None and have.get(key) != v}
    path = f"/metadata/{field}"
    if is_missing:
        # adding the map would replace one made meanwhile: the test fails then
        whole: Operation = {"op": "add", "path": path, "value": setting}
        return [must_be(path, None), whole] if setting else []
    operations: list[Operation] = []
    for key, value in want.items():
        place = f"{path}/{_escape(key)}"
        if key in setting:
            operations.append({"op": "add", "path": place, "value": value})
        elif value is None and key in have:
            operations.append({"op": "remove", "path": place})
    return operations


def taint_operations(taints: Sequence[Taint], keys: Sequence[str]) -> list[Operation]:
    """Return test, test, remove for each gate taint, the highest index first."""
    operations: list[Operation] = []
    for index in reversed(range(len(taints))):
        taint, path = taints[index], f"/spec/taints/{index}"
        if is_gate(taint, keys):
            operations.append(must_be(f"{path}/key", taint.key))
            operations.append(must_be(f"{path}/effect", taint.effect))
            operations.append({"op": "remove", "path": path})
    return operations


def condition_removal(uid: str) -> Operation:
    """
    Return the strategic merge patch of ``nodes/status`` that takes our condition away.

    Source: Kubernetes, "Update API Objects in Place Using kubectl patch", directive ``$patch``.
    """
    gone = {"type": names.CONDITION, "$patch": "delete"}
    return {"metadata": {"uid": uid}, "status": {"conditions": [gone]}}


def must_be(path: str, value: str | None) -> Operation:
    """Return the operation that lets the whole patch fail unless this value stands there."""
    return {"op": "test", "path": path, "value": value}


def _escape(key: str) -> str:
    """Return the key as one step of a JSON Pointer (RFC 6901 section 3)."""
    return key.replace("~", "~0").replace("/", "~1")
