"""After the gate: the world changes, and the Node says so; a taint is never put back."""

import signal
import threading
from pathlib import Path

import pytest

from common.names import LABEL_MTU
from tests.e2e.harness import (
    NODE_PATH,
    Stage,
    await_,
    condition,
    gates,
    http_get,
    label,
    taints,
)
from tests.lab.api import Object
from tests.lab.world import NFS2_ADDRESS, NFS_ADDRESS

pytestmark = pytest.mark.api
PORT = 9469


def is_open(node: Object) -> bool:
    """Return whether the Node is tuned and open."""
    return label(node) == "tuned" and condition(node).get("status") == "True" and not gates(node)


def test_a_path_that_becomes_a_black_hole_is_left_and_told(stage: Stage) -> None:
    """Label, condition, event and metrics change; the gate stays open; SIGHUP tries again."""
    stage.join()
    agent = stage.start(watch_probe_seconds=1, server_port=PORT)
    stage.wait(is_open)
    stage.lab.world.router.set_path_mtu(2000, icmp=False)
    node = stage.wait_verdict("degraded", "False", "BlackHole")
    assert taints(node) == set()
    mtu = stage.host.mtu("eth1")
    assert 1500 <= mtu <= 2000
    assert label(node, LABEL_MTU) == str(mtu)
    assert stage.lab.nfs.read(stage.host, NFS_ADDRESS)
    (event,) = await_(lambda: stage.events("BlackHole"), "the event")
    assert event["type"] == "Warning"
    answer = http_get(stage, PORT, "/metrics")
    assert answer is not None
    assert 'tunegate_agent_outcome{outcome="degraded"} 1.0' in answer[1]
    assert 'tunegate_agent_check_passed{check="path"} 0.0' in answer[1]
    assert f'tunegate_agent_link_mtu_bytes{{device="eth1"}} {mtu}.0' in answer[1]
    assert "tunegate_agent_gate_open 1.0" in answer[1]
    stage.lab.world.router.clear()
    agent.process.send_signal(signal.SIGHUP)
    stage.wait(is_open)
    await_(lambda: stage.host.mtu("eth1") == 9000, "the full size is tried again")


def swap(folder: Path, number: int, text: str) -> None:
    """Replace what a mounted ConfigMap shows, the way the kubelet does: one renamed symlink."""
    version = folder / f"..version-{number}"
    version.mkdir()
    (version / "servers").write_text(text, encoding="utf-8")
    fresh = folder / "..data_tmp"
    fresh.symlink_to(version.name)
    fresh.rename(folder / "..data")


def test_an_endpoints_file_may_change_while_it_runs(stage: Stage, tmp_path: Path) -> None:
    """A new server's path is proven and found small; a line that makes no sense is named."""
    swap(tmp_path, 1, f"{NFS_ADDRESS}  # the first\n")
    (tmp_path / "servers").symlink_to("..data/servers")
    stage.join()
    agent = stage.start(
        storage_endpoints="",
        storage_endpoints_file=tmp_path / "servers",
        watch_poll_seconds=1,
    )
    assert NFS2_ADDRESS not in condition(stage.wait(is_open))["message"]
    swap(tmp_path, 2, f"{NFS_ADDRESS}\n{NFS2_ADDRESS}\nno such:thing at all\n")
    stage.wait(lambda node: NFS2_ADDRESS in condition(node)["message"])
    assert is_open(stage.node())
    found = agent.await_line("Found", reason="EndpointsFileInvalid")
    assert "line 3" in found["detail"]
    stage.lab.world.router.set_path_mtu(1500, icmp=False, toward="nfs2")
    swap(tmp_path, 3, f"{NFS2_ADDRESS}\n")
    stage.wait_verdict("degraded", "False", "BlackHole")
    assert stage.host.mtu("eth1") == 1500


def test_a_contested_mtu_is_left_alone_and_told(stage: Stage) -> None:
    """Another program writes it again and again: the agent stops, and says who holds what."""
    stage.join()
    agent = stage.start(watch_repairs=2, watch_backoff_seconds=3600, server_port=PORT)
    stage.wait(is_open)
    ended = threading.Event()

    def contest() -> None:
        while not ended.wait(0.05):
            if stage.host.mtu("eth1") != 1500:
                stage.host.set_mtu("eth1", 1500)

    rival = threading.Thread(target=contest)
    rival.start()
    try:
        node = stage.wait_verdict("degraded", "False", "TargetContested")
        await_(lambda: stage.host.mtu("eth1") == 1500, "left alone")
    finally:
        ended.set()
        rival.join()
    assert "link/eth1/mtu at 1500" in condition(node)["message"]
    assert taints(node) == set()
    assert stage.host.mtu("eth1") == 1500
    stage.wait(lambda node: label(node, LABEL_MTU) == "1500")
    assert agent.said("Left a contested target alone", target="link/eth1/mtu")
    (event,) = await_(lambda: stage.events("TargetContested"), "the event")
    assert "link/eth1/mtu at 1500" in event["message"]
    answer = http_get(stage, PORT, "/metrics")
    assert answer is not None
    assert "tunegate_agent_contested_targets 1.0" in answer[1]
    assert stage.events("DriftRepaired")


def test_many_writes_by_somebody_else_are_no_black_hole(stage: Stage) -> None:
    """A link lowered in the middle of a proof says nothing of the path: 9000 in the end."""
    stage.join()
    agent = stage.start(watch_repairs=1000)
    stage.wait(is_open)
    for number in range(30):
        stage.host.set_mtu("eth1", 1500 + number)
        await_(lambda: stage.host.mtu("eth1") == 9000, f"repair {number}")
    stage.quiet(1.0)
    stage.wait(is_open)
    judged = {one["outcome"] for one in agent.lines() if one["message"] == "Judged the node"}
    assert judged <= {"tuned", "pending"}
    assert not agent.said("Found", reason="BlackHole")


def test_drift_of_links_and_sysctls_is_repaired_and_told(stage: Stage) -> None:
    """A link at once by its event, a sysctl by the poll; one event and one line for each."""
    stage.join()
    agent = stage.start(watch_poll_seconds=1)
    stage.wait(is_open)
    version = stage.quiet()["metadata"]["resourceVersion"]
    stage.host.set_sysctl("net.ipv4.tcp_mtu_probing", "0")
    agent.await_line("Repaired drift", target="sysctl/net.ipv4.tcp_mtu_probing")
    stage.host.set_mtu("eth1", 1500)
    agent.await_line("Repaired drift", target="link/eth1/mtu")
    assert stage.host.mtu("eth1") == 9000
    assert stage.host.sysctl("net.ipv4.tcp_mtu_probing") == "1"
    await_(lambda: len(stage.events("DriftRepaired")) == 2, "an event for each")
    assert stage.admin.get(NODE_PATH)["metadata"]["resourceVersion"] == version
