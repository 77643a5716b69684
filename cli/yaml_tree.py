"""
YAML text to plain objects, from libyaml's events: iterative, with a place for every error. Pure.

PyYAML's own constructors take the last of two equal keys, read 1:30 as 90 and a date as a date,
fail at "=" and recurse; Kubernetes does none of that.
Source: https://yaml.org/spec/1.2.2/ and sigs.k8s.io/yaml (YAML is made JSON first).
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

MAX_DEPTH: Final = 200
MAX_NODES: Final = 5_000_000
"""After aliases are followed: a few lines can stand for billions."""
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset(
    case(word) for word in ("true", "yes", "on") for case in (str.lower, str.upper, str.capitalize)
)
_FALSE: Final = frozenset(
    case(word) for word in ("false", "no", "off") for case in (str.lower, str.upper, str.capitalize)
)
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")
_BASED: Final = re.compile(r"([-+]?)(?:(0x)([0-9a-fA-F_]+)|(0b)([01_]+)|(0o?)([0-7_]+))")
_FLOAT: Final = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)(?:[eE][-+]?[0-9]+)?")
_MAX_DIGITS: Final = 300
_TAGS: Final = "tag:yaml.org,2002:"
_MERGE: Final = "<<"


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, both from 1."""

    line: int
    column: int


class TreeError(Exception):
    """Text that cannot be read; says where."""

    def __init__(self, text: str, place: Place) -> None:
        """Make it of a sentence without a full stop and a place."""
        super().__init__(text)
        self.place = place


@dataclass(slots=True)
class _Open:
    """A mapping or a list that has not ended."""

    made: Any
    place: Place
    anchor: str | None
    size: int = 1
    key: str | None = None
    is_merge: bool = False
    merged: list[Any] = field(default_factory=list)


class _Builder:
    """Makes one document of events."""

    def __init__(self) -> None:
        """Begin without anything open."""
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.unfinished: set[str] = set()
        self.root: Any = None
        self.place = Place(1, 1)

    def take(self, event: Any) -> None:  # noqa: ANN401 - PyYAML has no type for all events
        """Take the next event; raises TreeError."""
        place = Place(event.start_mark.line + 1, event.start_mark.column + 1)
        match event:
            case yaml.ScalarEvent():
                self._scalar(event, place)
            case yaml.AliasEvent():
                self._alias(event.anchor or "", place)
            case yaml.MappingStartEvent():
                self._begin({}, event, place)
            case yaml.SequenceStartEvent():
                self._begin([], event, place)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._end()

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> None:
        if self._wants_key():
            self._key(event.value, place)
            self.open[-1].is_merge = event.value == _MERGE and event.implicit[0]
            return
        value = _value(event, place)
        if event.anchor:
            self.anchors[event.anchor] = (value, 1)
        self._add(value, 1, place)

    def _alias(self, anchor: str, place: Place) -> None:
        if anchor in self.unfinished:
            raise TreeError(f"*{anchor} stands inside itself", place)
        if anchor not in self.anchors:
            raise TreeError(f"*{anchor}: there is no &{anchor} above", place)
        value, size = self.anchors[anchor]
        if self._wants_key():
            self._key(value, place)
        else:
            self._add(value, size, place)

    def _begin(self, made: Any, event: Any, place: Place) -> None:  # noqa: ANN401 - as above
        if self._wants_key():
            raise TreeError("a key must be text, not a list or a mapping", place)
        if event.tag and not event.tag.startswith(_TAGS) and event.tag != "!":
            raise TreeError(f"the tag {event.tag} means nothing to Kubernetes", place)
        if len(self.open) >= MAX_DEPTH:
            raise TreeError(f"nested more than {MAX_DEPTH} deep", place)
        if event.anchor:
            self.unfinished.add(event.anchor)
        self.open.append(_Open(made, place, event.anchor))

    def _end(self) -> None:
        done = self.open.pop()
        for each in done.merged:
            done.made.update({key: value for key, value in each.items() if key not in done.made})
        if done.anchor:
            self.unfinished.discard(done.anchor)
            self.anchors[done.anchor] = (done.made, done.size)
        self._add(done.made, done.size, done.place)

    def _wants_key(self) -> bool:
        return (
            bool(self.open) and isinstance(self.open[-1].made, dict) and self.open[-1].key is None
        )

    def _key(self, value: Any, place: Place) -> None:  # noqa: ANN401 - as above
        if not isinstance(value, str) or not value:
            raise TreeError("a key must be text", place)
        if value in self.open[-1].made:
            raise TreeError(f"the key {value!r} stands here twice", place)
        self.open[-1].key = value

    def _add(self, value: Any, size: int, place: Place) -> None:  # noqa: ANN401 - as above
        if not self.open:
            self.root, self.place = value, place
            return
        here = self.open[-1]
        here.size += size
        if here.size > MAX_NODES:
            raise TreeError("its aliases stand for more than can be read", place)
        if isinstance(here.made, list):
            here.made.append(value)
            return
        if here.is_merge:
            here.merged += _mappings(value, place)
        else:
            here.made[here.key] = value
        here.key, here.is_merge = None, False


def _mappings(value: Any, place: Place) -> list[dict[str, Any]]:  # noqa: ANN401 - as above
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in found):
        raise TreeError("<< takes a mapping, or a list of mappings", place)
    return found


def tree_of(text: str) -> Iterator[tuple[Place, Any]]:
    """
    Yield each document of a YAML text with the place where it begins.

    Raises:
        TreeError: It cannot be read; the documents before were given.
    """
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.DocumentEndEvent):
                yield builder.place, builder.root
                builder = _Builder()
            else:
                builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise _marked(error, text) from error
    except yaml.YAMLError as error:
        raise TreeError(" ".join(str(error).split()), Place(1, 1)) from error


def _marked(error: yaml.MarkedYAMLError, text: str) -> TreeError:
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return TreeError("a tab cannot indent: use spaces", place)
    said = ", ".join(filter(None, (error.problem, error.context)))
    return TreeError(said or "is not YAML", place)


def _value(event: yaml.ScalarEvent, place: Place) -> Any:  # noqa: ANN401 - as above
    """Return what a scalar stands for."""
    tag = event.tag or ""
    if tag.startswith(_TAGS):
        kind = tag.removeprefix(_TAGS)
        return event.value if kind in {"str", "binary", "timestamp"} else plain(event.value)
    if tag not in {"", "!"}:
        raise TreeError(f"the tag {tag} means nothing to Kubernetes", place)
    return plain(event.value) if event.implicit[0] and not tag else event.value


def plain(text: str) -> Any:  # noqa: ANN401 - any scalar
    """Return the null, boolean, number or text that stands there without quotes."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text[0] in "0123456789+-." and len(text) <= _MAX_DIGITS:
        return _number(text)
    return text


def _number(text: str) -> Any:  # noqa: ANN401 - a number, or the text
    if _INTEGER.fullmatch(text):
        return int(text.replace("_", ""))
    if found := _BASED.fullmatch(text):
        sign, *parts = found.groups()
        base, digits = next((parts[at], parts[at + 1]) for at in (0, 2, 4) if parts[at])
        plain_digits = digits.replace("_", "")
        if not plain_digits:
            return text
        whole = int(plain_digits, {"0x": 16, "0b": 2}.get(base, 8))
        return -whole if sign == "-" else whole
    if _FLOAT.fullmatch(text):
        value = float(text.replace("_", ""))
        return value if math.isfinite(value) else text
    return text


def depth_of(tree: Any) -> int:  # noqa: ANN401 - any tree
    """Return how many lists and mappings stand inside each other, at most one above the limit."""
    level, depth = [tree], 0
    while level and depth <= MAX_DEPTH:
        level = [
            below
            for each in level
            if isinstance(each, dict | list)
            for below in (each.values() if isinstance(each, dict) else each)
        ]
        depth += 1
    return depth
