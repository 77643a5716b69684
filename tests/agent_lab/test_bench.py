"""bench on a GPU node: a real server read over a real network, and all the ways to stop."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent_lab.node_commands import AGENT, AgentNode
from tests.agent_lab.on_node import on_node, servers
from tests.agent_lab.running import await_
from tests.lab.lab import Lab
from tests.lab.nfs_server import EXPORT
from tests.lab.world import NFS_ADDRESS, NFS_ADDRESS_IPV6

pytestmark = pytest.mark.lab
MIB = 1 << 20
WEIGHTS = "weights.bin"
URL = f"nfs://{NFS_ADDRESS}{EXPORT}/{WEIGHTS}?version=4"
POD = "/var/lib/kubelet/pods/6c1f/volumes/kubernetes.io~nfs/models"


@pytest.fixture
def node(nfs_world: Lab, tmp_path: Path) -> Iterator[AgentNode]:
    """Give the GPU node; the server has a file of 48 MiB."""
    (nfs_world.nfs.folder / "export" / WEIGHTS).write_bytes(bytes(48 * MIB))
    with on_node(nfs_world, "gpu-0", tmp_path) as made:
        yield made


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Give a file on this node's own disk."""
    made = tmp_path / WEIGHTS
    made.write_bytes(bytes(16 * MIB))
    return made


def measured(node: AgentNode, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
    """Run bench with JSON output; hold its exit code."""
    done = node.agent("bench", "--output", "json", *arguments)
    assert done.returncode == exit_code, done.stdout + done.stderr
    decoded: dict[str, Any] = json.loads(done.stdout)
    return decoded


def mountinfo(node: AgentNode, file: Path, path: str, address: str = NFS_ADDRESS) -> None:
    """Have the node believe that a file's device is mounted from the server, here."""
    device = file.stat().st_dev
    line = f"54 26 {os.major(device)}:{os.minor(device)} / {path} rw - nfs4 {address}:/models "
    line += f"rw,vers=4.2,rsize=524288,wsize=524288,hard,proto=tcp,nconnect=4,addr={address}\n"
    (node.folder / "mountinfo").write_text(line)
    node.environment["TUNEGATE_MOUNTINFO"] = str(node.folder / "mountinfo")


def test_a_server_is_read_before_and_after_apply(node: AgentNode) -> None:
    """Over the real network; the MTU is in the settings, the ratio between the medians."""
    found = measured(node, "--url", URL, "--apply", "--runs", "2", *servers(NFS_ADDRESS))
    (row,), (earlier,) = found["rows"], found["before"]["rows"]
    assert [run["bytes"] for run in (*row["runs"], *earlier["runs"])] > [40 * MIB] * 4
    assert found["before"]["settings"]["mtuBytes"] == 1500
    assert (found["settings"]["link"], found["settings"]["mtuBytes"]) == ("eth1", 9000)
    assert found["ratios"]["user"] == pytest.approx(
        row["medianMBps"] / earlier["medianMBps"], rel=0.01
    )
    assert row["runs"][0]["receivedBytes"] > 40 * MIB
    assert any("server's memory" in sentence for sentence in found["warnings"])


def test_no_more_than_the_bytes_asked_for_cross_the_link(node: AgentNode) -> None:
    """A run ends there, whatever the file holds."""
    found = measured(node, "--url", URL, "--bytes", "8MiB", "--runs", "1")
    (run,) = found["rows"][0]["runs"]
    assert run["bytes"] + MIB >= 8 * MIB
    assert run["receivedBytes"] < 40 * MIB


def test_ipv6_is_read_as_well(node: AgentNode) -> None:
    """With brackets, as URLs have it, or without, as libnfs has it."""
    for host in (f"[{NFS_ADDRESS_IPV6}]", NFS_ADDRESS_IPV6):
        url = f"nfs://{host}{EXPORT}/{WEIGHTS}?version=4"
        found = measured(node, "--url", url, "--runs", "1", "--bytes", "4MiB")
        assert found["settings"]["server"] == NFS_ADDRESS_IPV6
        assert found["settings"]["link"] == "eth1"


def test_a_result_is_kept_and_compared_with(node: AgentNode) -> None:
    """The kept one is the before."""
    kept = node.folder / "before.json"
    measured(node, "--url", URL, "--runs", "1", "--save", str(kept))
    node.namespace.set_mtu("eth1", 9000)
    done = node.agent("bench", "--url", URL, "--runs", "1", "--against", str(kept))
    assert done.returncode == 0, done.stderr
    assert "MTU of eth1      1500 -> 9000 (from default)" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_mounted_file_is_read_in_each_way(node: AgentNode, weights: Path) -> None:
    """The mount's options, as mountinfo has them, stand beside the figures."""
    mountinfo(node, weights, "/mnt/models")
    found = measured(node, "--file", str(weights), "--runs", "1")
    assert [row["mode"] for row in found["rows"]] == ["read", "mmap", "direct"]
    assert all(row["runs"] or row["skipped"] for row in found["rows"])
    held = found["settings"]
    assert (held["server"], held["nconnect"], held["rsizeBytes"]) == (NFS_ADDRESS, 4, 524288)
    assert (held["link"], held["filesystem"]) == ("eth1", "nfs")


def test_pods_are_not_disturbed(node: AgentNode, weights: Path) -> None:
    """It says whose files they are, and how to measure all the same."""
    mountinfo(node, weights, POD)
    done = node.agent("bench", "--file", str(weights), "--runs", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "pod 6c1f" in done.stderr
    assert measured(node, "--file", str(weights), "--runs", "1", "--force")["rows"]


def test_unknown_mounts_may_be_those_of_pods(node: AgentNode) -> None:
    """Where mountinfo is not mounted into the container."""
    node.environment["TUNEGATE_MOUNTINFO"] = str(node.folder / "nowhere")
    done = node.agent("bench", "--url", URL, "--runs", "1", "--bytes", "1MiB")
    assert done.returncode == 1
    assert "whether pods use the server cannot be told" in done.stderr


def test_a_dead_server_ends_it(node: AgentNode, nfs_world: Lab) -> None:
    """After ten seconds, with a word and without a figure."""
    nfs_world.world.router.silence()
    found = measured(node, "--url", URL, "--runs", "1", exit_code=1)
    assert "nothing came for 10 s; its server does not answer" in found["problem"]
    assert found["rows"] == []


def test_control_c_prints_what_there_is(node: AgentNode, nfs_world: Lab) -> None:
    """The runs that ended stand; exit 130."""
    size = 256 * MIB  # so large that all the runs together last long
    os.truncate(nfs_world.nfs.folder / "export" / WEIGHTS, size)
    argv = [AGENT, "bench", "--url", URL, "--output", "json", "--runs", "20", "--seconds", "600"]
    before = received(node)
    process = node.spawn("bench-interrupted", argv)
    deadline = time.monotonic() + 60
    while received(node) - before < size * 5 // 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    found = json.loads(process.log_text())
    assert found["problem"] == "interrupted"
    assert 0 < len(found["rows"][0]["runs"]) < 20


def received(node: AgentNode) -> int:
    """Return what the storage link has received."""
    lines = node.command(["cat", "/proc/net/dev"]).stdout.splitlines()
    (line,) = [line for line in lines if line.strip().startswith("eth1:")]
    return int(line.split()[1])


def test_beside_a_running_agent_apply_is_refused(node: AgentNode) -> None:
    """The lock is the agent's, and is asked for before anything is measured."""
    node.state.mkdir()
    held = ["sh", "-c", "echo held; exec sleep 60"]
    holder = node.spawn("holder", ["flock", "--no-fork", str(node.state / "lock"), *held])
    try:
        await_(lambda: "held" in holder.log_text(), holder.log_text)
        done = node.agent("bench", "--url", URL, "--runs", "1", "--apply", *servers(NFS_ADDRESS))
    finally:
        holder.kill()
    assert (done.returncode, done.stdout) == (1, "")
    assert "is tuning this host" in done.stderr
