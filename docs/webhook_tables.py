"""The tables of docs/webhook.md."""

from collections.abc import Callable, Iterable, Mapping

from common.names import WEBHOOK_METRIC_PREFIX
from common.settings import Setting
from docs.table import metrics_table, table
from webhook.cert_problems import PROBLEMS
from webhook.certificates import Problem
from webhook.metrics import Metrics
from webhook.nfs_sources import DRIVERS
from webhook.notices import Reason
from webhook.quantities import duration_text
from webhook.refusals import REFUSALS
from webhook.rules import RULES, Rule
from webhook.schema import SETTINGS
from webhook.settings import SETTINGS as POLICY

_TOO_LONG = {"gateTaints": "the five gate taints", "nodes.selector": "none"}
"""Defaults that a table has no room for."""
_DURATIONS = ("startupBudget", "drainTimeout", "propagation", "teardown")


_EVENTS = {
    Reason.NOT_INJECTED: "pods were created without the webhook; the command that makes them anew",
    Reason.FAILED_SAFE: "the webhook was in doubt and left a pod, or a feature of it, as it was",
}


def settings() -> str:
    """Return the table of the process's settings."""
    return _settings(SETTINGS)


def policy() -> str:
    """Return the table of the policy file's settings."""
    return _settings(POLICY)


def _settings(rows: Iterable[Setting]) -> str:
    cells = [(f"`{row.path}`", _default(row), row.doc) for row in rows]
    return table(("setting", "default", "meaning"), cells)


def _default(row: Setting) -> str:
    if row.path in _TOO_LONG:
        return _TOO_LONG[row.path]
    if row.path in _DURATIONS:
        return duration_text(row.default)
    if isinstance(row.default, bool):
        return str(row.default).lower()
    if isinstance(row.default, tuple):
        return ", ".join(row.default)
    return str(row.default)


def refusals() -> str:
    """Return the table of what is refused before a review is read."""
    rows = [(f"`{one.reason}`", str(one.status.value), one.text) for one in REFUSALS]
    return table(("reason", "status", "text"), rows)


def rules() -> str:
    """Return the table of what is recognised, and what is left alone."""
    rows = [(f"`{row.name}`", row.verdict.value, _subject(row)) for row in RULES]
    return table(("rule", "verdict", "when"), rows)


def _subject(row: Rule) -> str:
    return f"the {'pod' if row.whole_pod else 'container'} {row.sentence}"


def problems() -> str:
    """Return the table of what can be wrong with certificates."""
    rows = [(f"`{one.value}`", *PROBLEMS[one]) for one in Problem]
    return table(("problem", "meaning", "what happens, what to do"), rows)


def metrics() -> str:
    """Return the table of the webhook's own metrics."""
    made = Metrics()
    made.fill()
    return metrics_table(made.registry, WEBHOOK_METRIC_PREFIX)


def nfs_drivers() -> str:
    """Return the table of CSI drivers that speak NFS."""
    rows = [
        (f"`{name}`", row.where, "yes" if row.takes_nconnect else "no")
        for name, row in DRIVERS.items()
    ]
    return table(("driver", "its servers", "`nconnect`"), rows)


def events() -> str:
    """Return the table of Events."""
    rows = [(f"`{reason}`", _EVENTS[reason]) for reason in Reason]
    return table(("reason", "when"), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "settings": settings,
    "policy": policy,
    "refusals": refusals,
    "problems": problems,
    "metrics": metrics,
    "nfs_drivers": nfs_drivers,
    "events": events,
    "rules": rules,
}
