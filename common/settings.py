"""
One program's settings as data: a closed schema of rows, each with its place, reader and default.

The environment variable of ``probe.retrySeconds`` is ``TUNEGATE_PROBE_RETRY_SECONDS``.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from common.readers import near
from common.record import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its dotted place in the file, its reader, its default, its documentation."""

    path: str
    read: Callable[[Any], Any]
    default: Any
    doc: str
    prefix: str = "TUNEGATE_"

    @property
    def attribute(self) -> str:
        """Return the field of the decoded settings that holds it."""
        return _snake(self.path)

    @property
    def variable(self) -> str:
        """Return the environment variable that sets it."""
        return self.prefix + _snake(self.path).upper()


def _snake(path: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in path).replace(
        ".", "_"
    )


def flatten(
    tree: object, place: str, errors: list[str], settings: Iterable[Setting]
) -> dict[str, Any]:
    """
    Return the settings by dotted path; each name that is not one is added to the errors.

    ``place`` stands before a name in an error: ``FILE: `` or ``FILE: profiles[0].settings.``
    """
    known = {setting.path for setting in settings}
    sections = {name.partition(".")[0] for name in known if "." in name}
    found: dict[str, Any] = {}
    if tree is not None and not isinstance(tree, dict):
        errors.append(f"{place.rstrip('. :')}: the configuration must be a mapping of settings")
        return {}
    for name, value in (tree or {}).items():
        if name in known:
            found[name] = value
        elif name not in sections:
            errors.append(f"{place}{name}: no such setting{near(str(name), known | sections)}")
        elif not isinstance(value, dict):
            errors.append(f"{place}{name}: must be a mapping of settings")
        else:
            for inner, leaf in value.items():
                dotted = f"{name}.{inner}"
                if dotted in known:
                    found[dotted] = leaf
                else:
                    errors.append(f"{place}{dotted}: no such setting{near(dotted, known)}")
    return found


def scalar(value: str) -> object:
    """Return a variable's value as JSON reads it, else as the text it is."""
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
