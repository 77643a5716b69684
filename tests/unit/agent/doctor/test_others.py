"""What the doctor says of other programs that write the same values."""

import pytest

from agent.doctor.claims import Claim, Program
from agent.doctor.facts import Facts, Files
from agent.doctor.judge_others import judge_others
from agent.doctor.remark import Mark
from common.record import replace
from tests.unit.agent.doctor.cases import (
    MAC,
    facts,
    marks,
    only,
)

GOOD, NOTE, PROBLEM = Mark.GOOD, Mark.NOTE, Mark.PROBLEM


def claiming(*claims: Claim) -> Facts:
    """Return the facts of a host with these lines in files."""
    mtus = tuple(item for item in claims if item.program is not Program.TUNED)
    rest = tuple(item for item in claims if item.program is Program.TUNED)
    files = Files("/", is_host=True, claims=mtus, sysctl_claims=rest, unread=())
    return facts(files=files)


@pytest.mark.parametrize(
    ("program", "value", "links", "mark"),
    [
        (Program.NETPLAN, "1500", ("eth1",), PROBLEM),
        (Program.NETWORKD, "1500", (MAC,), PROBLEM),
        (Program.NETWORKD, "9000", ("eth1",), GOOD),
        (Program.NETWORKD, "9216", ("eth*",), GOOD),
        (Program.NETWORKD, "dhcp", ("eth1",), NOTE),
        (Program.NETWORK_MANAGER, "1500", (), NOTE),
        (Program.UDEV, "1500", ("eth1",), NOTE),
        (Program.CLOUD_INIT, "1500", ("eth1",), NOTE),
        (Program.DHCLIENT, "1500", ("eth1",), PROBLEM),
        (Program.TUNED, "1500", ("eth1",), PROBLEM),
        (Program.NETWORKD, "$mtu", ("eth1",), NOTE),
    ],
)
def test_who_else_sets_the_mtu(
    program: Program, value: str, links: tuple[str, ...], mark: Mark
) -> None:
    """A problem only where it undoes the agent's while the node runs, on that very link."""
    remark = only(
        judge_others(claiming(Claim(program, "/etc/f", 7, "mtu", value, links))), "mtu-file"
    )
    assert remark.mark is mark
    assert remark.target == "/etc/f:7"
    assert program.value in remark.message


def test_another_links_mtu_is_nobodys_business() -> None:
    """Unless no storage link is known yet: then all are shown."""
    claim = Claim(Program.NETPLAN, "/etc/f", 7, "mtu", "1500", ("eth0",))
    assert "mtu-file" not in marks(judge_others(claiming(claim)))
    unknown = replace(claiming(claim), carriers={})
    assert only(judge_others(unknown), "mtu-file").mark is NOTE


@pytest.mark.parametrize(
    ("program", "key", "value", "mark"),
    [
        (Program.SYSCTL, "net.ipv4.tcp_rmem", "4096 87380 4194304", NOTE),
        (Program.SYSCTL, "net.ipv4.tcp_rmem", "4096 131072 33554432", GOOD),
        (Program.TUNED, "net.ipv4.tcp_rmem", "4096 87380 4194304", PROBLEM),
        (Program.TUNED, "net.ipv4.tcp_rmem", ">4096 87380 4194304", GOOD),
        (Program.TUNED, "net.core.rmem_max", "212992", NOTE),
        (Program.TUNED, "net.ipv4.tcp_mtu_probing", "${probing}", PROBLEM),
    ],
)
def test_who_else_sets_our_sysctls(program: Program, key: str, value: str, mark: Mark) -> None:
    """TuneD writes again while the node runs; sysctl.d was there before the agent."""
    claim = Claim(program, "/etc/f", 3, key, value)
    files = Files("/", is_host=True, claims=(), sysctl_claims=(claim,), unread=())
    assert only(judge_others(facts(files=files)), "sysctl-file").mark is mark


def test_of_one_key_the_last_line_counts() -> None:
    """Other keys are not looked at."""
    lines = (
        Claim(Program.SYSCTL, "/usr/lib/a", 1, "net.ipv4.tcp_mtu_probing", "0"),
        Claim(Program.SYSCTL, "/etc/b", 2, "net.ipv4.tcp_mtu_probing", "1"),
        Claim(Program.SYSCTL, "/etc/b", 3, "net.ipv4.conf.all.rp_filter", "2"),
    )
    files = Files("/", is_host=True, claims=(), sysctl_claims=lines, unread=())
    remark = only(judge_others(facts(files=files)), "sysctl-file")
    assert (remark.mark, remark.target) == (GOOD, "/etc/b:2")


def test_what_could_not_be_looked_at_is_said() -> None:
    """A container's own files are not the host's."""
    away = Files("/", is_host=False, claims=(), sysctl_claims=(), unread=())
    remark = only(judge_others(facts(files=away)), "host-files")
    assert (remark.mark, "--root /host" in remark.action) == (NOTE, True)
    torn = Files("/", is_host=True, claims=(), sysctl_claims=(), unread=("/etc/x (denied)",))
    assert "/etc/x (denied)" in only(judge_others(facts(files=torn)), "host-files").message


def test_tuned_and_the_pods_network_are_mentioned() -> None:
    """With what they do not do."""
    files = Files("/", True, (), (), (), "balanced", ("/etc/cni/net.d/05-cilium.conflist",))  # noqa: FBT003 - Files' own order
    found = judge_others(facts(files=files))
    assert only(found, "tuned").message.endswith("it sets nothing that the agent sets")
    assert "05-cilium.conflist" in only(found, "pod-network").message
