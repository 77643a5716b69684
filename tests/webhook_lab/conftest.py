"""One cluster for all tests of this folder, and the webhook in it as new for each file."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.lab.webhook_lab import WebhookLab, missing_programs
from tests.webhook_lab.stage import Stage


@pytest.fixture(scope="session")
def lab() -> Iterator[WebhookLab]:
    """Give a cluster without any replica of the webhook and without its configurations."""
    if lacking := missing_programs():
        pytest.skip(f"a lab needs {', '.join(lacking)}: run `make setup` as root")
    with closing(WebhookLab.up()) as made:
        yield made


@pytest.fixture(scope="session")
def made_stage(lab: WebhookLab) -> Stage:
    """Give the cluster as the tests handle it."""
    return Stage(lab)


@pytest.fixture
def stage(made_stage: Stage) -> Stage:
    """Give the cluster with three ready replicas and its own configurations."""
    made_stage.heal()
    return made_stage
