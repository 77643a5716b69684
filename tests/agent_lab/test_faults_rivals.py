"""A rival resets the MTU every second: the breaker opens, and the finding says who it may be."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_lab.running import Agent, Watched, await_, watching
from tests.lab.lab import Lab
from tests.lab.process import LabProcess

pytestmark = pytest.mark.lab
EVERY_SECOND = "while :; do ip link set eth1 mtu 1500; sleep 1; done"
REPAIRS = 5  # the default of watch.repairs
NETWORKD = """\
import socket, time
listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
listener.bind((1, 1361))  # as its socket unit has it: ListenNetlink=route 1361
print("ready", flush=True)
time.sleep(600)
"""
NETWORK_MANAGER = """\
mount -t tmpfs none /run; mkdir /run/NetworkManager
exec {python} -c '
import socket, time
helper = socket.socket(socket.AF_UNIX)
helper.bind("/run/NetworkManager/private-dhcp")
print("ready", flush=True)
time.sleep(600)
'
"""


@pytest.fixture
def watched(nfs_world: Lab, tmp_path: Path) -> Iterator[Watched]:
    """Give the GPU node to watch."""
    with watching(nfs_world, tmp_path) as made:
        yield made


def beside(watched: Watched, name: str, argv: list[str]) -> LabProcess:
    """Start another program on the node."""
    watched.count += 1
    return watched.node.spawn(f"{name}-{watched.node.folder.name}-{watched.count}", argv)


def contested(watched: Watched, agent: Agent) -> str:
    """Let a rival reset the MTU every second until it is left alone; return what is said."""
    rival = beside(watched, "rival", ["sh", "-c", EVERY_SECOND])
    try:
        agent.await_line("Left a contested target alone", target="link/eth1/mtu")
        found = agent.await_line("Found", reason="TargetContested", target="link/eth1/mtu")
        agent.await_line("Judged the node", outcome="degraded", reason="TargetContested")
        watched.await_value("eth1", "1500")
    finally:
        rival.kill()
    return str(found["detail"])


def test_a_reset_every_second_opens_the_breaker(watched: Watched) -> None:
    """With the settings as they come: five repairs, then it is left alone, with what it holds."""
    agent = watched.run()
    said = contested(watched, agent)
    assert said.startswith("another program keeps link/eth1/mtu at 1500; left alone for 300 s")
    assert len(agent.said("Repaired drift")) == REPAIRS
    watched.node.namespace.set_mtu("eth1", 1400)
    assert agent.process.poll() is None
    assert len(agent.said("Repaired drift")) == REPAIRS
    assert agent.end() == 0


def test_the_fight_ends_when_the_rival_does(watched: Watched) -> None:
    """After the pause one more repair, which stands, and the node is tuned again."""
    agent = watched.run({"TUNEGATE_WATCH_BACKOFF_SECONDS": "2"})
    contested(watched, agent)
    watched.await_value("eth1", "9000")
    await_(lambda: agent.said("Judged the node")[-1]["outcome"] == "tuned", agent.process.log_text)
    assert agent.end() == 0
    assert watched.node.revert() == 0
    assert watched.node.values() == watched.node.first


@pytest.mark.parametrize("name", ["systemd-networkd", "NetworkManager"])
def test_the_rival_is_named_by_its_routes_and_its_socket(watched: Watched, name: str) -> None:
    """The route's protocol and the daemon that holds a socket here: two hints, no proof."""
    manager = NETWORK_MANAGER.format(python=sys.executable)
    daemon = {
        "systemd-networkd": [sys.executable, "-c", NETWORKD],
        "NetworkManager": ["unshare", "--mount", "sh", "-euc", manager],
    }[name]
    process = beside(watched, "daemon", daemon)
    await_(lambda: "ready" in process.log_text(), process.log_text)
    route = "10.71.0.0/24 via 10.70.0.1"
    watched.node.namespace.script([f"ip route replace {route} proto dhcp"])
    try:
        agent = watched.run({"TUNEGATE_WATCH_REPAIRS": "2"})
        said = contested(watched, agent)
        assert f"(its routes come from dhcp; present here: {name})" in said
        assert agent.end() == 0
    finally:
        process.kill()
        watched.node.namespace.script([f"ip route replace {route} proto boot"])
