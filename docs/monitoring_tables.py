"""The tables of docs/monitoring.md."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import yaml

from docs.dashboards.files import DASHBOARDS
from docs.table import table

_ROOT: Final = Path(__file__).parents[1]
_ALERTS: Final = _ROOT / "charts" / "tunegate" / "files" / "alerts.yaml"
_RUNBOOKS: Final = _ROOT / "docs" / "runbooks"


def alerts() -> str:
    """Return the table of alerts: what each means is the first sentence of its page."""
    groups = yaml.safe_load(_ALERTS.read_text(encoding="utf-8"))["groups"]
    rows = [
        (
            f"[`{rule['alert']}`](runbooks/{rule['alert']}.md)",
            rule["labels"]["severity"],
            rule.get("for", "at once"),
            _first_sentence(rule["alert"]),
        )
        for group in groups
        for rule in group["rules"]
    ]
    return table(("alert", "severity", "after", "when"), rows)


def dashboards() -> str:
    """Return the table of dashboards."""
    rows = [
        (f"`{dashboard.title}`", f"`tunegate-{name}.json`", dashboard.text)
        for name, dashboard in DASHBOARDS.items()
    ]
    return table(("dashboard", "file", "shows"), rows)


def _first_sentence(alert: str) -> str:
    page = (_RUNBOOKS / f"{alert}.md").read_text(encoding="utf-8")
    paragraph = page.split("\n\n")[1].replace("\n", " ")
    sentence = re.match(r".*?\.(?= [A-Z`]|$)", paragraph)
    return sentence[0] if sentence else paragraph


TABLES: Final[Mapping[str, Callable[[], str]]] = {"alerts": alerts, "dashboards": dashboards}
