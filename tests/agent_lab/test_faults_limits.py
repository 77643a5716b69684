"""An agent that lacks memory, descriptors or room on its disk: told, outlived, and made good."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_lab.node_commands import AGENT
from tests.agent_lab.running import STORAGE, Agent, Watched, await_, watching
from tests.lab.footprint import Footprint
from tests.lab.lab import Lab
from tests.lab.memory_limit import MemoryLimitError, memory_limit

pytestmark = pytest.mark.lab
OFTEN = {"TUNEGATE_WATCH_POLL_SECONDS": "0.5", "TUNEGATE_WATCH_PROBE_SECONDS": "1"}
LEAST_BYTES = 40 * 1024 * 1024
TUNED_WMEM = "4096 65536 16777216"
FULL = (
    "cp {state}/node.json {folder}; mount -t tmpfs -o size=12k none {state}; touch {state}/lock; "
    "cp {folder}/node.json {state}; head -c 8192 /dev/zero > {state}/filler; "
)
MAKE_ROOM = "(while [ ! -e {folder}/room ]; do sleep 0.1; done; rm {state}/filler) & "


@pytest.fixture
def watched(nfs_world: Lab, tmp_path: Path) -> Iterator[Watched]:
    """Give the GPU node to watch."""
    with watching(nfs_world, tmp_path) as made:
        yield made


def turning(watched: Watched) -> Agent:
    """Start an agent; back when all of it has come up: it has seen and repaired a drift."""
    agent = watched.run(OFTEN)
    watched.node.namespace.set_mtu("eth1", 1500)
    agent.await_line("Repaired drift", target="link/eth1/mtu")
    return agent


def assert_well(watched: Watched, agent: Agent) -> None:
    """Wait until the node is tuned again, and drift repaired as ever; then end the agent."""
    await_(lambda: agent.said("Judged the node")[-1]["outcome"] == "tuned", agent.process.log_text)
    watched.node.namespace.set_mtu("eth1", 1500)
    watched.await_value("eth1", "9000")
    assert "Traceback" not in agent.process.log_text()
    assert agent.end() == 0
    assert watched.node.revert() == 0
    assert watched.node.values() == watched.node.first


def test_an_agent_out_of_descriptors_says_so_and_goes_on(watched: Watched) -> None:
    """No probe can be sent: pending, in words; when there are some again, all is as before."""
    agent = turning(watched)
    pid = agent.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = Footprint.at_rest(pid).descriptors
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, before[1]))
    agent.await_line("Judged the node", outcome="pending", reason="HostUnreadable")
    found = agent.await_line("Found", reason="HostUnreadable")
    assert "Too many open files" in str(found["detail"])
    assert agent.process.poll() is None
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    assert_well(watched, agent)


def test_a_command_out_of_descriptors_says_how_to_undo_what_it_did(watched: Watched) -> None:
    """At every number of descriptors that is too small: a sentence, exit 1, and a whole revert."""
    node = watched.node
    apply = [AGENT, "apply", "--endpoint", STORAGE]
    broken = 0
    for limit in range(5, 12):
        done = node.command(["prlimit", f"--nofile={limit}:{limit}", *apply])
        if done.returncode == 0:
            break
        assert done.returncode == 1, (limit, done.stderr)
        assert "Traceback" not in done.stderr, limit
        broken += "broke off: [Errno 24] Too many open files; 'tunegate-agent rev" in done.stderr
        assert node.revert() == 0
        assert node.values() == node.first
    assert broken


def test_an_agent_that_gets_no_more_memory_works_on(watched: Watched) -> None:
    """Its address space may grow by nothing: looks and repairs go on, or are tried again."""
    agent = turning(watched)
    pid = agent.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_AS)
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0])
    resource.prlimit(pid, resource.RLIMIT_AS, (pages * resource.getpagesize(), before[1]))
    for _ in range(3):
        watched.node.namespace.set_mtu("eth1", 1500)
        watched.await_value("eth1", "9000")
    resource.prlimit(pid, resource.RLIMIT_AS, before)
    assert_well(watched, agent)


def test_an_agent_in_a_small_memory_group_tunes_and_heals(watched: Watched, nfs_world: Lab) -> None:
    """In less than the 48 MiB that the bench allows it, from its start: a kill would end it."""
    name = f"tg-{nfs_world.lab_dir.lab_id}-small"
    try:
        with memory_limit(name, LEAST_BYTES) as words:
            agent = watched.run(OFTEN, program=(*words, AGENT))
            watched.router.set_path_mtu(4000, icmp=False)
            agent.await_line("Judged the node", outcome="degraded", reason="BlackHole")
            watched.router.clear()
            assert agent.process.poll() is None
            assert "Traceback" not in agent.process.log_text()
            assert agent.end() == 0
    except MemoryLimitError as error:
        pytest.skip(str(error))


def test_tcp_buffers_near_their_limit_are_noted_while_they_are(watched: Watched) -> None:
    """What sockstat and tcp_mem say is told by the next pass, and so is that it is over."""
    network = watched.node.folder / "net"
    (network / "ipv4").mkdir(parents=True)
    (network / "ipv4" / "tcp_mem").write_text("190000 250000 380000\n")
    for name in ("tcp_rmem", "tcp_wmem", "tcp_mtu_probing", "tcp_window_scaling"):
        (network / "ipv4" / name).symlink_to(f"/proc/sys/net/ipv4/{name}")
    sockstat = watched.node.folder / "sockstat"
    sockstat.write_text("sockets: used 290\nTCP: inuse 6 orphan 0 tw 0 alloc 9 mem 249000\n")
    paths = {"TUNEGATE_PROC_SYS_NET": str(network), "TUNEGATE_SOCKSTAT": str(sockstat)}
    agent = watched.run({**OFTEN, **paths})
    found = agent.await_line("Found", reason="TcpMemoryPressure")
    assert "249000 pages" in str(found["detail"])
    assert "250000" in str(found["detail"])
    sockstat.write_text("sockets: used 290\nTCP: inuse 6 orphan 0 tw 0 alloc 9 mem 3\n")
    await_(lambda: len(agent.said("Judged the node")) > 1, agent.process.log_text)
    assert len(agent.said("Found", reason="TcpMemoryPressure")) == 1
    assert agent.end() == 0


def test_a_disk_full_under_the_journal_keeps_the_host_as_it_is_until_there_is_room(
    watched: Watched,
) -> None:
    """Failed, with the file and the reason, nothing written; with room it is tuned by itself."""
    node = watched.node
    names = {"state": node.state, "folder": node.folder}
    line = (FULL + MAKE_ROOM + 'exec "$@"').format(**names)
    program = ("unshare", "--mount", "sh", "-euc", line, "sh", AGENT)
    agent = watched.run(OFTEN, tuned=False, program=program)
    agent.await_line("Judged the node", outcome="failed", reason="JournalUnwritable")
    found = agent.await_line("Found", reason="JournalUnwritable")
    assert f"cannot write {node.journal}: No space left on device" in str(found["detail"])
    assert node.values() == node.first
    (node.folder / "room").touch()
    agent.await_line("Judged the node", outcome="tuned")
    watched.await_value("eth1", "9000")
    assert agent.end() == 0


def test_a_tcp_wmem_that_somebody_half_applied_is_seen_and_repaired(watched: Watched) -> None:
    """The kernel refused the third field and kept the first two: the next look puts them right."""
    agent = watched.run(OFTEN)
    wmem = "net.ipv4.tcp_wmem"
    watched.await_value(wmem, TUNED_WMEM)
    bad = watched.node.namespace.run(
        ["tee", "/proc/sys/net/ipv4/tcp_wmem"], input_text="4096 8192 3000000000", check=False
    )
    assert "Invalid argument" in bad.stderr
    line = agent.await_line("Repaired drift", target=f"sysctl/{wmem}")
    assert (line["before"], line["after"]) == ("4096 8192 16777216", TUNED_WMEM)
    watched.await_value(wmem, TUNED_WMEM)
    assert_well(watched, agent)
