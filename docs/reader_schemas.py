"""
What JSON Schema can say of the settings' readers, so that Helm refuses what the programs would.

It may let through what a program refuses (a host name that is none), never the other way round.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from agent.clouds import CLOUDS
from agent.readahead import MAX_SET_KIB, STEP_KIB
from agent.schema import OF_THE_PROCESS
from agent.schema import SETTINGS as AGENT
from common.settings import Setting
from webhook.schema import SETTINGS as WEBHOOK
from webhook.settings import EFFECTS, OPERATORS
from webhook.settings import SETTINGS as POLICY

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_TEXTS: Final[Schema] = {"type": ["array", "string"], "items": _TEXT}
_OBJECT: Final[Schema] = {"type": "object"}
_AUTO: Final[Schema] = {"const": "auto"}
_CLOUD: Final[Schema] = {"enum": list(CLOUDS)}


def closed(properties: Mapping[str, Schema], required: Sequence[str] = ()) -> Schema:
    """Return an object that has these fields and no others."""
    must = {"required": list(required)} if required else {}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(properties),
        **must,
    }


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _one_or_list(item: Schema) -> Schema:
    return {"anyOf": [item, _list(item)]}


def _integer(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def _number(low: float, high: float) -> Schema:
    return {"type": "number", "minimum": low, "maximum": high}


def _choice(words: Iterable[str]) -> Schema:
    return {"enum": list(words)}


def _size_or_auto(whole: Callable[[Any], Any]) -> Schema:
    return {"anyOf": [schema_of_reader(whole), _AUTO]}


def _read_ahead() -> Schema:
    return {"anyOf": [{**_integer(0, MAX_SET_KIB), "multipleOf": STEP_KIB}, _AUTO]}


def _sysctls() -> Schema:
    value = {"type": ["integer", "string"]}
    compare = {"enum": ["atLeast", "exact"]}
    row = closed({"value": value, "compare": compare, "required": {"type": "boolean"}})
    return {
        "type": "object",
        "additionalProperties": {"anyOf": [value, {"type": "null"}, row]},
        "propertyNames": {"pattern": "^net[.]"},
    }


def _profiles() -> Schema:
    label = {"anyOf": [{"type": "null"}, *_one_or_list(_TEXT)["anyOf"]]}
    labels = {"type": "object", "additionalProperties": label}
    match = closed({"labels": labels, "cloud": _one_or_list(_CLOUD)})
    own = [row for row in AGENT if row.path.partition(".")[0] not in OF_THE_PROCESS]
    settings = schema_of(own, without=("gate.taints",))
    profile = {"name": _TEXT, "match": match, "settings": settings}
    return _list(closed(profile, required=("name", "match")))


def _exports() -> Schema:
    return _list(closed({"match": _TEXT, "want": _OBJECT}, required=("match", "want")))


def _tolerations() -> Schema:
    fields = {
        "key": _TEXT,
        "operator": {"enum": list(OPERATORS)},
        "value": _TEXT,
        "effect": {"enum": list(EFFECTS)},
    }
    return _list(closed(fields, required=("key",)))


_READERS: Final[Mapping[str, Callable[..., Schema]]] = {
    "boolean": lambda: {"type": "boolean"},
    "choice": _choice,
    "duration": lambda **_bounds: {"type": "string", "minLength": 2},
    "integer": _integer,
    "number": _number,
    "text": lambda: _TEXT,
    "taint_key": lambda: {"type": "string", "minLength": 1},
    "taint_keys": lambda: _TEXTS,
    "size_or_auto": _size_or_auto,
    "size_or_none": lambda: {"type": ["string", "number"]},
    "read_ahead_kib": _read_ahead,
    "patterns": lambda: _TEXTS,
    "endpoints": lambda: _TEXTS,
    "config_map": lambda: _TEXT,
    "nfs_want": lambda: _OBJECT,
    "nfs_exports": _exports,
    "sysctl_rows": _sysctls,
    "tolerations": _tolerations,
    "_names": lambda: _TEXTS,
    "_read_apart": _profiles,
    "_selector": lambda: _TEXT,
}
"""What each reader takes, by its name; of `integer(1, 5)` it gets what the reader was made with."""


def schema_of_reader(read: Callable[[Any], Any]) -> Schema:
    """Return what a reader takes; raises KeyError for one that is not known here."""
    name = read.__qualname__.partition(".")[0]
    made_with = inspect.getclosurevars(read).nonlocals if "<locals>" in read.__qualname__ else {}
    return _READERS[name](**made_with)


def schema_of(rows: Iterable[Setting], without: Sequence[str] = ()) -> Schema:
    """Return what a settings file takes, closed as the program's own reading of it is."""
    sections: dict[str, dict[str, Schema]] = {}
    properties: dict[str, Schema] = {}
    for row in rows:
        if row.path in without:
            continue
        section, dot, leaf = row.path.partition(".")
        described = {"description": row.doc, **schema_of_reader(row.read)}
        if dot:
            sections.setdefault(section, {})[leaf] = described
            properties[section] = closed(sections[section])
        else:
            properties[row.path] = described
    return closed(properties)


FROM_THE_CHART: Final[Mapping[str, Sequence[str]]] = {
    "agent": ("gate.taints", "node.name"),
    "webhook": (
        "certificates.service",
        "certificates.mutatingConfigurations",
        "certificates.validatingConfigurations",
        "policy.file",
        "cluster.kubeconfig",
        "cluster.namespace",
        "nodes.selector",
    ),
    "policy": ("gateTaints",),
}
"""Settings that the chart writes itself, so that no second place says something else."""

_ROWS: Final = {"agent": AGENT, "webhook": WEBHOOK, "policy": POLICY}


def schema_of_file(name: str) -> Schema:
    """Return what the file `agent`, `webhook` or `policy` takes in the chart's values."""
    return schema_of(_ROWS[name], without=FROM_THE_CHART[name])
