"""Nodes whose clocks jump, a year ahead or a year back."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import webhook_lab
from tests.lab.objects import vllm_pod
from tests.lab.webhook_objects import NAMESPACE, POD_HOOK, SERVING_SECRET
from tests.lab.webhook_pods import Replica
from tests.webhook_lab.load import creating
from tests.webhook_lab.stage import REPLICAS, Stage, await_, record

pytestmark = [pytest.mark.lab, pytest.mark.api]

SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/{SERVING_SECRET}"
DRY_RUNS = "/api/v1/namespaces/default/pods?dryRun=All"
SHIM = Path(webhook_lab.__file__).with_name("shifted_clock")
YEAR_SECONDS = 365 * 86400


@pytest.fixture
def clocks(stage: Stage, tmp_path: Path) -> Iterator[list[Path]]:
    """Give three replicas with certificates of their own; what is written to a file is its jump."""
    for replica in stage.replicas:
        stage.lab.pods.remove(replica)
    stage.set_timeout(30, has_bundle=False)
    files = [tmp_path / f"clock-{number}" for number in range(REPLICAS)]
    settings = stage.lab.environment(tls_certificate_file="", tls_key_file="")
    for file in files:
        shifted = {"PYTHONPATH": str(SHIM), "TUNEGATE_LAB_CLOCK": str(file)}
        stage.lab.pods.start(settings | shifted)
    stage.lab.pods.await_ready(*stage.replicas)
    await_(lambda: record(stage.create(vllm_pod("first"), dry_run=True).body), "a record")
    yield files
    for replica in stage.replicas:
        stage.lab.pods.remove(replica)
    stage.admin.delete(SECRET)


def test_clocks_that_jump_cost_no_call_and_no_certificate(stage: Stage, clocks: list[Path]) -> None:
    """Validity is judged by the API server's time, so nothing is renewed; never do two lead."""
    secret = stage.admin.get(SECRET)["data"]
    passed, jumped = stage.failed_open(POD_HOOK), stage.replicas[:2]
    with creating(stage.admin, DRY_RUNS, lambda: vllm_pod("again")) as load:
        load.await_more(20)
        clocks[0].write_text(str(2 * YEAR_SECONDS), encoding="ascii")
        clocks[1].write_text(str(-2 * YEAR_SECONDS), encoding="ascii")
        assert _readiness(stage) == [200] * REPLICAS
        stage.admin.patch(SECRET, {"data": {"look-again": "eWVz"}})
        load.await_more(40)
        assert _readiness(stage) == [200] * REPLICAS
        stage.admin.patch(SECRET, {"data": {"look-again": None}})
    assert (load.failed, load.bare) == ([], [])
    assert stage.failed_open(POD_HOOK) == passed
    assert stage.admin.get(SECRET)["data"] == secret
    assert stage.metric("tunegate_webhook_certificate_renewals_total", what="leaf") == 0
    assert stage.metric("tunegate_webhook_leader") <= 1
    years = [_last_year(one) for one in jumped]
    assert sorted(year - time.gmtime().tm_year for year in years) == [-2, 2]


def _readiness(stage: Stage) -> list[int]:
    """Return what each replica answers to the kubelet."""
    return [one.get("/readyz", stage.lab.cp, 30.0)[0] for one in stage.replicas]


def _last_year(replica: Replica) -> int:
    """Have a replica end; return the year in which it began to, by its own clock."""
    replica.process.send_signal(signal.SIGTERM)

    def said() -> list[str]:
        lines = [line for line in replica.log() if line["message"] == "Began to end"]
        return [line["time"] for line in lines]

    return int(await_(said, "its end")[0][:4])
