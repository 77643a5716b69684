"""Tables in Markdown."""

from collections.abc import Iterable

from prometheus_client.registry import Collector


def metrics_table(collector: Collector, prefix: str = "") -> str:
    """Return the table of what a collector serves, of the families whose name begins so."""
    rows: list[tuple[str, str, str]] = []
    for family in collector.collect():
        if not family.name.startswith(prefix):
            continue
        labels = dict.fromkeys(name for sample in family.samples for name in sample.labels)
        labels.pop("le", None)  # a histogram's own
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append((f"`{name}`", ", ".join(f"`{one}`" for one in labels), family.documentation))
    return table(("metric", "labels", "meaning"), rows)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table; an empty cell is one space wide."""
    head = tuple(head)
    lines = ["|" + "---|" * len(head), *("|".join(("", *map(_cell, row), "")) for row in rows)]
    return "\n".join(("|".join(("", *map(_cell, head), "")), *lines, ""))


def _cell(text: str) -> str:
    return f" {text} " if text else " "
