"""The tables of docs/agent.md."""

from collections.abc import Callable, Mapping

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
from docs.table import metrics_table, table

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
    return table(("setting", "default", "meaning"), rows)


def _default(setting: Setting) -> str:
    if setting.path in _TOO_LONG:
        return _TOO_LONG[setting.path]
    if isinstance(setting.default, bool):
        return str(setting.default).lower()
    return str(setting.default) if setting.default != () else ""


def checks() -> str:
    """Return the table of checks."""
    return table(("check", "looks at"), [(f"`{one}`", glossary.CHECKS[one]) for one in CHECKS])


def reasons() -> str:
    """Return the table of reasons."""
    rows = [(f"`{one}`", *glossary.REASONS[one]) for one in Reason]
    return table(("reason", "severity", "meaning"), rows)


def metrics() -> str:
    """Return the table of the node's metrics."""
    return metrics_table(StatusCollector(full_status()))


def servers() -> str:
    """Return the table of the metrics of each storage server."""
    present = {"10.0.0.9": Present(8, 8, 0.001)}
    return metrics_table(NfsCollector(lambda: ({"10.0.0.9": nfs_counts()}, present)))


def nfs_counts() -> dict[Name, float]:
    """Return counts of one server that has something to say in every metric."""
    counts: dict[Name, float] = dict.fromkeys(((name, "") for name in BY_SERVER), 1.0)
    return counts | dict.fromkeys(((name, READ) for name in BY_OPERATION), 1.0)


TABLES: Mapping[str, Callable[[], str]] = {
    "settings": settings,
    "checks": checks,
    "reasons": reasons,
    "metrics": metrics,
    "servers": servers,
}
