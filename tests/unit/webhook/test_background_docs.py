"""docs/webhook.md says what runs beside the server, by the names and figures that the code has."""

import re
from pathlib import Path

import pytest

from common import names
from tests.lab.webhook_objects import CLUSTER_RULES, OWN_RULES
from webhook import events, follow, lease

VERBS = r"\b(?:get|list|watch|create|patch|update)\b"
DOCUMENT = Path("docs/webhook.md").read_text()
CERTIFICATES = ("secrets", "endpointslices", "webhookconfigurations")
"""What the certificates need is told where they are."""


def section(title: str) -> str:
    """Return one section's text."""
    return re.split(r"\n#+ ", DOCUMENT.partition(f"# {title}\n")[2])[0]


def test_the_rights_are_those_that_the_lab_gives() -> None:
    """The processes in the lab have no other, so these suffice, and none is kept secret."""
    told: dict[str, set[str]] = {}
    for line in section("Rights").splitlines():
        if line.startswith("| `"):
            what, verbs, *_ = line.strip("| ").split(" | ")
            for resource in re.findall(r"`([^`]+)`", what):
                told[resource] = set(re.findall(VERBS, verbs))
    given: dict[str, set[str]] = {}
    for rule in (*CLUSTER_RULES, *OWN_RULES):
        if not rule.resource.endswith(CERTIFICATES):
            given.setdefault(rule.resource, set()).update(rule.verbs)
    assert told == given


@pytest.mark.parametrize(
    "text",
    [
        f"every {lease.RENEW_SECONDS} s",
        f"at most {lease.ACTING_SECONDS} s",
        f"for {lease.DURATION_SECONDS} s",
        f"pages\nof {follow.PAGE_ITEMS}",
        f"queue of {events.QUEUED}",
        names.LEADER_LEASE,
        names.ANNOTATION_STORAGE_ENDPOINT,
        names.STORAGE_ENDPOINTS_KEY,
    ],
)
def test_names_and_figures_are_those_of_the_code(text: str) -> None:
    """A figure that is wrong is worse than none."""
    assert text in section("Beside the server")


def test_the_words_of_the_annotation_are_documented() -> None:
    """All three."""
    assert names.ANNOTATION_NFS_OPTIONS in section("NFS volumes")
    assert re.findall(r"^\| `(\w+)` \| ", section("NFS volumes"), re.MULTILINE) == [
        *("enabled", "ro", "disabled")
    ]
