"""
``tunegate-agent run`` on the real kernel, its API server never there: it tunes and watches anyway.

How the Node and its gate come into it is tests/e2e's.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_lab.running import STORAGE, Watched, await_, watching
from tests.lab.lab import Lab
from tests.lab.link_events import LinkEvents

pytestmark = pytest.mark.lab
NARROW_BYTES = 4000
TUNED = "4096 131072 16777216"
COMPETITOR = "while :; do ip link set eth1 mtu 1500; sleep 0.02; done"
JUMPING_CLOCK = """\
import itertools
import time

_jumps = itertools.cycle((0, 86400, -86400, 10**9, -10**9))
_real, _real_ns = time.time, time.time_ns
time.time = lambda: _real() + next(_jumps)
time.time_ns = lambda: _real_ns() + next(_jumps) * 10**9
"""


@pytest.fixture
def watched(nfs_world: Lab, tmp_path: Path) -> Iterator[Watched]:
    """Give the GPU node to watch."""
    with watching(nfs_world, tmp_path) as made:
        yield made


def test_it_tunes_without_the_api_server_and_its_end_changes_nothing(watched: Watched) -> None:
    """SIGTERM ends it with 0: MTU and sysctls stay, and the kernel tells of no link message."""
    agent = watched.run()
    tuned = watched.node.values()
    assert (tuned["eth1"], tuned["net.ipv4.tcp_rmem"]) == ("9000", TUNED)
    with LinkEvents(watched.node.namespace) as events:
        assert agent.end() == 0
        again = watched.run()
        assert not again.said("Applied change")
        assert again.end() == 0
        watched.node.namespace.set_mtu("lo", 65530)
        await_(lambda: events.count("lo") > 0, lambda: "the monitor is deaf")
        watched.node.namespace.set_mtu("lo", 65536)
        assert events.count("eth1") == 0
        assert events.count("eth0") == 0
    assert watched.node.values() == tuned
    assert "Traceback" not in agent.process.log_text() + again.process.log_text()
    assert watched.node.revert() == 0
    assert watched.node.values() == watched.node.first


def test_drift_of_link_and_sysctl_is_repaired(watched: Watched) -> None:
    """The link by the kernel's news, the sysctl by the poll; each is logged with its values."""
    agent = watched.run({"TUNEGATE_WATCH_POLL_SECONDS": "0.2"})
    watched.node.namespace.set_mtu("eth1", 1500)
    line = agent.await_line("Repaired drift", target="link/eth1/mtu")
    assert (line["before"], line["after"]) == ("1500", "9000")
    watched.await_value("eth1", "9000")
    watched.node.namespace.set_sysctl("net.ipv4.tcp_rmem", "4096 131072 6291456")
    agent.await_line("Repaired drift", target="sysctl/net.ipv4.tcp_rmem")
    watched.await_value("net.ipv4.tcp_rmem", TUNED)
    assert agent.end() == 0
    assert watched.node.revert() == 0
    assert watched.node.values() == watched.node.first


def test_a_link_that_goes_down_and_up_is_kept(watched: Watched) -> None:
    """The routes go and come back with it; drift while it was down is repaired as well."""
    agent = watched.run()
    watched.node.namespace.script(
        [
            "ip link set eth1 down",
            "ip link set eth1 mtu 1500",
            "ip link set eth1 up",
            "ip route add 10.71.0.0/24 via 10.70.0.1",
        ]
    )
    watched.await_value("eth1", "9000")
    watched.node.namespace.set_mtu("eth1", 1500)
    watched.await_value("eth1", "9000")
    assert agent.process.poll() is None
    assert agent.end() == 0
    assert watched.node.revert() == 0
    assert watched.node.values() == watched.node.first


def test_a_competitor_is_left_alone_and_tried_again_later(watched: Watched) -> None:
    """After three repairs the link is left to whoever resets it, logged with what it holds."""
    agent = watched.run({"TUNEGATE_WATCH_REPAIRS": "3", "TUNEGATE_WATCH_BACKOFF_SECONDS": "2"})
    watched.count += 1
    competitor = watched.node.spawn(f"competitor-{watched.count}", ["sh", "-c", COMPETITOR])
    try:
        agent.await_line("Left a contested target alone", target="link/eth1/mtu")
        found = agent.await_line("Found", reason="TargetContested", target="link/eth1/mtu")
        assert "1500" in str(found["detail"])
        agent.await_line("Judged the node", outcome="degraded", reason="TargetContested")
        left = "Left a contested target alone"
        await_(lambda: len(agent.said(left)) > 1, agent.process.log_text)
        assert [agent.count_before("Repaired drift", left, nth) for nth in (1, 2)] == [3, 6]
    finally:
        competitor.kill()
    watched.await_value("eth1", "9000")
    await_(lambda: agent.said("Judged the node")[-1]["outcome"] == "tuned", agent.process.log_text)
    assert agent.end() == 0


def test_the_second_agent_waits_and_takes_over(watched: Watched) -> None:
    """It names the first by process id; when that is killed, it goes on without one write."""
    first = watched.run()
    second = watched.run(tuned=False)
    line = second.await_line("Waited for another agent")
    assert line["holder"] == str(first.process.pid)
    assert str(watched.node.state) in str(line["lock"])
    tuned = watched.node.values()
    with LinkEvents(watched.node.namespace) as events:
        first.process.kill()
        second.await_line("Judged the node", outcome="tuned")
        assert second.end() == 0
        assert events.count("eth1") == 0
    assert not second.said("Applied change")
    assert watched.node.values() == tuned


def test_an_agent_that_waits_ends_when_told(watched: Watched) -> None:
    """SIGTERM ends the waiting one with 0, and the first one keeps the lock."""
    first = watched.run()
    second = watched.run(tuned=False)
    second.await_line("Waited for another agent")
    assert second.end() == 0
    assert first.process.poll() is None
    assert watched.node.agent("apply", "--endpoint", STORAGE).returncode == 1


@pytest.mark.parametrize("command", ["apply", "revert"])
def test_no_command_writes_beside_a_running_agent(watched: Watched, command: str) -> None:
    """Exit 1, with the agent's process id; looking is allowed."""
    agent = watched.run()
    tuned = watched.node.values()
    done = watched.node.agent(command)
    assert done.returncode == 1
    assert str(agent.process.pid) in done.stderr
    assert "Traceback" not in done.stderr
    assert watched.node.agent("verify", "--endpoint", STORAGE).returncode == 0
    assert watched.node.agent("plan", "--endpoint", STORAGE).returncode == 0
    assert watched.node.values() == tuned


def test_sighup_tries_the_full_size_again(watched: Watched) -> None:
    """A fall-back outlives a restart, without a write, and ends with SIGHUP on a mended path."""
    watched.router.set_path_mtu(NARROW_BYTES, icmp=False)
    first = watched.run(tuned=False)
    first.await_line("Judged the node", outcome="degraded", reason="BlackHole")
    watched.await_value("eth1", str(NARROW_BYTES))
    assert first.end() == 0
    watched.router.clear()
    with LinkEvents(watched.node.namespace) as events:
        second = watched.run(tuned=False)
        second.await_line("Judged the node", outcome="degraded", reason="BlackHole")
        assert events.count("eth1") == 0
    second.process.send_signal(signal.SIGHUP)
    second.await_line("Judged the node", outcome="tuned")
    watched.await_value("eth1", "9000")
    assert second.end() == 0
    assert watched.node.revert() == 0
    assert watched.node.values() == watched.node.first


def test_everything_that_run_lacks_is_named_at_once(watched: Watched) -> None:
    """No name, no server, no token, no authority: exit 2, all four named, nothing touched."""
    missing = dict.fromkeys(watched.credentials(), "")
    named = {
        "TUNEGATE_TOKEN_FILE": str(watched.node.folder / "no-token"),
        "TUNEGATE_CA_FILE": str(watched.node.folder / "no-ca"),
    }
    done = watched.node.agent("run", variables={**missing, **named})
    assert done.returncode == 2
    words = ("TUNEGATE_NODE_NAME", "TUNEGATE_API_SERVER", "TUNEGATE_TOKEN_FILE", "TUNEGATE_CA_FILE")
    for word in (*words, *named.values()):
        assert word in done.stderr
    done = watched.node.agent("run", variables={**missing, **named, "TUNEGATE_NODE_NAME": "a"})
    assert done.returncode == 2
    for word in words[1:]:
        assert word in done.stderr
    assert not watched.node.state.exists()


def test_a_wall_clock_that_jumps_harms_nothing(watched: Watched) -> None:
    """Days and decades back and forth between any two looks at the clock: all works as ever."""
    folder = watched.node.folder / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(JUMPING_CLOCK)
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    agent = watched.run({"PYTHONPATH": path, "TUNEGATE_WATCH_POLL_SECONDS": "0.2"})
    for _ in range(3):
        watched.node.namespace.set_mtu("eth1", 1500)
        watched.await_value("eth1", "9000")
    watched.node.namespace.set_sysctl("net.ipv4.tcp_mtu_probing", "0")
    watched.await_value("net.ipv4.tcp_mtu_probing", "1")
    assert not agent.said("Left a contested target alone")
    assert agent.end() == 0
    assert len({str(line["time"])[:4] for line in agent.lines()}) > 1  # years
    assert "Traceback" not in agent.process.log_text()
