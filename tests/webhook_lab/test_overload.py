"""A replica that has too much to do says so, and the API server comes again in time."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.api import Answer
from tests.lab.objects import vllm_pod
from tests.lab.webhook_objects import POD_HOOK
from tests.webhook_lab.stage import Stage, record

pytestmark = [pytest.mark.lab, pytest.mark.api]

CLIENTS = 12
TURNS = 6


@pytest.fixture
def narrow(stage: Stage) -> Iterator[Stage]:
    """Give the cluster with one replica, which takes one review at a time."""
    for replica in stage.replicas:
        stage.lab.pods.remove(replica)
    (only,) = stage.lab.start_replicas(1, limits_reviews=1)
    stage.lab.pods.await_endpoints(1)
    yield stage
    stage.lab.pods.remove(only)


def test_a_refused_review_is_sent_again_and_no_pod_goes_without(narrow: Stage) -> None:
    """429 with Retry-After is obeyed within the webhook's timeout: client-go, with_retry.go."""
    passed = narrow.failed_open(POD_HOOK)
    together = threading.Barrier(CLIENTS)

    def create(number: int) -> list[Answer]:
        answers = []
        for turn in range(TURNS):
            together.wait(60)
            answers.append(narrow.create(vllm_pod(f"crowd-{number}-{turn}"), dry_run=True))
        return answers

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = [one for some in pool.map(create, range(CLIENTS)) for one in some]
    assert [one.status for one in answers] == [201] * (CLIENTS * TURNS)
    assert all(record(one.body) for one in answers)
    assert narrow.failed_open(POD_HOOK) == passed
    assert narrow.metric("tunegate_webhook_refused_total", reason="overloaded") > 0
