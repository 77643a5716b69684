"""Hold docs/agent.md to the code, both ways."""

import json
import re
from pathlib import Path

import pytest

from agent import glossary
from agent.bench.results import Mode, Result, Row, Run, Settings
from agent.bench.show import bench_json
from agent.cli import main
from agent.config import decode
from agent.doctor.remark import CHECKS as DOCTORS_CHECKS
from agent.facts import NodeFacts
from agent.profiles import choose
from agent.schema import SETTINGS
from agent.state import CHECKS, Outcome, Reason
from common.names import AGENT_METRIC_PREFIX
from common.telemetry import VERSION
from docs.generate import FILES, PAGES, names, written

DOCUMENT = Path("docs/agent.md").read_text()


def section(title: str) -> str:
    """Return one section's text."""
    return DOCUMENT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_column(title: str, pattern: str) -> set[str]:
    """Return the names in back-quotes of the first columns of a section's tables."""
    rows = [line.split("|")[1] for line in section(title).splitlines() if line.startswith("| `")]
    found = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    return {name for name in found if re.match(pattern, name)}


@pytest.mark.parametrize("name", PAGES)
def test_the_tables_are_as_they_are_written_from_the_code(name: str) -> None:
    """`make docs` would change nothing: every name in them is in the code, and none lacks."""
    page = (Path("docs") / name).read_text()
    assert written(page, PAGES[name]) == page
    assert names(page) == set(PAGES[name])


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_as_they_are_written_from_the_code(name: str) -> None:
    """`make docs` would change nothing of what it writes whole."""
    assert (Path("docs") / name).read_text() == FILES[name]()


def test_the_glossary_names_nothing_that_is_gone() -> None:
    """A word that is explained is a word that is used."""
    assert set(glossary.SETTINGS) == {setting.path for setting in SETTINGS}
    assert set(glossary.CHECKS) == set(CHECKS)
    assert set(glossary.REASONS) == set(Reason)


def test_every_metric_that_the_text_speaks_of_is_served() -> None:
    """Advice about a metric that is not there wastes the time of somebody in need."""
    spoken = set(re.findall(rf"\b{AGENT_METRIC_PREFIX}_[a-z_]+\b", DOCUMENT))
    assert spoken <= first_column("Metrics", "^tunegate")


def test_every_outcome_is_documented() -> None:
    """The table of outcomes and Outcome name the same."""
    assert first_column("Outcomes and reasons", "^[a-z]") == {outcome.value for outcome in Outcome}


def test_every_command_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    """The table of commands and the help name the same."""
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^    ([a-z]+)  ", capsys.readouterr().out, re.MULTILINE)
    assert first_column("Commands", "^[a-z]") == set(listed)


@pytest.mark.parametrize(("command", "title"), [("doctor", "Doctor"), ("bench", "Bench")])
def test_every_option_of_a_command_is_documented(
    command: str, title: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of all commands stand elsewhere; no section names one that is not there."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    usage = capsys.readouterr().out.partition("\n\n")[0]
    common = {"--config", "--endpoint", "--profile", "--node-label", "--provider-id", "--output"}
    own = set(re.findall(r"--[a-z-]+", usage)) - common
    assert set(re.findall(r"`(--[a-z-]+)", section(title))) - common == own


def test_every_field_of_a_bench_is_documented() -> None:
    """As --output json prints it."""
    row = Row(Mode.READ, (Run(0, 1, 1.0),))
    made = Result("/f", 1, Settings(), (row,), ("so",))
    decoded = json.loads(bench_json(made, made, ""))
    (first,) = decoded["rows"]
    names = {*decoded, *decoded["settings"], *first, *first["runs"][0]}
    assert {name for name in names if f"`{name}`" not in section("Bench")} == set()


def test_every_check_of_the_doctor_is_documented() -> None:
    """The table of the doctor's checks and CHECKS name the same."""
    assert first_column("Doctor", "^[a-z]") == set(DOCTORS_CHECKS)


def test_the_example_of_profiles_can_be_used() -> None:
    """What a person copies is a configuration, and chooses what the text says."""
    example = re.findall(r"```yaml\n(.*?)```", section("Profiles"), re.DOTALL)[0]
    config = decode(example, "docs/agent.md", {})
    pool = {"doks.digitalocean.com/node-pool": "h200"}
    assert choose(config, NodeFacts(pool, "digitalocean://1")).name == "h100"
    assert choose(config, NodeFacts({**pool, "doks.digitalocean.com/node-pool": "l40s"})).name == (
        "l40s"
    )
    assert choose(config, NodeFacts({})).name == "default"


def test_versions_agree() -> None:
    """pyproject.toml, the chart and the programs say the same version."""
    assert f'version = "{VERSION}"' in Path("pyproject.toml").read_text()
    chart = Path("charts/tunegate/Chart.yaml").read_text().splitlines()
    assert {f"version: {VERSION}", f"appVersion: {VERSION}"} <= set(chart)
