"""What counts as a change, and watches that leave nothing behind."""

import socket
import threading
from pathlib import Path

import pytest

from agent.host.netlink import attribute, frame
from agent.host.rtmessages import (
    IFF_RUNNING,
    IFF_UP,
    IFINFOMSG,
    IFLA_IFNAME,
    IFLA_MASTER,
    IFLA_MTU,
    RTM_DELLINK,
    RTM_NEWLINK,
)
from agent.host.watch import FileWatch, LinkFingerprints
from tests.lab.held import held

RTM_NEWADDR = 20
RTM_NEWROUTE = 24
AF_BRIDGE = 7


def news(
    mtu: int = 1500,
    flags: int = IFF_UP | IFF_RUNNING,
    name: bytes = b"eth0\0",
    master: int = 0,
    family: int = socket.AF_UNSPEC,
) -> bytes:
    """Return a datagram of the kernel's about link 2."""
    return frame(RTM_NEWLINK, 0, 0, body(mtu, flags, name, master, family))


def body(mtu: int, flags: int, name: bytes, master: int, family: int) -> bytes:
    """Return the body of a link message."""
    return (
        IFINFOMSG.pack(family, 1, 2, flags, 0)
        + attribute(IFLA_IFNAME, name)
        + attribute(IFLA_MTU, mtu.to_bytes(4, "little"))
        + attribute(IFLA_MASTER, master.to_bytes(4, "little"))
    )


@pytest.fixture
def links() -> LinkFingerprints:
    """Return a memory that knows link 2."""
    known = LinkFingerprints()
    assert known.learn(news())
    return known


def test_the_same_news_again_is_no_change(links: LinkFingerprints) -> None:
    """Statistics and wireless chatter repeat a link message as it was."""
    assert not links.learn(news())


@pytest.mark.parametrize(
    "changed",
    [news(mtu=9000), news(flags=IFF_UP), news(flags=0), news(name=b"eth9\0"), news(master=5)],
    ids=["mtu", "carrier", "down", "renamed", "enslaved"],
)
def test_what_matters_is_a_change_once(links: LinkFingerprints, changed: bytes) -> None:
    """MTU, carrier, up, name and master."""
    assert links.learn(changed)
    assert not links.learn(changed)


def test_a_link_that_goes_is_a_change(links: LinkFingerprints) -> None:
    """And so is its return."""
    gone = frame(RTM_DELLINK, 0, 0, body(1500, 0, b"eth0\0", 0, socket.AF_UNSPEC))
    assert links.learn(gone)
    assert links.learn(news())


def test_a_bridges_word_on_its_port_is_not_about_the_link(links: LinkFingerprints) -> None:
    """RTM_DELLINK of family AF_BRIDGE ends the port, not the link."""
    port = frame(RTM_DELLINK, 0, 0, body(1500, 0, b"eth0\0", 0, AF_BRIDGE))
    assert not links.learn(port)
    assert not links.learn(news())


@pytest.mark.parametrize("message_type", [RTM_NEWADDR, RTM_NEWROUTE])
def test_addresses_and_routes_are_changes(links: LinkFingerprints, message_type: int) -> None:
    """They may lead storage over another link."""
    assert links.learn(frame(message_type, 0, 0, bytes(12)))


def test_one_change_in_a_burst_counts(links: LinkFingerprints) -> None:
    """The order inside a datagram does not matter."""
    assert links.learn(news(mtu=9000) + news(mtu=9000))


def test_after_lost_news_all_is_new(links: LinkFingerprints) -> None:
    """The value may have gone there and back unseen."""
    links.forget()
    assert links.learn(news())


def test_a_file_that_appears_late_is_told(tmp_path: Path) -> None:
    """The watch tries again, calls once, and leaves no thread."""
    before = held()
    called = threading.Event()
    with FileWatch(str(tmp_path / "mountinfo"), called.set, retry_seconds=0.01):
        assert not called.wait(0.03)
        (tmp_path / "mountinfo").write_text("")
        assert called.wait(30)
    assert held() - before == set()


def test_a_watch_may_be_closed_twice_while_it_waits(tmp_path: Path) -> None:
    """Closing never hangs, whatever the thread is doing."""
    watch = FileWatch(str(tmp_path / "absent"), lambda: None, retry_seconds=60)
    watch.close()
    watch.close()
