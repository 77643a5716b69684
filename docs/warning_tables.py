"""The contents of docs/warnings.md, from the webhook's own table of mistakes."""

import textwrap
from collections.abc import Callable, Iterator, Mapping

from docs.table import table
from webhook.warn import ROWS
from webhook.warn.caution import Row, Severity

WIDTH = 120
_MEANT: Mapping[Severity, str] = {
    Severity.BREAKS: "it does not start, or is killed",
    Severity.LOSES_REQUESTS: "requests are lost when a pod ends",
    Severity.SLOWS: "it is slower, or costs more, than it could",
    Severity.RISKS: "it works until something happens",
}


def overview() -> str:
    """Return the table of all warnings, the worst first, with links."""
    rows = [(f"[{row.name}](#{row.name.lower()})", _MEANT[row.severity]) for row in ROWS]
    return table(("warning", "if nobody listens"), rows)


def rows() -> str:
    """Return a section for each warning, in the order of names."""
    found = sorted(ROWS, key=lambda row: row.name)
    return "\n".join(line for row in found for line in _section(row)) + "\n"


def _section(row: Row) -> Iterator[str]:
    yield f"### {row.name}"
    for title, text in (("What", row.what), ("Why", row.why), ("Cure", row.cure)):
        yield ""
        yield from _paragraph(f"**{title}:** {text}")
    yield from ("", "```yaml", row.example.rstrip(), "```", "")


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)


TABLES: Mapping[str, Callable[[], str]] = {"overview": overview, "rows": rows}
