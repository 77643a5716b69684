"""One cluster for all tests of this folder, and the webhook in it as new for each file."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

import pytest

from tests.lab.webhook_lab import WebhookLab, missing_programs
from tests.webhook_lab.stage import SECRET, Stage


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


Start = Callable[[list[Mapping[str, str]]], None]


@pytest.fixture
def start_own(stage: Stage) -> Iterator[Start]:
    """
    Give what starts replicas that make their certificates themselves, each with more environment.

    They are gone after the test.
    """
    _remove_all(stage)
    stage.configure(b"")

    def start(environments: list[Mapping[str, str]]) -> None:
        settings = stage.lab.environment(tls_certificate_file="", tls_key_file="")
        made = [stage.lab.pods.start(settings | dict(one)) for one in environments]
        stage.lab.pods.await_ready(*made)
        stage.await_called()

    yield start
    _remove_all(stage)
    stage.admin.delete(SECRET)


def _remove_all(stage: Stage) -> None:
    for replica in stage.replicas:
        stage.lab.pods.remove(replica)
