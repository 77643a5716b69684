"""
Write the tables of the pages in docs/ that say what the code knows: ``make docs``.

A table stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; a test fails when what
stands there is not what would be written.
"""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from docs import agent_tables, warning_tables, webhook_tables

FOLDER = Path(__file__).parent
PAGES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "agent.md": agent_tables.TABLES,
    "warnings.md": warning_tables.TABLES,
    "webhook.md": webhook_tables.TABLES,
}
"""The tables of each page."""
_PLACE = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(page: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """Return the page with its tables as they should be; raises KeyError for an unknown name."""
    return _PLACE.sub(lambda place: place[1] + tables[place[2]]() + place[3], page)


def names(page: str) -> set[str]:
    """Return the names of the tables that a page has places for."""
    return {place[2] for place in _PLACE.finditer(page)}


def main() -> int:
    """Write the pages; return 0."""
    for name, tables in PAGES.items():
        path = FOLDER / name
        path.write_text(written(path.read_text(), tables))
    return 0


if __name__ == "__main__":
    sys.exit(main())
