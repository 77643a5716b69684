"""
Read charts/tunegate/values.yaml as people wrote it: each value with its default and its comment.

A value's comment is the lines above it that begin with ``# -- `` and go on with ``# ``; a line
``# @schema {...}`` among them is a piece of JSON Schema that says more of its type than the default
does (and makes a mapping one value, not a section).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).parent.parent / "charts" / "tunegate"
_DOC, _SCHEMA, _COMMENT = "# -- ", "# @schema ", "# "


class ValuesError(ValueError):
    """values.yaml has a value that is not documented as the chart's values are."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value: its path, what it is unless set, its comment, what else is known of its type."""

    path: tuple[str, ...]
    default: Any
    doc: str
    fragment: Mapping[str, Any]

    @property
    def dotted(self) -> str:
        """Return its name as ``--set`` takes it."""
        return ".".join(self.path)


def read(text: str) -> tuple[Value, ...]:
    """Return every value in the order of the file; raises ValuesError."""
    tree = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(tree, yaml.MappingNode):
        raise ValuesError("values.yaml: must be a mapping")
    return tuple(_values(tree, (), text.splitlines()))


def shipped() -> tuple[Value, ...]:
    """Return the values of the chart in this checkout."""
    return read((CHART / "values.yaml").read_text())


def _values(
    node: yaml.MappingNode, above: tuple[str, ...], lines: Sequence[str]
) -> Iterator[Value]:
    for key, value in node.value:
        path = (*above, str(key.value))
        doc, fragment = _comment(lines, key.start_mark.line, ".".join(path))
        is_section = isinstance(value, yaml.MappingNode) and value.value and not fragment
        if isinstance(value, yaml.MappingNode) and is_section:
            yield from _values(value, path, lines)
        elif doc:
            yield Value(path, _plain(value), doc, fragment)
        else:
            raise ValuesError(f"values.yaml: {'.'.join(path)}: has no comment `{_DOC}...`")


def _comment(lines: Sequence[str], line: int, name: str) -> tuple[str, Mapping[str, Any]]:
    """Return the sentences above a line, and the piece of schema."""
    block: list[str] = []
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        block.insert(0, lines[line].strip())
        if block[0].startswith(_DOC):
            break
    schemas = [one.removeprefix(_SCHEMA) for one in block if one.startswith(_SCHEMA)]
    words = [one for one in block if not one.startswith(_SCHEMA)]
    try:
        fragment = json.loads(schemas[0]) if schemas else {}
    except ValueError as error:
        raise ValuesError(f"values.yaml: {name}: @schema is no JSON: {error}") from error
    if not words or not words[0].startswith(_DOC):
        return "", fragment
    text = [words[0].removeprefix(_DOC), *(one.removeprefix(_COMMENT) for one in words[1:])]
    return " ".join(text), fragment


def _plain(node: yaml.Node) -> Any:  # noqa: ANN401 - YAML
    return yaml.safe_load(yaml.serialize(node))
