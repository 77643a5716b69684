"""doctor on a GPU node: what it sees, what it says to type, and that it writes nothing."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent_lab.node_commands import AGENT, AgentNode
from tests.agent_lab.on_node import answer, on_node, servers
from tests.agent_lab.running import await_, watching
from tests.lab.lab import Lab
from tests.lab.world import NFS_ADDRESS

pytestmark = pytest.mark.lab
STORAGE = servers(NFS_ADDRESS)
UBUNTU = str(Path("tests/data/host_files/ubuntu").absolute())


@pytest.fixture
def node(nfs_world: Lab, tmp_path: Path) -> Iterator[AgentNode]:
    """Give the GPU node, whose host has no files of other programs."""
    (tmp_path / "root/etc").mkdir(parents=True)
    with on_node(nfs_world, "gpu-0", tmp_path) as made:
        made.environment["TUNEGATE_HOST_ROOT"] = str(tmp_path / "root")
        yield made


def of_mark(found: dict[str, Any], mark: str) -> dict[str, str]:
    """Return the message by check and target of the remarks with this mark."""
    return {
        f"{remark['check']} {remark['target']}".strip(): remark["message"]
        for remark in found["remarks"]
        if remark["mark"] == mark
    }


def test_a_fresh_node_is_told_what_is_wrong_and_what_to_type(node: AgentNode) -> None:
    """The link, the required sysctls, the small proven path of today; nothing is written."""
    found = answer(node, "doctor", *STORAGE, exit_code=1)
    problems = of_mark(found, "problem")
    assert problems["link-mtu eth1"] == "eth1: MTU 1500 instead of 9000 (at most 65535)"
    assert "sysctl net.ipv4.tcp_rmem" in problems
    good = of_mark(found, "good")
    assert good["storage-server"].startswith(f"storage servers: {NFS_ADDRESS} over eth1 via ")
    assert "driver veth" in good["driver eth1"]
    assert "TSO off, GRO off" in good["driver eth1"]
    assert "1500 bytes pass" in good[f"path {NFS_ADDRESS}"]
    assert found["next"]["command"] == f"tunegate-agent apply --endpoint {NFS_ADDRESS}"
    assert node.values() == node.first
    assert not node.state.exists()


def test_the_command_that_it_names_makes_it_well(node: AgentNode) -> None:
    """After it nothing is a problem, the path is proven, the first values are told."""
    step = answer(node, "doctor", *STORAGE, exit_code=1)["next"]["command"]
    assert node.command([AGENT, *step.split()[1:]]).returncode == 0
    before = node.journal.read_bytes()
    found = answer(node, "doctor", *STORAGE, exit_code=0)
    good = of_mark(found, "good")
    assert good[f"path {NFS_ADDRESS}"].endswith("packets of 9000 bytes pass there and back")
    assert good["first-value link/eth1/mtu"] == "eth1 MTU: first 1500, now 9000"
    assert node.journal.read_bytes() == before


def test_without_probes_no_connection_is_made(node: AgentNode) -> None:
    """What then is not known is said, and how to learn it."""
    node.agent("apply", *STORAGE)
    node.namespace.run(["nft", "add", "table", "inet", "watch"])
    node.namespace.run(
        ["nft", "add chain inet watch out { type filter hook output priority 0; policy accept; }"]
    )
    node.namespace.run(["nft", f"add rule inet watch out ip daddr {NFS_ADDRESS} counter"])
    try:
        found = answer(node, "doctor", "--no-probes", *STORAGE, exit_code=0)
        assert "--no-probes" in of_mark(found, "note")["path"]
        assert found["next"]["command"].startswith("tunegate-agent verify")
        rules = node.namespace.run(["nft", "list", "ruleset"]).stdout
        assert "counter packets 0 bytes 0" in rules
        answer(node, "doctor", *STORAGE, exit_code=0)
        assert (
            "counter packets 0 bytes 0" not in node.namespace.run(["nft", "list", "ruleset"]).stdout
        )
    finally:
        node.namespace.run(["nft", "delete", "table", "inet", "watch"])


def test_another_programs_file_is_named_with_its_line(node: AgentNode) -> None:
    """On a tuned node it is the next thing to look at."""
    node.agent("apply", *STORAGE)
    found = answer(node, "doctor", "--root", UBUNTU, *STORAGE, exit_code=1)
    problems = of_mark(found, "problem")
    place = "/etc/netplan/50-cloud-init.yaml:25"
    assert problems[f"mtu-file {place}"].startswith(f"{place}: netplan sets MTU 1500 on eth1")
    assert not any("eth0" in message for message in problems.values())
    assert (
        "which is enough"
        in of_mark(found, "good")[
            "mtu-file /etc/systemd/network/10-netplan-eth1.network.d/jumbo.conf:2"
        ]
    )
    assert found["next"]["command"].startswith("sudo ${EDITOR:-vi} +25 /etc/netplan/")


def test_nobody_without_rights_is_left_guessing(node: AgentNode) -> None:
    """Each missing right is named, and what needs no right is told all the same."""
    plain = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    here = {"TUNEGATE_HOST_ROOT": "/"}  # this test's folder is root's
    done = node.command([*plain, AGENT, "doctor", "--output", "json", *STORAGE], here)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    problems = of_mark(found, "problem")
    assert {"uid", "net-admin", "link-mtu eth1"} <= set(problems)
    assert "cannot be written at /proc/sys/net" in problems["proc-sys-net /proc/sys/net"]
    assert "cannot be read" in of_mark(found, "note")["mountstats /proc/1/mountstats"]
    assert "tunegate-agent doctor" in found["next"]["command"]


def test_a_container_without_its_rights_is_told_what_it_lacks(node: AgentNode) -> None:
    """As one with the runtime's own read-only /proc/sys and default capabilities."""
    dropped = "setpriv --bounding-set -net_admin --inh-caps -net_admin"
    script = f"mount -o bind,ro /proc/sys /proc/sys; exec {dropped} {AGENT} doctor --output json"
    argv = ["unshare", "--mount", "sh", "-ec", f"{script} --no-probes {' '.join(STORAGE)}"]
    pod = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "TUNEGATE_HOST_ROOT": "/"}
    done = node.command(argv, pod)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    problems = of_mark(found, "problem")
    assert "Read-only file system" in problems["proc-sys-net /proc/sys/net"]
    assert "net-admin" in problems
    assert "uid" not in problems
    actions = {remark["check"]: remark["action"] for remark in found["remarks"]}
    assert "capabilities.add: [NET_ADMIN]" in actions["net-admin"]
    assert "TUNEGATE_PROC_SYS_NET" in actions["proc-sys-net"]
    assert "--root /host" in actions["host-files"]


def test_a_running_agent_is_seen_and_not_disturbed(nfs_world: Lab, tmp_path: Path) -> None:
    """By the lock, which is not touched."""
    with watching(nfs_world, tmp_path) as watched:
        agent = watched.run()
        found = answer(watched.node, "doctor", *STORAGE, exit_code=0)
        holder = f"process {agent.process.pid}"
        assert holder in of_mark(found, "good")["running-agent"]
        assert agent.end() in (0, -signal.SIGTERM)
        found = answer(watched.node, "doctor", *STORAGE, exit_code=0)
        assert "no agent runs" in of_mark(found, "note")["running-agent"]


def test_a_black_hole_is_a_problem_with_a_place_to_look(node: AgentNode, nfs_world: Lab) -> None:
    """Large packets are lost on the way, small ones are not."""
    node.agent("apply", *STORAGE)
    nfs_world.world.router.set_path_mtu(1500, icmp=False)
    found = answer(node, "doctor", *STORAGE, exit_code=1)
    assert "lost without a word" in of_mark(found, "problem")[f"path {NFS_ADDRESS}"]


def test_control_c_ends_it(node: AgentNode, nfs_world: Lab) -> None:
    """While it waits for a silent server; nothing is to be undone."""
    nfs_world.world.router.silence()
    waiting = node.spawn("doctor-interrupted", [AGENT, "doctor", *STORAGE])
    await_(lambda: "10.71.0.2:2049" in node.command(["ss", "-Htn"]).stdout, waiting.log_text)
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait() == 1
    assert waiting.log_text() == "tunegate-agent doctor: interrupted; nothing was written\n"


def test_a_root_that_is_none_is_bad_input(node: AgentNode) -> None:
    """Exit 2 names the option."""
    done = node.agent("doctor", "--root", "/proc", *STORAGE)
    assert done.returncode == 2
    assert "--root: /proc has no folder etc" in done.stderr


@pytest.mark.parametrize(("locale", "mark"), [("C.UTF-8", "✗"), ("C", "BAD")])
def test_a_terminal_of_80_columns_is_wide_enough(node: AgentNode, locale: str, mark: str) -> None:
    """Marks as the locale has them, in colour; the command is the last line."""
    typed = f"stty cols 80; {AGENT} doctor --no-probes {' '.join(STORAGE)}"
    short = {"TUNEGATE_HOST_ROOT": "/", "TUNEGATE_STATE_DIR": "/run/tunegate-of-nobody"}
    done = node.command(["script", "-qec", typed, "/dev/null"], {"LC_ALL": locale, **short})
    assert "\x1b[31m" in done.stdout
    lines = re.sub(r"\x1b\[\d+m|\r", "", done.stdout).rstrip().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.lstrip().startswith(mark) for line in lines)
    assert lines[-1] == f"  tunegate-agent apply {' '.join(STORAGE)}"


def test_a_pipe_gets_no_colour(node: AgentNode) -> None:
    """Nor does a person who asked for none."""
    assert "\x1b" not in node.agent("doctor", "--no-probes", *STORAGE).stdout
    typed = f"{AGENT} doctor --no-probes"
    done = node.command(["script", "-qec", typed, "/dev/null"], {"NO_COLOR": "1"})
    assert "\x1b" not in done.stdout
