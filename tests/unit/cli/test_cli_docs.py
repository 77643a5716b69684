"""Hold docs/cli.md to the code, both ways."""

import argparse
import json
import re
from pathlib import Path

import pytest

from cli import explain
from cli.doctor import command as doctor
from cli.doctor.diagnose import Diagnosis
from cli.doctor.finding import GROUP_OF, good
from cli.doctor.show import diagnosis_json
from cli.document import fleet_json
from cli.fleet import Choice, Outcome, Sign, fleet
from cli.judged import judge, pod_object
from cli.main import COMMANDS, main
from cli.manifests import Document
from cli.node import read_node
from cli.pod_rows import PodRow
from cli.pod_rows import pod_object as pod_row_object
from cli.table import NARROW, WIDE
from tests.lab.fleet import fleet_node
from tests.unit.webhook.live_pods import live_pod
from tests.unit.webhook.test_auditor import audited
from tests.unit.webhook.warn.manifests import deployment
from webhook.auditor import AUDITED, State
from webhook.decisions import Outcome as FeatureOutcome
from webhook.policy import Namespace, Policy

DOCUMENT = Path("docs/cli.md").read_text()


def rows(title: str) -> list[list[str]]:
    """Return the cells of a section's first table, without its head."""
    text = re.split(rf"\n##+ {title}\n", DOCUMENT)[1].split("\n#")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def named(title: str) -> list[str]:
    """Return what stands in back-quotes in a table's first column."""
    return [name for row in rows(title) for name in re.findall(r"`([^`]+)`", row[0])]


def test_every_column_is_documented() -> None:
    """In order, and which ones only the wide table has."""
    assert named("Columns") == [column.title for column in WIDE]
    narrow = [re.findall(r"`([^`]+)`", row[0])[0] for row in rows("Columns") if not row[1]]
    assert narrow == [column.title for column in NARROW]


def test_every_outcome_and_sign_is_documented() -> None:
    """A person who meets one has to find it."""
    assert named("Outcomes") == [outcome.value for outcome in Outcome]
    assert named("Stale") == [sign.value for sign in Sign]


def test_every_json_field_is_documented() -> None:
    """Scripts rely on them."""
    shown = fleet([read_node(fleet_node("gpu-1", is_gated=True))], Choice(), 0.0)
    decoded = json.loads(fleet_json(shown))
    assert list(decoded) == re.findall(r"`(asOf|leftOut|nodes)`", DOCUMENT)[:3]
    (node,) = decoded["nodes"]
    assert named("JSON") == list(node)
    gate = next(row[1] for row in rows("JSON") if row[0] == "`gate`")
    assert re.findall(r"`([^`]+)`", gate) == list(node["gate"])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_documented(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And the help has no other."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    usage = capsys.readouterr().out.partition("options:")[2].partition("\n\n")[0]
    told = set(re.findall(r"(?<![\w-])--?[A-Za-z][a-z-]*", usage))
    assert {name for name in named(command) if name.startswith("-")} == told - {"-h", "--help"}


def test_every_field_of_an_explained_pod_is_documented() -> None:
    """In the order in which they are printed."""
    document = Document("f", 1, deployment())
    (judged,) = judge([document], Policy(), Namespace()).pods
    assert named("JSON of explain") == list(pod_object(judged))


def test_every_state_and_field_of_a_pod_is_documented() -> None:
    """In the order in which they are printed."""
    assert named("States") == [state.value for state in (*AUDITED, State.LEFT_ALONE)]
    found = audited(live_pod())
    assert named("JSON of pods") == list(pod_row_object(PodRow(found, found.owner)))


def test_every_outcome_of_a_feature_is_documented() -> None:
    """In the text and in the help."""
    assert named("Outcomes of a feature") == [outcome.value for outcome in FeatureOutcome]
    assert [one for one in FeatureOutcome if f"\n  {one.value} " not in explain.EPILOG] == []


def test_help_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """Every line of it."""
    for arguments in (["--help"], *([command, "--help"] for command in COMMANDS)):
        with pytest.raises(SystemExit):
            main(arguments)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80


def test_every_finding_of_the_doctor_is_documented() -> None:
    """In the order of the headings."""
    assert named("Findings") == list(GROUP_OF)


def test_every_json_field_of_doctor_is_documented() -> None:
    """Scripts rely on them."""
    shown = json.loads(diagnosis_json(Diagnosis((good("PoolGated", "x", "y"),)), {}))
    (finding,) = shown["findings"]
    assert named("JSON of doctor") == list(finding)
    text = re.split(r"\n### JSON of doctor\n", DOCUMENT)[1].split("\n##")[0]
    assert [name for name in shown if f"`{name}`" not in text] == []


def test_every_option_of_doctor_is_documented() -> None:
    """As its help lists them."""
    parser = argparse.ArgumentParser(add_help=False)
    doctor.add_arguments(parser)
    options = {name for one in parser._actions for name in one.option_strings}  # noqa: SLF001 - argparse has no public list
    assert {name for name in options if name.startswith("--")} == {
        name for name in named("doctor") if name.startswith("--")
    }
