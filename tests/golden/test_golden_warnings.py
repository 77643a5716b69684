"""What is said of every pod of the corpus, in one file that a person can read through."""

from tests.golden.warnings import WARNINGS, expected_warnings


def test_the_warnings_are_those_that_were_reviewed() -> None:
    """`python -m tests.golden` writes them anew; most pods earn none."""
    assert WARNINGS.read_text() == expected_warnings()
