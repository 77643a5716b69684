"""A whole cluster that goes dark and comes back."""

import pytest

from tests.lab.objects import vllm_pod
from tests.webhook_lab.conftest import Start
from tests.webhook_lab.stage import REPLICAS, Stage, await_, record

pytestmark = [pytest.mark.lab, pytest.mark.api]


def test_after_a_power_cut_all_comes_back_by_itself(stage: Stage, start_own: Start) -> None:
    """API server and replicas die together; the replicas come up first, and wait for it."""
    start_own([{}] * REPLICAS)
    control_plane = stage.lab.control_plane
    ours = stage.replicas
    control_plane.kill_apiserver()
    for replica in ours:
        stage.lab.pods.kill(replica)
    for replica in ours:
        stage.lab.pods.restart(replica)
    await_(lambda: all(_waits(stage, one) for one in range(REPLICAS)), "replicas that wait")
    control_plane.start_apiserver()
    stage.lab.pods.await_ready(*ours)
    await_(lambda: record(stage.create(vllm_pod("after"), dry_run=True).body), "the record")
    assert [one.process.poll() for one in ours] == [None] * REPLICAS


def _waits(stage: Stage, number: int) -> bool:
    """Return whether a replica answers that it is not ready."""
    try:
        return stage.replicas[number].get("/readyz", stage.lab.cp)[0] == 503
    except OSError:
        return False
