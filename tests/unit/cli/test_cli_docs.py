"""Hold docs/cli.md to the code, both ways."""

import json
import re
from pathlib import Path

import pytest

from cli.document import fleet_json
from cli.fleet import Choice, Outcome, Sign, fleet
from cli.main import main
from cli.node import read_node
from cli.table import NARROW, WIDE
from tests.lab.fleet import fleet_node

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


def test_every_option_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    """And the help has no other."""
    with pytest.raises(SystemExit):
        main(["nodes", "--help"])
    told = set(
        re.findall(r"(?<![\w-])--?[a-z][a-z-]*", capsys.readouterr().out.split("columns:")[0])
    )
    assert {name for name in named("nodes") if name.startswith("-")} == told - {"-h", "--help"}


def test_help_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """Every line of it."""
    for arguments in (["--help"], ["nodes", "--help"]):
        with pytest.raises(SystemExit):
            main(arguments)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
