"""Sysctl keys become paths safely, and files become settings."""

import errno
from pathlib import Path

import pytest

from agent.host.sysctl import read_sysctl, sysctl_path, write_sysctl
from agent.ports import HostError
from agent.state import Sysctl, SysctlKey

RMEM = SysctlKey("net.ipv4.tcp_rmem")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Return a folder with one setting, as /proc/sys/net looks."""
    (tmp_path / "ipv4").mkdir()
    (tmp_path / "ipv4" / "tcp_rmem").write_text("4096\t131072\t6291456\n")
    return str(tmp_path)


def test_a_key_is_a_path_below_the_folder() -> None:
    """The net. prefix is the folder itself: in a container it is mounted elsewhere."""
    assert sysctl_path("/host/net", RMEM) == "/host/net/ipv4/tcp_rmem"


@pytest.mark.parametrize(
    "key",
    [
        "kernel.panic",
        "net",
        "net.",
        "net..ipv4",
        "net.ipv4/../../kernel/panic",
        "net.ipv4.conf.eth0/100.rp_filter",
        "net.ipv4.tcp rmem",
        "net.ipv4.tcp_rmem\n",
        "net.ipv4.t\u00e9",
        "",
    ],
)
def test_a_bad_key_never_becomes_a_path(key: str) -> None:
    """Nothing outside the folder can be named."""
    with pytest.raises(HostError) as caught:
        sysctl_path("/proc/sys/net", SysctlKey(key))
    assert caught.value.errno == errno.EINVAL


def test_white_space_is_folded(folder: str) -> None:
    """The kernel writes tabs; we keep single spaces."""
    assert read_sysctl(folder, RMEM) == Sysctl("4096 131072 6291456", is_writable=True)


def test_mode_bits_decide_what_is_writable(folder: str) -> None:
    """Root may open anything, but not write a 0444 sysctl."""
    (Path(folder) / "ipv4" / "tcp_rmem").chmod(0o444)
    setting = read_sysctl(folder, RMEM)
    assert setting is not None
    assert not setting.is_writable


@pytest.mark.parametrize("key", ["net.ipv4.absent", "net.absent.x", "net.ipv4.tcp_rmem.x"])
def test_an_absent_key_is_absent(folder: str, key: str) -> None:
    """No file, no folder, or a file where a folder should be."""
    assert read_sysctl(folder, SysctlKey(key)) is None


def test_writing_an_absent_key_is_refused(folder: str) -> None:
    """ENOENT, and nothing is created."""
    with pytest.raises(HostError) as caught:
        write_sysctl(folder, SysctlKey("net.ipv4.absent"), "1")
    assert caught.value.errno == errno.ENOENT
    assert not (Path(folder) / "ipv4" / "absent").exists()


def test_a_folder_in_place_of_a_setting_is_an_error(folder: str) -> None:
    """What is there and cannot be read is told, with the target's name."""
    with pytest.raises(HostError) as caught:
        read_sysctl(folder, SysctlKey("net.ipv4"))
    assert (caught.value.errno, caught.value.target) == (errno.EISDIR, "sysctl/net.ipv4")


def test_a_write_is_read_back(folder: str) -> None:
    """A file that keeps a tail of the old text (the kernel would not) is not believed."""
    write_sysctl(folder, RMEM, "4096 131072 16777216")
    with pytest.raises(HostError, match="it is now"):
        write_sysctl(folder, RMEM, "1")
