"""What the host writes, and what it is refused, on the real kernel."""

import errno
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent.host.linux import LinuxHost
from agent.host.paths import HostPaths
from agent.host.rtnetlink import RouteNetlink
from agent.ports import HostError
from agent.state import Link, LinkMtuChange, LinkName, SysctlChange, SysctlKey
from tests.netns.inside import RMEM_MAX, TCP_RMEM, Namespace, named

pytestmark = pytest.mark.lab


def mtu_change(link: Link, after_bytes: int) -> LinkMtuChange:
    """Return a change of a link's MTU."""
    return LinkMtuChange(link.name, link.index, link.mtu_bytes, after_bytes, "test")


def rmem_change(after: str) -> SysctlChange:
    """Return a change of tcp_rmem."""
    return SysctlChange(TCP_RMEM, "", after, "test")


def test_an_mtu_is_set(here: Namespace, host: LinuxHost) -> None:
    """The next snapshot shows it."""
    host.apply(mtu_change(named(host.observe([]), "eth0"), 9000))
    assert named(host.observe([]), "eth0").mtu_bytes == 9000


def refuse(host: LinuxHost, change: LinkMtuChange | SysctlChange) -> HostError:
    """Apply a change that must be refused."""
    with pytest.raises(HostError) as caught:
        host.apply(change)
    assert caught.value.target == change.target
    return caught.value


def test_above_the_maximum_the_kernel_says_so(here: Namespace, host: LinuxHost) -> None:
    """In its own words; nothing changes."""
    error = refuse(host, mtu_change(named(host.observe([]), "eth0"), 70000))
    assert (error.errno, error.detail) == (errno.EINVAL, "mtu greater than device maximum")
    assert named(host.observe([]), "eth0").mtu_bytes == 1500


def overwrite(
    here: Namespace, monkeypatch: pytest.MonkeyPatch, times: int, mtu_bytes: int = 1500
) -> None:
    """Have another program set eth0 to this right after each of our first writes."""
    set_mtu, left = RouteNetlink.set_mtu, [times]

    def overwritten(netlink: RouteNetlink, index: int, wanted_bytes: int) -> None:
        set_mtu(netlink, index, wanted_bytes)
        if left[0]:
            left[0] -= 1
            here.ip(f"link set eth0 mtu {mtu_bytes}")

    monkeypatch.setattr(RouteNetlink, "set_mtu", overwritten)


def test_a_rival_between_write_and_reading_back_is_no_refusal(
    here: Namespace, host: LinuxHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel took the value: it is written once more, and stands."""
    overwrite(here, monkeypatch, times=2)
    host.apply(mtu_change(named(host.observe([]), "eth0"), 9000))
    assert named(host.observe([]), "eth0").mtu_bytes == 9000


def test_a_rival_that_is_always_faster_is_no_refusal_either(
    here: Namespace, host: LinuxHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has put back what was there before: drift, which the loop finds and counts."""
    overwrite(here, monkeypatch, times=100)
    host.apply(mtu_change(named(host.observe([]), "eth0"), 9000))
    assert named(host.observe([]), "eth0").mtu_bytes == 1500


def test_an_mtu_that_becomes_another_is_a_refusal(
    here: Namespace, host: LinuxHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a driver that takes less than it was told."""
    overwrite(here, monkeypatch, times=100, mtu_bytes=4000)
    error = refuse(host, mtu_change(named(host.observe([]), "eth0"), 9000))
    assert (error.errno, error.detail) == (errno.EINVAL, "set 9000 and it is now 4000")


@pytest.mark.parametrize(("kind", "code"), [("macvlan", errno.EINVAL), ("vlan", errno.ERANGE)])
def test_above_the_link_below_is_refused(
    here: Namespace, host: LinuxHost, kind: str, code: int
) -> None:
    """Each kind with its own errno, and no words."""
    if not here.can_make(f"link add x0 link eth0 type {kind}{' id 5' * (kind == 'vlan')}"):
        pytest.skip(f"this kernel has no {kind}")
    assert refuse(host, mtu_change(named(host.observe([]), "x0"), 9000)).errno == code


def test_a_link_that_vanished_is_refused(here: Namespace, host: LinuxHost) -> None:
    """ENODEV."""
    link = named(host.observe([]), "eth0")
    here.ip("link del eth0")
    error = refuse(host, mtu_change(link, 9000))
    assert (error.errno, "vanished or was re-created" in error.detail) == (errno.ENODEV, True)


def test_a_link_re_created_under_the_same_name_is_left_alone(
    here: Namespace, host: LinuxHost
) -> None:
    """Another index is another link; so is another name under the same index."""
    link = named(host.observe([]), "eth0")
    here.ip("link del eth0")
    here.ip("link add eth0 type veth peer name eth1")
    assert refuse(host, mtu_change(link, 9000)).errno == errno.ENODEV
    renamed = replace(named(host.observe([]), "eth1"), name=LinkName("eth7"))
    assert refuse(host, mtu_change(renamed, 9000)).errno == errno.ENODEV
    assert {named(host.observe([]), name).mtu_bytes for name in ("eth0", "eth1")} == {1500}


def test_without_the_capability_it_is_refused(here: Namespace, host: LinuxHost) -> None:
    """EPERM without CAP_NET_ADMIN, and observing still works."""
    program = (
        "from agent.host.linux import *\n"
        "host = LinuxHost(HostPaths(), ())\n"
        "link = next(link for link in host.observe([]).links if link.name == 'eth0')\n"
        "try: host.apply(LinkMtuChange(link.name, link.index, 1500, 9000, 'test'))\n"
        "except HostError as error: print(error.errno, error.detail)\n"
    )
    done = subprocess.run(
        ["setpriv", "--bounding-set=-net_admin", sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == "1 Operation not permitted\n"


def test_a_setting_is_written(here: Namespace, host: LinuxHost) -> None:
    """And read back with single spaces, whatever the white space of the request."""
    host.apply(rmem_change("4096  131072\t16777216"))
    assert host.observe([]).sysctls[TCP_RMEM].value == "4096 131072 16777216"


def test_a_partly_applied_vector_is_told_and_put_back(here: Namespace, host: LinuxHost) -> None:
    """The kernel keeps the fields before the bad one; revert would not know them as ours."""
    before = host.observe([]).sysctls[TCP_RMEM].value
    error = refuse(host, rmem_change("5000 90000 3000000000"))
    assert error.errno == errno.EINVAL
    mixture = f"5000 90000 {before.split()[2]}"
    said = f"Invalid argument; partly applied as {mixture!r}, and is put back"
    assert error.detail == said
    assert host.observe([]).sysctls[TCP_RMEM].value == before


def test_one_number_for_a_vector_is_told(here: Namespace, host: LinuxHost) -> None:
    """The kernel takes it for the first field and says nothing."""
    assert "it is now '8192 " in refuse(host, rmem_change("8192")).detail


def test_a_child_namespace_cannot_write_rmem_max(here: Namespace, host: LinuxHost) -> None:
    """It is there since 6.11, read-only, and known to be so before anybody tries."""
    setting = host.observe([]).sysctls.get(RMEM_MAX)
    if setting is None:
        pytest.skip("this kernel hides rmem_max from a child namespace")
    assert not setting.is_writable
    change = SysctlChange(RMEM_MAX, setting.value, "16777216", "test")
    assert refuse(host, change).errno in (errno.EACCES, errno.EPERM, errno.EINVAL)


def test_an_absent_setting_cannot_be_written(here: Namespace, host: LinuxHost) -> None:
    """ENOENT."""
    change = SysctlChange(SysctlKey("net.ipv4.tcp_mem"), "", "1 2 3", "test")
    assert refuse(host, change).errno == errno.ENOENT


def test_a_bad_key_is_refused_at_once() -> None:
    """Before anything is observed."""
    with pytest.raises(HostError):
        LinuxHost(HostPaths(), [SysctlKey("kernel.panic")])
