"""
An API server behind the link that grows: what answered before answers after, or it is rolled back.

Only ``run`` knows an API server, so the tuner works in this process, in the node's namespace.
"""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.config import defaults
from agent.scene import Tools
from agent.state import Address, Change, HostState, LinkMtuChange, Outcome, Reason, Report
from agent.tune import Tuner
from agent.wiring import build_tools
from tests.agent_lab.node_commands import AgentNode
from tests.agent_lab.on_node import on_node
from tests.lab.lab import Lab
from tests.lab.netns import Namespace
from tests.lab.world import API_ADDRESSES, NFS_ADDRESS

pytestmark = pytest.mark.lab
API_PORT = 6443
REPLY_BYTES = 3000  # as much as a certificate chain: more than one packet at MTU 1500


@dataclass(frozen=True)
class HostWithNews:
    """The real host; something happens right after a link was raised."""

    tools: Tools
    happens: Callable[[], None]

    def observe(self, addresses: Sequence[Address]) -> HostState:
        """Observe the real host."""
        return self.tools.host.observe(addresses)

    def observe_mounts(self) -> HostState:
        """Observe the real host's mounts."""
        return self.tools.host.observe_mounts()

    def apply(self, change: Change) -> None:
        """Write, and let it happen."""
        self.tools.host.apply(change)
        if isinstance(change, LinkMtuChange) and change.after_bytes > change.before_bytes:
            self.happens()


@dataclass(frozen=True)
class Single:
    """The node with one link, tuned in this process."""

    lab: Lab
    node: AgentNode

    def tune(self, happens: Callable[[], None] = lambda: None) -> Report:
        """Do one pass with the API server to keep; the link is raised, then it happens."""
        config = replace(defaults(), storage_endpoints=((NFS_ADDRESS, 2049),), storage_mounts=False)
        api = (Address(API_ADDRESSES[0]), API_PORT)
        tools = build_tools(config, self.node.environment, api)
        tools = replace(tools, host=HostWithNews(tools, happens))
        with self.node.namespace.entered():
            return Tuner(config, tools, str(self.node.state)).tune()


@pytest.fixture(scope="module")
def api_server(nfs_world: Lab) -> Iterator[None]:
    """Have somebody answer at the API server's address, more than one packet each time."""
    with _listening(nfs_world.world.cp) as listener:
        thread = threading.Thread(target=_answer, args=(listener,))
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _listening(where: Namespace) -> socket.socket:
    with where.entered():
        return socket.create_server((API_ADDRESSES[0], API_PORT))


def _answer(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.settimeout(5)
                connection.recv(1)
                connection.sendall(bytes(REPLY_BYTES))


@pytest.fixture
def single(nfs_world: Lab, api_server: None, tmp_path: Path) -> Iterator[Single]:
    """Give the node whose only link carries storage, default route and API server."""
    assert api_server is None
    with on_node(nfs_world, "solo-0", tmp_path) as node:
        yield Single(nfs_world, node)


def of_severity(report: Report, severity: str) -> set[Reason]:
    """Return the reasons of the findings of one severity."""
    return {item.reason for item in report.findings if item.severity.value == severity}


def test_the_link_grows_where_the_api_server_goes_on_answering(single: Single) -> None:
    """All sizes pass: tuned."""
    assert single.tune().outcome is Outcome.TUNED
    assert single.node.values()["eth0"] == "9000"


@pytest.mark.parametrize("direction", ["up", "down"])
def test_an_api_server_lost_at_the_larger_size_rolls_back(single: Single, direction: str) -> None:
    """It loses large packets one way: the first MTU comes back, and with it the answers."""
    single.lab.world.router.drop_larger_than(1500, (direction,), toward="cp")
    report = single.tune()
    assert report.outcome is Outcome.DEGRADED
    assert of_severity(report, "degraded") == {Reason.BASELINE_LOST}
    (said,) = (f.message for f in report.findings if f.reason is Reason.BASELINE_LOST)
    assert said.startswith("API server 10.60.0.10:6443 stopped answering at MTU 9000, so eth0 has")
    assert single.node.values()["eth0"] == "1500"
    assert single.node.revert() == 0
    assert single.node.values() == single.node.first


def test_a_roll_back_that_does_not_help_is_a_failure(single: Single) -> None:
    """The API server goes away for good at the moment of the raise: 1500 again, and failed."""
    router = single.lab.world.router
    report = single.tune(lambda: router.silence("cp"))
    assert report.outcome is Outcome.FAILED
    assert of_severity(report, "failed") == {Reason.BASELINE_LOST}
    assert single.node.values()["eth0"] == "1500"


def test_an_api_server_that_never_answered_holds_nothing_back(single: Single) -> None:
    """Only what answered before must answer after."""
    single.lab.world.router.silence("cp")
    assert single.tune().outcome is Outcome.TUNED
    assert single.node.values()["eth0"] == "9000"
