"""Every pod of the corpus is what its author says it is, and nothing in the corpus is stale."""

import pytest

from tests.golden.corpus import PODS, Case, cases
from tests.golden.expectations import KINDS, expected_files
from webhook.mutate import FAILED_SAFE, NOT_OPTED_IN, SYSTEM_NAMESPACE
from webhook.recognise import recognise
from webhook.rules import RULES

EVERY_CASE = pytest.mark.parametrize("each", cases(), ids=lambda each: each.name)


@EVERY_CASE
def test_the_rule_is_the_one_that_the_author_expects(each: Case) -> None:
    """The line in the pod's own file is written by hand."""
    assert recognise(each.pod()).rule == each.rule


@EVERY_CASE
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_said_of_a_pod_is_what_was_reviewed(each: Case, kind: str) -> None:
    """`python -m tests.golden` writes it anew; the diff is what a change means to people."""
    name = each.expectation(kind).name
    assert (PODS / name).read_text() == expected_files_once()[name]


def expected_files_once() -> dict[str, str]:
    """Return what must stand in the corpus, made once."""
    if not _MADE:
        _MADE.update(expected_files())
    return _MADE


_MADE: dict[str, str] = {}


def test_no_expectation_is_left_of_a_pod_that_is_gone() -> None:
    """A file that nothing reads claims what nothing holds."""
    known = {*expected_files_once(), *(f"{each.name}.yaml" for each in cases())}
    assert {path.name for path in PODS.iterdir()} == known


def test_the_corpus_is_large_and_its_names_are_those_of_its_pods() -> None:
    """A pod is found by its file's name in whatever reports on it."""
    assert len(cases()) >= 80
    assert [each.name for each in cases() if each.pod()["metadata"]["name"] != each.name] == []


OF_MUTATE = {NOT_OPTED_IN, FAILED_SAFE, SYSTEM_NAMESPACE}
"""What policy, namespace or a fault decide, not the pod: tests/unit/webhook/test_mutate.py."""


@pytest.mark.parametrize("rule", sorted({rule.name for rule in RULES} - OF_MUTATE))
def test_every_rule_decides_at_least_one_pod(rule: str) -> None:
    """A row without a pod is a row that nobody has seen work."""
    assert [each.name for each in cases() if each.rule == rule]
