"""Servers that pause or come back, and a real reader in the middle of a fault."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_lab.on_node import answer, servers
from tests.agent_lab.running import STORAGE, Watched, await_, watching
from tests.lab.lab import Lab
from tests.lab.netns import Namespace
from tests.lab.nfs_server import EXPORT

pytestmark = pytest.mark.lab
WEIGHTS = "weights.bin"
WEIGHTS_BYTES = 60000  # several large segments; nfs-cat 4.0 mixes up what needs several reads
READ = f"nfs-cat 'nfs://{STORAGE}{EXPORT}/{WEIGHTS}?version=4' | sha256sum"


@pytest.fixture
def watched(nfs_world: Lab, tmp_path: Path) -> Iterator[Watched]:
    """Give the GPU node to watch."""
    with watching(nfs_world, tmp_path) as made:
        yield made


def test_a_paused_server_still_proves_its_path(nfs_world: Lab, watched: Watched) -> None:
    """Its kernel acknowledges full segments: the network is fit, whoever sleeps above it."""
    nfs_world.nfs.pause()
    try:
        report = answer(watched.node, "apply", *servers(STORAGE), exit_code=0)
    finally:
        nfs_world.nfs.resume()
    assert report["links"] == {"eth1": 9000}


@pytest.mark.parametrize("reason", ["EndpointSilent", "EndpointRefused"])
def test_a_server_that_comes_back_is_tuned_for(
    nfs_world: Lab, watched: Watched, reason: str
) -> None:
    """Nothing is raised while it is away; its return is found without anybody's help."""
    is_silent = reason == "EndpointSilent"
    (watched.router.silence if is_silent else nfs_world.nfs.stop)()
    try:
        agent = watched.run(tuned=False)
        agent.await_line("Judged the node", outcome="pending", reason=reason)
        assert watched.node.values()["eth1"] == "1500"
    finally:
        (watched.router.clear if is_silent else nfs_world.nfs.start)()
    agent.await_line("Judged the node", outcome="tuned")
    watched.await_value("eth1", "9000")
    assert agent.end() == 0


def test_servers_named_later_are_tuned_for(watched: Watched) -> None:
    """The endpoints file is swapped by a link, as a mounted ConfigMap is; no restart is needed."""
    folder = watched.node.folder
    listed = folder / "endpoints"
    variables = {
        "TUNEGATE_STORAGE_ENDPOINTS_FILE": str(listed),
        "TUNEGATE_WATCH_POLL_SECONDS": "0.2",
    }
    agent = watched.run(variables, tuned=False, options=())
    agent.await_line("Judged the node", outcome="pending", reason="EndpointsFileMissing")
    assert watched.node.values()["eth1"] == "1500"
    (folder / "first").write_text(f"# the cluster's servers\n{STORAGE}\n")
    (folder / "link").symlink_to("first")
    os.replace(folder / "link", listed)  # noqa: PTH105 - the very call that kubelet makes
    agent.await_line("Judged the node", outcome="tuned")
    assert watched.node.values()["eth1"] == "9000"
    assert agent.end() == 0


def test_a_reader_stuck_in_a_black_hole_is_freed(nfs_world: Lab, watched: Watched) -> None:
    """Its connection ends with the fall-back; the next one reads all, the fault still there."""
    content = os.urandom(WEIGHTS_BYTES)
    (nfs_world.nfs.folder / "export" / WEIGHTS).write_bytes(content)
    wanted = hashlib.sha256(content).hexdigest()
    node = watched.node
    answer(node, "apply", *servers(STORAGE), exit_code=0)
    watched.router.drop_larger_than(1500, ("down",))
    reader = node.spawn(f"reader-{node.folder.name}", ["sh", "-c", READ])
    await_(lambda: _has_connection(node.namespace), reader.log_text)
    assert reader.poll() is None
    report = answer(node, "apply", *servers(STORAGE), exit_code=1)
    assert (report["reason"], report["links"]) == ("BlackHole", {"eth1": 1500})
    reader.wait()
    assert wanted not in reader.log_text()
    assert wanted in node.namespace.run(["sh", "-c", READ]).stdout


def _has_connection(namespace: Namespace) -> bool:
    found = namespace.run(["ss", "-Htn", "state", "established", f"dst {STORAGE}"]).stdout
    return bool(found.strip())
