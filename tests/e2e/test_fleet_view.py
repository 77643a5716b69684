"""What a person sees from a laptop while a real agent works on a real node."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from common import names
from tests.e2e.harness import NODE, NODE_PATH, Stage, await_
from tests.lab.api import STRATEGIC_PATCH, Object

pytestmark = pytest.mark.api
PROGRAM = str(Path(sys.executable).parent / "tunegate")
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def seen(stage: Stage) -> Object:
    """Return the node as ``tunegate nodes -o json`` shows it."""
    plane = stage.lab.control_plane
    done = subprocess.run(
        [
            *("nsenter", f"--net=/var/run/netns/{plane.endpoint.netns}"),
            *(PROGRAM, "nodes", NODE, "-o", "json"),
        ],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "KUBECONFIG": str(plane.kubeconfig)},
    )
    node: Object
    (node,) = json.loads(done.stdout)["nodes"]
    return node


def boot(stage: Stage, boot_id: str) -> None:
    """Have the kubelet report a boot."""
    body = {"status": {"nodeInfo": {"bootID": boot_id}}}
    stage.admin.patch(f"{NODE_PATH}/status", body, STRATEGIC_PATCH)


def test_a_node_is_followed_from_its_gate_to_the_next_boot(stage: Stage) -> None:
    """Closed and silent, then tuned and open, then stale: each time in the agent's own words."""
    stage.join()
    boot(stage, BOOT)
    before = seen(stage)
    assert (before["outcome"], before["reason"]) == ("unknown", "NoVerdict")
    assert before["gate"]["isOpen"] is False
    assert before["gate"]["waitingSince"] is not None
    stage.start()
    after = await_(lambda: next((one for one in [seen(stage)] if one["isFine"]), None), "fine")
    assert (after["outcome"], after["mtuBytes"], after["judgedBootID"]) == ("tuned", 9000, BOOT)
    assert (after["linkMtusBytes"], after["ready"]) == ({"eth1": 9000}, "True")
    assert after["message"]
    boot(stage, "the-next-boot")
    assert [one["reason"] for one in seen(stage)["stale"]] == ["OtherBoot"]


@pytest.mark.parametrize(("mode", "outcome"), [("observe", "observing"), ("off", "off")])
def test_a_mode_that_a_person_sets_is_seen_as_such(stage: Stage, mode: str, outcome: str) -> None:
    """The agent follows without a restart, and says so in words that the view knows."""
    stage.join()
    boot(stage, BOOT)
    stage.start()
    await_(lambda: seen(stage)["isFine"], "fine")
    stage.admin.patch(NODE_PATH, {"metadata": {"labels": {names.LABEL_MODE: mode}}})
    await_(lambda: seen(stage)["outcome"] == outcome, outcome)
    assert seen(stage)["mode"] == mode
