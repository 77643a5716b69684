"""The commands of tunegate-webhook."""

import re
from pathlib import Path

import pytest

from common.names import WEBHOOK_METRIC_PREFIX
from common.telemetry import VERSION
from webhook.cli import main
from webhook.hooks import PATHS
from webhook.metrics import Metrics
from webhook.schema import SETTINGS

DOCUMENT = Path("docs/webhook.md").read_text()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without settings."""
    for row in SETTINGS:
        monkeypatch.delenv(row.variable, raising=False)


def section(title: str) -> str:
    """Return one section of the document."""
    return DOCUMENT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else."""
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"{VERSION}\n"


def test_check_reads_settings_and_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As run does; exit 0 where both can be used."""
    policy, config = tmp_path / "policy.yaml", tmp_path / "webhook.yaml"
    policy.write_text("startupBudget: 10m\n")
    config.write_text(f"policy: {{file: {policy}}}\n")
    assert main(["check", "--config", str(config)]) == 0
    policy.write_text("startupBudget: soon\nfeatures: {shm: 1}\n")
    assert main(["check", "--config", str(config)]) == 2
    said = capsys.readouterr().err
    assert "startupBudget: must be" in said
    assert "features.shm: must be" in said


def test_run_with_bad_settings_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, every error at once."""
    monkeypatch.setenv("TUNEGATE_WEBHOOK_SERVER_PORT", "none")
    monkeypatch.setenv("TUNEGATE_WEBHOOK_LOG_FORMAT", "none")
    assert main(["run"]) == 2
    said = capsys.readouterr().err
    assert "nothing was started" in said
    assert said.count("TUNEGATE_WEBHOOK_") == 2


def test_a_file_that_is_not_there_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    """It is named."""
    assert main(["check", "--config", "/nonexistent.yaml"]) == 2
    assert "/nonexistent.yaml" in capsys.readouterr().err


def test_every_command_and_path_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    """The tables and the code name the same."""
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^    ([a-z]+)  ", capsys.readouterr().out, re.MULTILINE)
    assert re.findall(r"^\| `(\w+)`", section("Commands"), re.MULTILINE) == listed
    assert re.findall(r"^\| `(/\w+)`", section("Paths"), re.MULTILINE) == list(PATHS)


def test_every_metric_that_the_text_speaks_of_is_served() -> None:
    """Advice about a metric that is not there wastes the time of somebody in need."""
    spoken = set(re.findall(rf"\b{WEBHOOK_METRIC_PREFIX}_[a-z_]+\b", DOCUMENT))
    metrics = Metrics()
    metrics.fill()
    families = list(metrics.registry.collect())
    served = {sample.name for family in families for sample in family.samples}
    assert spoken <= served | {family.name for family in families}


def test_help_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody has to look for the document."""
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    said = capsys.readouterr().out
    assert [row.path for row in SETTINGS if row.path not in said] == []
