"""
Write what says again what the code knows: ``make docs``.

The tables of the pages in docs/ and of the chart's README, the chart's values.schema.json and
dashboards, and what is installed into the images.

A table stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; a test fails when what
stands there is not what would be written.
"""

import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from docs import (
    agent_tables,
    chart_schema,
    chart_tables,
    image_requirements,
    monitoring_tables,
    warning_tables,
    webhook_tables,
)
from docs.dashboards.files import DASHBOARDS
from docs.dashboards.panels import dashboard_json

FOLDER = Path(__file__).parent
PAGES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "agent.md": agent_tables.TABLES,
    "monitoring.md": monitoring_tables.TABLES,
    "warnings.md": warning_tables.TABLES,
    "webhook.md": webhook_tables.TABLES,
    "../charts/tunegate/README.md": chart_tables.TABLES,
}
"""The tables of each page, by its path from docs/."""
FILES: Mapping[str, Callable[[], str]] = {
    "../charts/tunegate/values.schema.json": chart_schema.values_schema,
    "../images/agent.txt": image_requirements.agent,
    "../images/webhook.txt": image_requirements.webhook,
    **{
        f"../charts/tunegate/files/dashboards/{name}.json": partial(dashboard_json, dashboard)
        for name, dashboard in DASHBOARDS.items()
    },
}
"""Files that are written whole."""
_PLACE = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(page: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """Return the page with its tables as they should be; raises KeyError for an unknown name."""
    return _PLACE.sub(lambda place: place[1] + tables[place[2]]() + place[3], page)


def names(page: str) -> set[str]:
    """Return the names of the tables that a page has places for."""
    return {place[2] for place in _PLACE.finditer(page)}


def main() -> int:
    """Write the pages and files; return 0."""
    for name, tables in PAGES.items():
        path = FOLDER / name
        path.write_text(written(path.read_text(), tables))
    for name, text in FILES.items():
        (FOLDER / name).write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
