"""docs/webhook.md says what is injected, by the names that the code has."""

import re
from pathlib import Path

import pytest

from common import names
from webhook.decisions import FEATURES, Outcome
from webhook.quantities import duration_seconds, size_bytes

DOCUMENT = Path("docs/webhook.md").read_text()


def section(title: str) -> str:
    """Return one section's text."""
    return re.split(r"\n#+ ", DOCUMENT.partition(f"# {title}\n")[2])[0]


def first_column(title: str) -> list[str]:
    """Return the names in back-quotes that begin the rows of a section's table."""
    return re.findall(r"^\| `([^`]+)`", section(title), re.MULTILINE)


def test_every_feature_is_documented() -> None:
    """In the order in which the record names them."""
    assert first_column("What is injected") == [feature.value for feature in FEATURES]


def test_every_outcome_is_documented() -> None:
    """What stands in the record can be looked up."""
    assert first_column("The record") == [outcome.value for outcome in Outcome]


@pytest.mark.parametrize(
    "name",
    [
        *(names.POD_LABEL_INJECT, names.POD_ANNOTATION_DISABLE, names.POD_ANNOTATION_SHM_SIZE),
        *(names.POD_ANNOTATION_STARTUP_BUDGET, names.POD_ANNOTATION_DRAIN_TIMEOUT),
    ],
)
def test_every_switch_and_amount_is_documented(name: str) -> None:
    """A name that differs by a letter does nothing, silently."""
    assert f"`{name}`" in section("Switches and amounts")


def test_the_examples_of_amounts_can_be_used() -> None:
    """What a person copies works."""
    table = section("Switches and amounts")
    durations = re.findall(r"`([0-9]+[hms])`", table)
    sizes = re.findall(r"`([0-9]+[MGP]i)`", table)
    assert all(duration_seconds(example) for example in durations)
    assert all(size_bytes(example) for example in sizes)
    assert (len(durations), len(sizes)) == (6, 3)
