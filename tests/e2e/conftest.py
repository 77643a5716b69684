"""The node of a module's lab, as new for each test."""

from collections.abc import Iterator

import pytest

from tests.e2e.harness import Stage
from tests.lab.lab import Lab


@pytest.fixture(scope="module")
def made_stage(lab: Lab) -> Stage:
    """Give the node with its first values remembered."""
    return Stage(lab)


@pytest.fixture
def stage(made_stage: Stage) -> Iterator[Stage]:
    """Give the node without a Node object; after the test all is set back."""
    yield made_stage
    made_stage.reset()
