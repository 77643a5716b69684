"""What the kernel, the disk or the person refuses, on the real kernel: said, and how it ends."""

import json
import os
import signal
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.agent_lab.node_commands import AGENT, AgentNode
from tests.lab.lab import Lab

pytestmark = pytest.mark.lab
STORAGE = "10.71.0.2"
APPLY = ("apply", "--endpoint", STORAGE)
RMEM_FILE = "/proc/sys/net/ipv4/tcp_rmem"
WAIT_SECONDS = 60.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
RMEM_WANTED = "4096 131072 16777216"


@pytest.fixture
def node(nfs_world: Lab, tmp_path: Path) -> Iterator[AgentNode]:
    """Give the node with its first values; all is set back after the test."""
    made = AgentNode(nfs_world.world.gpu, tmp_path)
    yield made
    nfs_world.world.restore()
    made.restore()


def apply_after(
    node: AgentNode, *preparations: str, command: str = "apply"
) -> CompletedProcess[str]:
    """Run a command in a mount namespace of its own, after these shell lines."""
    options = f"--endpoint {STORAGE}" if command == "apply" else ""
    lines = "; ".join((*preparations, f"exec {AGENT} {command} {options}"))
    return node.command(["unshare", "--mount", "sh", "-euc", lines])


def test_a_required_sysctl_that_is_read_only_fails(node: AgentNode) -> None:
    """The other targets are tuned all the same, and verify says no as well."""
    read_only = f"mount --bind {RMEM_FILE} {RMEM_FILE}; mount -o remount,ro,bind {RMEM_FILE}"
    done = apply_after(node, read_only)
    assert done.returncode == 1
    assert "failed SysctlReadOnly: net.ipv4.tcp_rmem is '4096 131072 6291456'" in done.stdout
    assert done.stderr == ""
    now = node.values()
    assert now["net.ipv4.tcp_rmem"] == node.first["net.ipv4.tcp_rmem"]
    assert (now["eth1"], now["net.ipv4.tcp_mtu_probing"]) == ("9000", "1")
    assert node.agent("verify", "--endpoint", STORAGE).returncode == 1
    assert node.revert() == 0
    assert node.values() == node.first


def test_an_advisory_sysctl_that_is_read_only_is_a_note(node: AgentNode) -> None:
    """net.core.rmem_max of a namespace cannot be written by anybody: noted, exit 0."""
    wanted = '{"net.core.rmem_max": 33554432}'
    done = node.agent(*APPLY, variables={"TUNEGATE_SYSCTLS": wanted})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "note SysctlReadOnly: net.core.rmem_max is '" in done.stdout
    assert "tuned: Tuned" in done.stdout
    assert node.values()["net.core.rmem_max"] == node.first["net.core.rmem_max"]


def test_without_the_capability_nothing_breaks_and_it_is_named(node: AgentNode) -> None:
    """The link is refused with the capability's name; revert undoes what was written."""
    without = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    done = node.command([*without, AGENT, *APPLY])
    assert done.returncode == 1
    assert "failed NoPermission: may not write link/eth1/mtu" in done.stdout
    assert "CAP_NET_ADMIN" in done.stdout
    assert done.stderr == ""
    assert node.values()["eth1"] == "1500"
    assert node.revert() == 0
    assert node.values() == node.first


def test_revert_without_the_capability_keeps_the_journal(node: AgentNode) -> None:
    """What could not be put back is said, and can be put back later."""
    assert node.agent(*APPLY).returncode == 0
    done = node.command(
        ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", AGENT, "revert"]
    )
    assert done.returncode == 1
    assert "CAP_NET_ADMIN" in done.stdout
    assert node.journal.exists()
    assert node.revert() == 0
    assert node.values() == node.first


@pytest.mark.parametrize("what", ["read-only", "full"])
def test_where_nothing_can_be_journaled_nothing_is_written(node: AgentNode, what: str) -> None:
    """A folder that takes no journal: said so, and the host is as it was."""
    state = node.state
    state.mkdir()
    (state / "lock").touch()
    preparations = {
        "read-only": f"mount --bind {state} {state}; mount -o remount,ro,bind {state}",
        "full": f"mount -t tmpfs -o size=4k none {state}; head -c 4096 /dev/zero > {state}/filler",
    }
    done = apply_after(node, preparations[what])
    assert done.returncode == 1
    assert str(state) in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    reason = {"read-only": "Read-only file system", "full": "No space left on device"}[what]
    assert reason in done.stdout + done.stderr
    assert node.values() == node.first


def test_a_disk_that_fills_up_later_changes_nothing_either(node: AgentNode) -> None:
    """A second apply of another size that cannot be journaled leaves the first one's values."""
    state = node.state
    state.mkdir()
    lines = (
        f"mount -t tmpfs -o size=8k none {state}",
        f"{AGENT} apply --endpoint {STORAGE} > /dev/null",
        f"head -c 4096 /dev/zero > {state}/filler",
        f"TUNEGATE_MTU=4000 {AGENT} apply --endpoint {STORAGE} && exit 9",
        f"cat /sys/class/net/lo/mtu > /dev/null; ip -o link show eth1; {AGENT} revert",
    )
    done = node.command(["unshare", "--mount", "sh", "-uc", "; ".join(lines)])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mtu 9000" in done.stdout
    assert node.values() == node.first


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        ("garbage after", True),
        ("half of the last line", True),
        ("all garbage", False),
        ("empty", False),
    ],
)
def test_a_damaged_journal_is_said_and_what_can_be_read_is_reverted(
    node: AgentNode, damage: str, *, kept: bool
) -> None:
    """Readable first values come back; the damaged file stays for a person to look at."""
    assert node.agent(*APPLY).returncode == 0
    content = node.journal.read_bytes()
    damaged = {
        "garbage after": content + b"\x00\xff{]\n",
        "half of the last line": content[:-30],
        "all garbage": os.urandom(300).replace(b"\n", b"x"),
        "empty": b"",
    }[damage]
    node.journal.write_bytes(damaged)
    done = node.agent("revert")
    assert done.stderr == ""
    now = node.values()
    assert now["eth1"] == ("1500" if kept else "9000")
    if damage == "empty":
        assert done.returncode == 0
    else:
        assert done.returncode == 1
        assert "note JournalDamaged" in done.stdout
        assert node.journal.read_bytes() == damaged


def test_apply_over_a_damaged_journal_keeps_the_damaged_file(node: AgentNode) -> None:
    """The next journal takes what can be read; the damaged one stands beside it."""
    assert node.agent(*APPLY).returncode == 0
    damaged = node.journal.read_bytes() + b"garbage\n"
    node.journal.write_bytes(damaged)
    done = node.agent(*APPLY, variables={"TUNEGATE_MTU": "9100"})
    assert "note JournalDamaged" in done.stdout
    done = node.agent(*APPLY, variables={"TUNEGATE_SYSCTLS": '{"net.ipv4.tcp_mtu_probing": 2}'})
    assert done.returncode == 0, done.stdout
    beside = node.journal.with_name("journal.jsonl.damaged")
    assert beside.read_bytes() == damaged
    assert node.revert() == 0
    assert node.values() == node.first
    assert beside.exists()


@pytest.mark.parametrize("command", ["plan", "apply", "verify", "revert", "run"])
def test_a_bad_configuration_names_every_error_and_touches_nothing(
    node: AgentNode, command: str
) -> None:
    """Unknown names, wrong types and wrong values, all in one answer; no state folder is made."""
    config = node.folder / "agent.yaml"
    config.write_text(
        "mtu: huge\n"
        "mtus: 9000\n"
        "links: {include: 7, only: [eth1]}\n"
        "sysctls: {kernel.panic: 1, net.ipv4.tcp_rmem: {compare: mostly}}\n"
        "gate: {onDegraded: perhaps}\n"
        "watch: {pollSeconds: -1}\n"
    )
    done = node.agent(
        command, "--config", str(config), variables={"TUNEGATE_PROBE_RETRY_SECONDS": "x"}
    )
    assert done.returncode == 2
    assert done.stdout == ""
    for field in (
        "mtu:",
        "mtus",
        "links.include",
        "links.only",
        "kernel.panic",
        "net.ipv4.tcp_rmem",
        "gate.onDegraded",
        "watch.pollSeconds",
        "TUNEGATE_PROBE_RETRY_SECONDS",
    ):
        assert field in done.stderr
    assert "nothing was touched" in done.stderr
    assert not node.state.exists()
    assert node.values() == node.first


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"mtu: [9000\n", "line"),
        (b"- mtu\n- 9000\n", "mapping"),
        (b"\xff\xfe\x00\x01", "agent.yaml"),
        (b"{}: {}\n? [a]\n: b\n", "agent.yaml"),
        pytest.param(b"[" * 3000, "too deep", id="deep YAML"),
        pytest.param(b'{"mtu": ' + b"[" * 100000, "too deep", id="deep JSON"),
        (b"!!python/object/apply:os.system ['true']\n", "agent.yaml"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(
    node: AgentNode, content: bytes, said: str
) -> None:
    """Broken YAML, bytes, lists: exit 2, in words, nothing touched."""
    config = node.folder / "agent.yaml"
    config.write_bytes(content)
    done = node.agent(*APPLY, "--config", str(config))
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    assert not node.state.exists()
    assert node.values() == node.first


@pytest.mark.parametrize("path", ["missing.yaml", "", "."])
def test_a_configuration_file_that_cannot_be_read_is_refused(node: AgentNode, path: str) -> None:
    """No file, or a folder: exit 2 and the file's name."""
    where = str(node.folder / path)
    done = node.agent(*APPLY, "--config", where)
    assert done.returncode == 2
    assert where in done.stderr
    assert not node.state.exists()


def test_every_bad_endpoint_is_named(node: AgentNode) -> None:
    """What is neither name nor address, nor a port: exit 2, nothing touched."""
    bad = ["10.71.0.2:0", "10.71.0.2:99999", "a b", "[fd71::2", ":2049", "nfs:port", ""]
    options = [word for text in bad for word in ("--endpoint", text)]
    done = node.agent("apply", *options)
    assert done.returncode == 2
    assert done.stderr.count("--endpoint: ") == len(bad), done.stderr
    assert not node.state.exists()
    assert node.values() == node.first


def test_an_endpoint_without_a_route_is_pending(node: AgentNode) -> None:
    """A name that does not resolve is no reason to stop: sysctls are tuned, exit 1."""
    done = node.agent("apply", "--endpoint", "nowhere.invalid")
    assert done.returncode == 1
    assert "EndpointUnresolved" in done.stdout
    assert done.stderr == ""
    assert node.values()["net.ipv4.tcp_rmem"] == RMEM_WANTED


def test_an_output_that_is_full_is_said_in_words(node: AgentNode) -> None:
    """Standard output on a full disk, or none: the work is done, and no stack is shown."""
    line = f"{AGENT} apply --endpoint {STORAGE}"
    done = node.command(["sh", "-c", f"{line} > /dev/full"])
    assert done.returncode == 1
    assert done.stderr == "tunegate-agent apply: cannot print: No space left on device\n"
    assert node.values()["eth1"] == "9000"
    assert node.command(["sh", "-c", f"{line} >&-"]).returncode == 0
    left = node.command(["sh", "-c", f"{{ {AGENT} revert; echo $? >&2; }} | true"])
    assert left.stderr in {"0\n", "1\n"}
    assert node.revert() == 0
    assert node.values() == node.first


def test_an_interrupted_apply_says_how_to_undo_it(node: AgentNode, nfs_world: Lab) -> None:
    """SIGINT while a silent server is waited for: exit 1, a sentence, the host can be undone."""
    nfs_world.world.router.silence()
    waiting = node.spawn(f"interrupted-{node.folder.name}", [AGENT, *APPLY])
    deadline = time.monotonic() + WAIT_SECONDS
    while not _connects(node):
        assert time.monotonic() < deadline, waiting.log_text()
        time.sleep(0.02)
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait() == 1
    said = "tunegate-agent apply: interrupted; 'tunegate-agent revert' puts first values back\n"
    assert waiting.log_text() == said
    assert node.revert() == 0
    assert node.values() == node.first


def _connects(node: AgentNode) -> bool:
    """Return whether a connection to the storage server is being opened."""
    sockets = node.namespace.run(["cat", "/proc/net/tcp"]).stdout
    return any(line.split()[3] == "02" for line in sockets.splitlines()[1:])  # TCP_SYN_SENT


def test_a_journal_of_targets_that_are_not_ours_stops_no_command(node: AgentNode) -> None:
    """Whole lines, right checksums, foreign targets: passed over, and ours are put back."""
    assert node.agent(*APPLY).returncode == 0
    foreign = ("sysctl/kernel.panic", "sysctl/net.ipv4/../../kernel.panic", "sysctl/net..x", 7)
    with node.journal.open("ab") as file:
        for target in foreign:
            entry = {"boot": BOOT_ID, "target": target, "first": "0", "written": ["1"]}
            body = json.dumps(entry).encode()
            file.write(b"%08x %s\n" % (zlib.crc32(body), body))
    assert node.agent("verify", "--endpoint", STORAGE).returncode == 0
    done = node.agent("revert")
    assert done.returncode == 1
    assert done.stderr == ""
    assert done.stdout.count("note JournalDamaged") == len(foreign)
    assert node.values() == node.first
