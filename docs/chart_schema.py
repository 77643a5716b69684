"""Write what charts/tunegate/values.yaml takes as JSON Schema, which every Helm command checks."""

import json
from collections.abc import Iterable
from typing import Any, Final

from docs.chart_values import Value, shipped
from docs.reader_schemas import Schema, closed, schema_of_file

_TYPES: Final = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_SETTINGS: Final = "$settings"
"""In a value's piece of schema: the settings file that it is."""


def values_schema() -> str:
    """Return the text of values.schema.json."""
    return json.dumps(schema_of_values(shipped()), indent=2) + "\n"


def schema_of_values(values: Iterable[Value]) -> Schema:
    """Return the schema: closed at every section, `global` apart, which parent charts add."""
    root = _section()
    for value in values:
        section = root
        for name in value.path[:-1]:
            _require(section, name)
            section = section["properties"].setdefault(name, _section())
        made = section["properties"][value.path[-1]] = _of(value)
        if _is_never_empty(made):
            _require(section, value.path[-1])
    root["properties"]["global"] = {"type": "object", "description": "Of a parent chart."}
    return {"$schema": "http://json-schema.org/draft-07/schema#", **root}


def _section() -> Schema:
    return {**closed({}), "required": []}


def _require(section: Schema, name: str) -> None:
    if name not in section["required"]:
        section["required"].append(name)


def _is_never_empty(schema: Schema) -> bool:
    """Return whether `null`, which takes a value away, is not as good as an empty one."""
    kind = schema.get("type")
    refusing = {"string": ("minLength", "pattern"), "array": ("minItems",), "object": ()}
    if not isinstance(kind, str) or kind not in refusing:
        return True
    return any(word in schema for word in refusing[kind])


def _of(value: Value) -> Schema:
    fragment: dict[str, Any] = dict(value.fragment)
    if _SETTINGS in fragment:
        return {"description": value.doc, **schema_of_file(fragment[_SETTINGS])}
    is_typed = {"type", "enum", "const", "anyOf"} & fragment.keys()
    inferred = {} if is_typed else {"type": _TYPES[type(value.default)]}
    return {"description": value.doc, **inferred, **fragment}
