"""The daemons that look after links are known by their sockets."""

from pathlib import Path

import pytest

from agent.host.rivals import daemons_present

UNIX = "Num       RefCount Protocol Flags    Type St Inode Path\n"
UNIX_ROW = "0000000000000000: 00000002 00000000 00010000 0001 01 13790"
NETLINK = "sk               Eth Pid        Groups   Rmem     Wmem\n"
NETLINK_ROW = "00000000f80d0e6c"


def present(folder: Path, unix: str = "", netlink: str = "") -> tuple[str, ...]:
    """Return what is made of these rows."""
    for name in ("net", "fd"):
        (folder / name).mkdir()
    (folder / "net" / "unix").write_text(UNIX + unix)
    (folder / "net" / "netlink").write_text(NETLINK + netlink)
    (folder / "fd" / "3").symlink_to("socket:[77]")
    return daemons_present(str(folder))


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/run/NetworkManager/private-dhcp", ("NetworkManager",)),
        ("/var/run/NetworkManager/private", ("NetworkManager",)),
        ("/run/systemd/netif/io.systemd.Network", ("systemd-networkd",)),
        ("/run/systemd/private", ()),
        ("/home/a/run/NetworkManager/private", ()),
        ("", ()),
    ],
)
def test_a_unix_socket_tells_its_daemon(tmp_path: Path, path: str, names: tuple[str, ...]) -> None:
    """Whatever connection it is of, and where /var/run is the same folder."""
    assert present(tmp_path, unix=f"{UNIX_ROW} {path}\n" * 2) == names


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ("0   1          00000551 0        12", ("systemd-networkd",)),
        ("0   1          00040dd1 0        12", ("systemd-networkd",)),
        ("0   1          00000411 0        12", ()),
        ("0   812        00000551 0        12", ()),
        ("0   1          00000551 0        77", ()),
        ("16  1          00000551 0        12", ()),
        ("0", ()),
        ("x   812        y", ()),
    ],
)
def test_networkd_is_known_by_what_it_subscribes_to(
    tmp_path: Path, row: str, names: tuple[str, ...]
) -> None:
    """Its unit's groups, bound by process 1; neither a routing daemon nor this very agent."""
    assert present(tmp_path, netlink=f"{NETLINK_ROW} {row}\n") == names


def test_both_are_told(tmp_path: Path) -> None:
    """In one order, once each."""
    unix = f"{UNIX_ROW} /run/NetworkManager/private\n" * 2
    found = present(tmp_path, unix=unix, netlink=f"{NETLINK_ROW} 0 1 00000551 0\n")
    assert found == ("NetworkManager", "systemd-networkd")


def test_what_cannot_be_read_is_nobody(tmp_path: Path) -> None:
    """A hint is not worth an error."""
    assert daemons_present(str(tmp_path / "absent")) == ()
