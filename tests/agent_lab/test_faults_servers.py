"""The real server is restarted in the middle of a probe, and of a read: nothing is misjudged."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_lab.caught import caught_probing
from tests.agent_lab.running import STORAGE, Agent, Watched, await_, watching
from tests.lab.lab import Lab
from tests.lab.link_events import LinkEvents
from tests.lab.nfs_server import EXPORT, NfsServer

pytestmark = pytest.mark.lab
OFTEN = {"TUNEGATE_WATCH_PROBE_SECONDS": "1"}
FILE_BYTES = 96 * 1024 * 1024


@pytest.fixture
def watched(nfs_world: Lab, tmp_path: Path) -> Iterator[Watched]:
    """Give the GPU node to watch."""
    with watching(nfs_world, tmp_path) as made:
        yield made


@pytest.fixture
def server(nfs_world: Lab) -> Iterator[NfsServer]:
    """Give the server of the node's storage, which runs again after the test."""
    server = nfs_world.nfs
    yield server
    if server.pid is None:
        server.start()


def assert_never_misjudged(agent: Agent) -> None:
    """Hold the log against what a restart is not: a black hole, a smaller path, a failure."""
    outcomes = {str(line["outcome"]) for line in agent.said("Judged the node")}
    assert outcomes <= {"tuned", "pending"}, agent.process.log_text()
    assert "Traceback" not in agent.process.log_text()


@pytest.mark.parametrize("restarts", [1, 3])
def test_a_server_that_restarts_in_the_middle_of_a_probe_is_no_black_hole(
    watched: Watched, server: NfsServer, restarts: int
) -> None:
    """The probe's connection dies under it: it is proven anew, and no link is touched."""
    agent = watched.run(OFTEN)
    with LinkEvents(watched.node.namespace) as events:
        for _ in range(restarts):
            with caught_probing(watched.node.namespace, agent.process):
                server.restart()
        with caught_probing(watched.node.namespace, agent.process):
            pass  # it goes on to prove the path, as before
        await_(
            lambda: agent.said("Judged the node")[-1]["outcome"] == "tuned",
            agent.process.log_text,
        )
        assert events.count("eth1") == 0
    assert watched.node.values()["eth1"] == "9000"
    assert_never_misjudged(agent)
    assert agent.end() == 0
    assert watched.node.revert() == 0
    assert watched.node.values() == watched.node.first


def test_a_server_that_dies_in_the_middle_of_a_probe_is_awaited(
    watched: Watched, server: NfsServer
) -> None:
    """Pending and no more for as long as it is gone; tuned by itself when it is back."""
    agent = watched.run(OFTEN)
    with LinkEvents(watched.node.namespace) as events:
        with caught_probing(watched.node.namespace, agent.process):
            server.stop()
        agent.await_line("Judged the node", outcome="pending", reason="EndpointRefused")
        server.start()
        await_(
            lambda: agent.said("Judged the node")[-1]["outcome"] == "tuned",
            agent.process.log_text,
        )
        assert events.count("eth1") == 0
    assert_never_misjudged(agent)
    assert agent.end() == 0


def test_a_server_that_restarts_in_the_middle_of_the_first_proof_holds_nothing_up(
    watched: Watched, server: NfsServer
) -> None:
    """The very first probe loses its connection: the node is tuned and proven all the same."""
    agent = watched.run(OFTEN, tuned=False)  # a busy machine may miss the very first probe
    with caught_probing(watched.node.namespace, agent.process):
        server.restart()
    agent.await_line("Judged the node", outcome="tuned")
    watched.await_value("eth1", "9000")
    assert_never_misjudged(agent)
    assert agent.end() == 0
    assert watched.node.revert() == 0
    assert watched.node.values() == watched.node.first


def test_a_server_that_restarts_in_the_middle_of_a_read_leaves_the_node_tuned(
    watched: Watched, server: NfsServer
) -> None:
    """A real client reads while the agent probes; the next read has every byte, at full size."""
    wanted = _weights(server)
    agent = watched.run(OFTEN)
    with LinkEvents(watched.node.namespace) as events:
        watched.count += 1
        copy = watched.node.folder / "copy"
        reader = watched.node.spawn(f"reader-{watched.count}", _read_into(copy))
        await_(lambda: _size(copy) > 0, reader.log_text)
        server.restart()
        with caught_probing(watched.node.namespace, agent.process):
            reader.kill()  # whether it survived is the client's affair
        copy.unlink()
        watched.node.namespace.run(_read_into(copy))
        assert hashlib.sha256(copy.read_bytes()).hexdigest() == wanted
        assert events.count("eth1") == 0
    assert_never_misjudged(agent)
    assert agent.end() == 0


def _weights(server: NfsServer) -> str:
    """Have the server serve a file that takes a while; return its digest."""
    content = os.urandom(1 << 20) * (FILE_BYTES >> 20)
    (server.folder / "export" / "large").write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _read_into(copy: Path) -> list[str]:
    return ["nfs-cp", f"nfs://{STORAGE}{EXPORT}/large?version=4", str(copy)]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
