"""The chart's alerts: each fires, keeps still just below, ends, and says what to do."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.sources import (
    ALERT_TESTS,
    ALERTS_FILE,
    RUNBOOKS,
    known_metrics,
    metrics_in,
    rules,
)

RUNBOOK_URL = "https://github.com/tunegate/tunegate/blob/main/docs/runbooks"
NAMES = [rule["alert"] for rule in rules()]
EACH = pytest.mark.parametrize("rule", rules(), ids=NAMES)


def promtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run promtool."""
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


def unit_test(alert: str, rules_file: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run an alert's unit test against a file of rules."""
    text = (ALERT_TESTS / f"{alert}.yaml").read_text()
    test = folder / f"{alert}.yaml"
    test.write_text(re.sub(r"rule_files: .*", f"rule_files: [{rules_file}]", text))
    return promtool("test", "rules", test)


def test_alerts_tests_and_runbooks_are_the_same_set() -> None:
    """An alert without a page leaves somebody alone at night."""
    assert len(set(NAMES)) == len(NAMES)
    assert {path.stem for path in ALERT_TESTS.iterdir()} == set(NAMES)
    assert {path.stem for path in RUNBOOKS.iterdir()} == set(NAMES)


@pytest.mark.parametrize("alert", NAMES)
def test_an_alert_fires_and_ends_as_its_unit_test_says(alert: str) -> None:
    """With its labels and its texts, by promtool."""
    done = promtool("test", "rules", ALERT_TESTS / f"{alert}.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", NAMES)
@pytest.mark.parametrize("expression", ["vector(1)", "vector(1) > 1"])
def test_a_unit_test_refuses_an_alert_that_always_or_never_fires(
    alert: str, expression: str, tmp_path: Path
) -> None:
    """So each one does see the alert fire, and does see it be still."""
    text = f"groups: [{{name: g, rules: [{{alert: {alert}, expr: '{expression}'}}]}}]"
    (tmp_path / "rules.yaml").write_text(text)
    assert unit_test(alert, tmp_path / "rules.yaml", tmp_path).returncode == 1


def test_prometheus_takes_the_file() -> None:
    """As it stands: whoever runs no operator names it in rule_files."""
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", ALERTS_FILE)
    assert done.returncode == 0, done.stdout + done.stderr


@EACH
def test_an_alert_says_what_where_and_what_to_type(rule: dict[str, Any]) -> None:
    """A summary of one line, a description with a command, a link to the page, a severity."""
    texts = rule["annotations"]
    assert set(texts) == {"summary", "description", "runbook_url"}
    assert texts["runbook_url"] == f"{RUNBOOK_URL}/{rule['alert']}.md"
    assert "kubectl" in texts["description"]
    assert "\n" not in texts["summary"] + texts["description"]
    assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})


@EACH
def test_an_alert_asks_for_metrics_that_exist(rule: dict[str, Any]) -> None:
    """A misspelt metric never fires, and nobody notices."""
    asked = metrics_in(rule["expr"])
    assert asked
    assert asked <= known_metrics()
