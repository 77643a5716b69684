"""Nodes whose clocks jump, a year ahead or a year back."""

import signal
import time
from pathlib import Path

import pytest

from tests.lab import webhook_lab
from tests.lab.objects import vllm_pod
from tests.lab.webhook_objects import POD_HOOK
from tests.lab.webhook_pods import Replica
from tests.webhook_lab.conftest import Start
from tests.webhook_lab.load import creating
from tests.webhook_lab.stage import REPLICAS, SECRET, Stage, await_

pytestmark = [pytest.mark.lab, pytest.mark.api]

DRY_RUNS = "/api/v1/namespaces/default/pods?dryRun=All"
SHIM = Path(webhook_lab.__file__).with_name("shifted_clock")
YEAR_SECONDS = 365 * 86400


@pytest.fixture
def clocks(start_own: Start, tmp_path: Path) -> list[Path]:
    """Give three replicas; what is written to a file is the jump of that one's clock."""
    files = [tmp_path / f"clock-{number}" for number in range(REPLICAS)]
    start_own([{"PYTHONPATH": str(SHIM), "TUNEGATE_LAB_CLOCK": str(file)} for file in files])
    return files


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
