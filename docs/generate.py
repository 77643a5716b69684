"""
Write the tables of docs/agent.md that say what the code knows: ``make docs``.

A table stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; a test fails when what
stands there is not what would be written.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from prometheus_client.registry import Collector

from agent import glossary
from agent.metrics import StatusCollector
from agent.nfs_metrics import BY_OPERATION, BY_SERVER, NfsCollector
from agent.nfs_totals import READ, Name, Present
from agent.schema import SETTINGS
from agent.state import (
    CHECKS,
    Address,
    Endpoint,
    LinkName,
    Outcome,
    Plan,
    Proof,
    Reason,
    Report,
    Verdict,
)
from agent.status import Status
from common.settings import Setting

PAGE = Path(__file__).parent / "agent.md"
_PLACE = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_TOO_LONG = {"sysctls": "see below", "gate.taints": "five keys", "nfs.want": "see below"}
"""Defaults that a table has no room for."""


def full_status() -> Status:
    """Return the status of an agent that has something to say in every metric."""
    status = Status(gate_opened_seconds=0.1)
    status.requested("get", 200)
    link = {LinkName("eth1"): 9000}
    plan = Plan((), links=link, read_ahead_kib={"0:50": 15360})
    endpoint = Endpoint("nfs", Address("10.0.0.9"), 2049, "")
    proof = Proof(endpoint, Verdict.PASSED, 9000, 9000, 9000, "icmp", Reason.TUNED)
    report = Report(Outcome.TUNED, (), plan, (proof,), link, read_ahead_kib={"0:50": 15360})
    status.passed(report, 0.1)
    return status


def settings() -> str:
    """Return the table of settings."""
    rows = [(f"`{one.path}`", _default(one), glossary.SETTINGS[one.path]) for one in SETTINGS]
    return _table(("setting", "default", "meaning"), rows)


def _default(setting: Setting) -> str:
    if setting.path in _TOO_LONG:
        return _TOO_LONG[setting.path]
    if isinstance(setting.default, bool):
        return str(setting.default).lower()
    return str(setting.default) if setting.default != () else ""


def checks() -> str:
    """Return the table of checks."""
    return _table(("check", "looks at"), [(f"`{one}`", glossary.CHECKS[one]) for one in CHECKS])


def reasons() -> str:
    """Return the table of reasons."""
    rows = [(f"`{one}`", *glossary.REASONS[one]) for one in Reason]
    return _table(("reason", "severity", "meaning"), rows)


def metrics() -> str:
    """Return the table of the node's metrics."""
    return _metrics(StatusCollector(full_status()))


def servers() -> str:
    """Return the table of the metrics of each storage server."""
    counts: dict[Name, float] = dict.fromkeys(((name, "") for name in BY_SERVER), 1.0)
    counts |= dict.fromkeys(((name, READ) for name in BY_OPERATION), 1.0)
    present = {"10.0.0.9": Present(8, 8, 0.001)}
    return _metrics(NfsCollector(lambda: ({"10.0.0.9": counts}, present)))


def _metrics(collector: Collector) -> str:
    rows: list[tuple[str, str, str]] = []
    for family in collector.collect():
        labels = dict.fromkeys(name for sample in family.samples for name in sample.labels)
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append((f"`{name}`", ", ".join(f"`{one}`" for one in labels), family.documentation))
    return _table(("metric", "labels", "meaning"), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "settings": settings,
    "checks": checks,
    "reasons": reasons,
    "metrics": metrics,
    "servers": servers,
}


def written(page: str) -> str:
    """Return the page with its tables as they should be; raises KeyError for an unknown name."""
    return _PLACE.sub(lambda place: place[1] + TABLES[place[2]]() + place[3], page)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = ["|" + "---|" * len(head), *("|".join(("", *map(_cell, row), "")) for row in rows)]
    return "\n".join(("|".join(("", *map(_cell, head), "")), *lines, ""))


def _cell(text: str) -> str:
    return f" {text} " if text else " "


def main() -> int:
    """Write the page; return 0."""
    PAGE.write_text(written(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
