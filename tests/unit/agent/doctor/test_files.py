"""What other programs' files claim, read from whole hosts' trees."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.doctor.claims import Claim, Program, mtu_of
from agent.doctor.ini_files import tuned_claims
from agent.doctor.line_files import sysctl_claims
from agent.doctor.read_files import HostFiles
from agent.doctor.sources import SOURCES, SYSCTL_SOURCES, UNITS
from agent.doctor.yaml_files import netplan_claims

TREES = Path("tests/data/host_files")


def shown(claims: tuple[Claim, ...]) -> list[tuple[str, str, str, str]]:
    """Return (place, program, value, links) of each claim about an MTU."""
    return [
        (item.place, item.program.value, item.value, " ".join(item.links))
        for item in claims
        if item.target == "mtu"
    ]


def test_ubuntu_is_read_with_lines() -> None:
    """Netplan, cloud-init version 1, networkd with a drop-in that wins; no route's MTU."""
    files = HostFiles(str(TREES / "ubuntu")).files(is_host=True)
    netplan, cloud = "/etc/netplan/50-cloud-init.yaml", "/etc/cloud/cloud.cfg.d/90-network.cfg"
    networkd = "/run/systemd/network/10-netplan"
    assert shown(files.claims) == [
        (f"{netplan}:14", "netplan", "1500", "5e:7a:00:00:00:01 eth0"),
        (f"{netplan}:25", "netplan", "1500", "5E:7A:00:00:00:02 eth1"),
        (f"{cloud}:10", "cloud-init", "1500", "eth1 5e:7a:00:00:00:02"),
        (f"{networkd}-eth0.network:9", "systemd-networkd", "dhcp", "eth0"),
        (
            "/etc/systemd/network/10-netplan-eth1.network.d/jumbo.conf:2",
            "systemd-networkd",
            "9000",
            "5e:7a:00:00:00:02 eth1",
        ),
    ]
    assert files.cni == ("/etc/cni/net.d/05-cilium.conflist",)
    assert files.unread == ()


def test_sysctl_files_come_in_the_order_in_which_they_count() -> None:
    """By name over all folders; keys with slashes are keys with dots; white space is folded."""
    files = HostFiles(str(TREES / "ubuntu")).files(is_host=True)
    tuning = "/etc/sysctl.d/99-gpu-network-tuning.conf"
    ours = [item for item in files.sysctl_claims if "conf" not in item.target]
    assert [(item.place, item.target, item.value) for item in ours] == [
        ("/usr/lib/sysctl.d/50-default.conf:4", "net.ipv4.tcp_rmem", "4096 87380 4194304"),
        ("/usr/lib/sysctl.d/50-default.conf:5", "net.ipv4.tcp_mtu_probing", "0"),
        (f"{tuning}:2", "net.core.rmem_max", "16777216"),
        (f"{tuning}:3", "net.ipv4.tcp_rmem", "4096 87380 16777216"),
        (f"{tuning}:4", "net.ipv4.tcp_wmem", "4096 65536 16777216"),
    ]


def test_red_hats_files_are_read() -> None:
    """Keyfiles (an MTU of 0 says nothing), conf.d, ifcfg; TuneD's profile after its parent."""
    files = HostFiles(str(TREES / "rhel")).files(is_host=True)
    connections = "/etc/NetworkManager/system-connections"
    assert shown(files.claims) == [
        (f"{connections}/storage.nmconnection:8", "NetworkManager", "1500", "eth1"),
        ("/etc/NetworkManager/conf.d/20-mtu.conf:3", "NetworkManager", "1500", ""),
        ("/etc/sysconfig/network-scripts/ifcfg-eth1:4", "network-scripts", "9000", "eth1"),
    ]
    assert files.tuned_profile == "network-throughput"
    parent, child = (
        f"/usr/lib/tuned/{name}/tuned.conf"
        for name in ("throughput-performance", "network-throughput")
    )
    assert [(item.place, item.target, item.value) for item in files.sysctl_claims] == [
        (f"{parent}:9", "net.core.rmem_max", "8388608"),
        (f"{parent}:10", "net.ipv4.tcp_rmem", "4096 87380 16777216"),
        (f"{parent}:14", "mtu", "1500"),
        (f"{child}:10", "net.ipv4.tcp_rmem", "4096 131072 8388608"),
        (f"{child}:11", "net.ipv4.tcp_wmem", ">4096 16384 8388608"),
    ]


def test_debians_files_are_read() -> None:
    """ifupdown, dhclient within an interface, a .link file in KiB; a masked file is none."""
    files = HostFiles(str(TREES / "debian")).files(is_host=True)
    assert shown(files.claims) == [
        ("/etc/network/interfaces:8", "ifupdown", "1500", "eth1"),
        ("/etc/dhcp/dhclient.conf:4", "dhclient", "1500", "eth1"),
        ("/etc/systemd/network/10-storage.link:6", "systemd-udevd", "9K", f"{MAC} eth1"),
    ]
    assert {item.place for item in files.sysctl_claims} == {
        "/etc/sysctl.d/99-sysctl.conf:1",
        "/etc/sysctl.conf:1",
    }


MAC = "5e:7a:00:00:00:02"


def test_a_file_hides_those_of_its_name_further_down(tmp_path: Path) -> None:
    """As systemd has it: /etc over /run over /usr/lib."""
    for folder, value in (("usr/lib", 1500), ("etc", 9000)):
        path = tmp_path / folder / "systemd/network/10-a.network"
        path.parent.mkdir(parents=True)
        path.write_text(f"[Match]\nName=eth1\n[Link]\nMTUBytes={value}\n")
    (claim,) = HostFiles(str(tmp_path)).files(is_host=True).claims
    assert (claim.value, claim.path) == ("9000", "/etc/systemd/network/10-a.network")


def test_links_do_not_lead_out_of_the_root(tmp_path: Path) -> None:
    """An absolute link is the host's, as seen below its root; one to nowhere is no file."""
    (tmp_path / "etc/sysctl.d").mkdir(parents=True)
    (tmp_path / "real.conf").write_text("net.ipv4.tcp_mtu_probing = 1\n")
    (tmp_path / "etc/sysctl.d/10-a.conf").symlink_to("/real.conf")
    (tmp_path / "etc/sysctl.d/20-b.conf").symlink_to("/etc/sysctl.d/20-b.conf")
    files = HostFiles(str(tmp_path)).files(is_host=True)
    assert [item.place for item in files.sysctl_claims] == ["/etc/sysctl.d/10-a.conf:1"]


def test_what_is_no_yaml_is_named(tmp_path: Path) -> None:
    """The others are read all the same."""
    folder = tmp_path / "etc/netplan"
    folder.mkdir(parents=True)
    (folder / "10-bad.yaml").write_text("network: [unclosed\n")
    (folder / "20-good.yaml").write_text("network: {ethernets: {eth1: {mtu: 1500}}}\n")
    files = HostFiles(str(tmp_path)).files(is_host=True)
    assert [item.place for item in files.claims] == ["/etc/netplan/20-good.yaml:1"]
    (unread,) = files.unread
    assert unread.startswith("/etc/netplan/10-bad.yaml (")


def test_aliases_do_not_lead_into_the_deep(tmp_path: Path) -> None:
    """A million ways to one node are one node, and one that holds itself is an end."""
    laughs = "a0: &a0 {mtu: 1500}\n"
    laughs += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20))
    (claim,) = netplan_claims(laughs, "/f")
    assert claim.value == "1500"
    assert netplan_claims("a: &a [*a]\n", "/f") == ()
    with pytest.raises(ValueError, match="recursion"):
        netplan_claims("[" * 100_000, "/f")


PARSERS = (*(source.parse for source in (*SOURCES, *SYSCTL_SOURCES)), tuned_claims)
SETTINGS = st.from_regex(r"(\[?\w+\]?[=: ]+[\w:.]*;?\n)+")


@settings(max_examples=40, deadline=None)
@given(text=st.text() | SETTINGS)
def test_no_text_makes_a_parser_fall(text: str) -> None:
    """It gives claims on lines that are there, or says that the file makes no sense."""
    claims = [claim for unit in UNITS for claim in unit.parse(text, "/etc/f", text)]
    for parse in dict.fromkeys(PARSERS):
        with suppress(ValueError):
            claims += parse(text, "/etc/f")
    assert all(1 <= claim.line <= text.count("\n") + 1 for claim in claims)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Only regular files are opened."""
    import os  # noqa: PLC0415 - for this one call

    (tmp_path / "etc/sysctl.d").mkdir(parents=True)
    os.mkfifo(tmp_path / "etc/sysctl.d/10-a.conf")
    assert HostFiles(str(tmp_path)).files(is_host=True).sysctl_claims == ()


def test_a_containers_own_files_are_not_taken_for_the_hosts() -> None:
    """Nothing is read where the host's root is not there."""
    files = HostFiles(str(TREES / "ubuntu")).files(is_host=False)
    assert (files.claims, files.sysctl_claims, files.is_host) == ((), (), False)


@pytest.mark.parametrize(
    ("text", "bytes_"), [("9000", 9000), ("9K", 9216), ("1M", 1048576), ("auto", None), ("", None)]
)
def test_an_mtu_may_have_a_suffix(text: str, bytes_: int | None) -> None:
    """As systemd writes sizes, to the base of 1024."""
    assert mtu_of(text) == bytes_


def test_netplans_overrides_may_take_the_mtu_from_dhcp() -> None:
    """Only where they say so."""
    text = "network:\n  ethernets:\n    any:\n      match: {name: 'ens*'}\n"
    text += "      dhcp4-overrides:\n        use-mtu: true\n"
    (claim,) = netplan_claims(text, "/etc/netplan/a.yaml")
    assert (claim.value, claim.links, claim.line) == ("dhcp", ("ens*",), 6)
    assert netplan_claims(text.replace("true", "false"), "/etc/netplan/a.yaml") == ()


def test_a_claim_knows_its_links() -> None:
    """By glob or by hardware address in any case; without either it may be any."""
    by_mac = Claim(Program.NETPLAN, "/f", 1, "mtu", "1500", ("5E:7A:00:00:00:02",))
    assert by_mac.concerns("eth1", "5e:7a:00:00:00:02")
    assert not by_mac.concerns("eth1", "5e:7a:00:00:00:01")
    by_name = Claim(Program.NETPLAN, "/f", 1, "mtu", "1500", ("en*", "eth1"))
    assert by_name.concerns("eth1", "")
    assert not by_name.concerns("eth2", "")
    assert Claim(Program.DHCLIENT, "/f", 1, "mtu", "1500").concerns("eth9", "")


def test_sysctls_of_other_trees_are_passed_over() -> None:
    """So are comments and lines without a value."""
    text = "# net.ipv4.tcp_rmem = 1\n;net.a.b = 1\nvm.swappiness = 1\nnet.ipv4.tcp_rmem\n"
    assert sysctl_claims(text, "/f") == ()
