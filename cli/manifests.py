"""
Manifests as text to objects: YAML or JSON, many documents a file, each error with its place. Pure.

Reads as Kubernetes does: keys are text, a timestamp or 1:30 is text, yes and on are true. What a
person would not want read silently is an error: a key twice, a tag, an alias of itself.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from cli.yaml_tree import MAX_DEPTH, TreeError, depth_of, tree_of

MAX_BYTES: Final = 32 * 2**20
_START: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_TEMPLATED: Final = re.compile(r"\{\{.*?\}\}")
_UNPRINTABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)
HELM: Final = "this looks like a Helm template: helm template CHART | tunegate explain -f -"


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file and the line on which it begins."""

    source: str
    line: int
    tree: Any

    @property
    def is_kubernetes(self) -> bool:
        """Whether it says what it is."""
        names = ("apiVersion", "kind")
        return isinstance(self.tree, dict) and all(
            isinstance(self.tree.get(name), str) and self.tree[name] for name in names
        )


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something cannot be read, and where; line 0 means the whole file."""

    source: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        """Return it as compilers write it, which editors find."""
        place = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.source}{place}: {self.text}"


def read(source: str, raw: bytes) -> Iterator[Document | Problem]:
    """Yield the documents of a file, and a problem in place of each that cannot be read."""
    text = _decoded(source, raw)
    if isinstance(text, Problem):
        yield text
    elif text.lstrip()[:1] == "{":
        yield from _json_or_yaml(source, text)
    else:
        for first_line, chunk in _chunks(text):
            yield from _yaml(source, first_line, chunk)


def _decoded(source: str, raw: bytes) -> str | Problem:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _position(raw.decode("latin-1"), error.start)
        return Problem(source, line, column, "is not text in UTF-8")
    if found := _UNPRINTABLE.search(text):
        what = f"an unprintable character (U+{ord(found[0]):04X}): is this a manifest?"
        return Problem(source, *_position(text, found.start()), what)
    return text


def _position(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """Yield each document's first line and text, so that one that is bad does not hide others."""
    starts = [0, *(found.start() for found in _START.finditer(text) if found.start()), len(text)]
    line = 0
    for start, end in pairwise(starts):
        yield line, text[start:end]
        line += text.count("\n", start, end)


def _yaml(source: str, first_line: int, chunk: str) -> Iterator[Document | Problem]:
    try:
        for place, tree in tree_of(chunk):
            if tree is not None:
                yield Document(source, first_line + place.line, tree)
    except TreeError as error:
        text = HELM if _TEMPLATED.search(chunk) else str(error)
        yield Problem(source, first_line + error.place.line, error.place.column, text)


def _json_or_yaml(source: str, text: str) -> Iterator[Document | Problem]:
    """Yield JSON objects, one after the other; YAML may begin with a brace, too."""
    try:
        found = list(_json(source, text))
    except (ValueError, RecursionError) as error:
        as_yaml = [one for at, chunk in _chunks(text) for one in _yaml(source, at, chunk)]
        is_bad = any(isinstance(one, Problem) for one in as_yaml)
        if is_bad and isinstance(error, json.JSONDecodeError) and re.match(r'\s*\{\s*"', text):
            yield Problem(source, error.lineno, error.colno, f"is not JSON: {error.msg}")
        else:
            yield from as_yaml
        return
    yield from found


def _json(source: str, text: str) -> Iterator[Document]:
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number)
    at = len(text) - len(text.lstrip())
    while at < len(text):
        tree, end = decoder.raw_decode(text, at)
        if depth_of(tree) > MAX_DEPTH:
            raise RecursionError
        yield Document(source, _position(text, at)[0], tree)
        at = end + len(text[end:]) - len(text[end:].lstrip())


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key twice")  # the YAML reader finds the place
    return made


def _no_number(name: str) -> float:
    raise ValueError(name)
