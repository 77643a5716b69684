"""The table of charts/tunegate/README.md."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from docs.chart_values import shipped
from docs.table import table

_ROOM: Final = 60


def values() -> str:
    """Return the table of the chart's values."""
    rows = [(f"`{one.dotted}`", _default(one.default), one.doc) for one in shipped()]
    return table(("value", "default", "meaning"), rows)


def _default(default: Any) -> str:  # noqa: ANN401 - YAML
    if default in ("", [], {}) and default is not False:
        return ""
    text = default if isinstance(default, str) else json.dumps(default)
    return f"`{text}`" if len(text) <= _ROOM else "see values.yaml"


TABLES: Final[Mapping[str, Callable[[], str]]] = {"values": values}
