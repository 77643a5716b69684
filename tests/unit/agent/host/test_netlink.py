"""The netlink conversation: whole dumps, readable refusals, nobody else's answers."""

import errno
import struct
from collections.abc import Callable, Iterator

import pytest

from agent.host.netlink import Netlink, attribute, attributes, frame, messages, refusal
from tests.unit.agent.host.recordings import datagrams

DONE = 3
ERROR = 2
NEWLINK = 16
GETLINK = 18
INTERRUPTED = 0x10

Reply = Callable[[int], bytes]


class ScriptedWire:
    """A kernel that gives prepared answers; each is made from the last request's sequence."""

    def __init__(self, *replies: Reply | OSError) -> None:
        """Keep the answers in order."""
        self.replies: Iterator[Reply | OSError] = iter(replies)
        self.sent: list[bytes] = []

    def send(self, datagram: bytes) -> None:
        """Keep the request."""
        self.sent.append(datagram)

    def receive(self) -> bytes:
        """Give or raise the next answer."""
        reply = next(self.replies)
        if isinstance(reply, OSError):
            raise reply
        (_, _, _, sequence, _) = struct.unpack_from("=IHHII", self.sent[-1])
        return reply(sequence)

    def close(self) -> None:
        """Nothing is open."""


def answer(body: bytes, flags: int = 0) -> Reply:
    """Return a reply with one link message."""
    return lambda sequence: frame(NEWLINK, flags, sequence, body)


def done(flags: int = 0, code: int = 0) -> Reply:
    """Return the end of a dump."""
    return lambda sequence: frame(DONE, flags, sequence, struct.pack("=i", -code))


def test_a_dump_is_collected_over_several_datagrams() -> None:
    """Bodies of all datagrams come back, in order."""
    netlink = Netlink(ScriptedWire(answer(b"one1"), answer(b"two2"), done()))
    assert netlink.dump(GETLINK, b"") == [b"one1", b"two2"]


def test_an_interrupted_dump_is_asked_again() -> None:
    """A dump that a change ran through is thrown away."""
    wire = ScriptedWire(answer(b"old1", INTERRUPTED), done(), answer(b"new1"), done())
    assert Netlink(wire).dump(GETLINK, b"") == [b"new1"]
    assert len(wire.sent) == 2


def test_an_interruption_told_only_at_the_end_counts() -> None:
    """NLM_F_DUMP_INTR may stand on NLMSG_DONE alone."""
    wire = ScriptedWire(answer(b"old1"), done(INTERRUPTED), answer(b"new1"), done())
    assert Netlink(wire).dump(GETLINK, b"") == [b"new1"]


def test_a_dump_that_never_settles_is_an_error() -> None:
    """It gives up with EINTR rather than return a mixture."""
    netlink = Netlink(ScriptedWire(*[done(INTERRUPTED)] * 10))
    with pytest.raises(OSError, match="interrupted by changes") as caught:
        netlink.dump(GETLINK, b"")
    assert caught.value.errno == errno.EINTR


def test_lost_answers_are_asked_for_again() -> None:
    """ENOBUFS makes a new dump, and the late half of the first one is not mixed in."""
    lost = OSError(errno.ENOBUFS, "No buffer space available")
    late: Reply = lambda sequence: frame(NEWLINK, 0, sequence - 1, b"late")  # noqa: E731
    netlink = Netlink(ScriptedWire(answer(b"old1"), lost, late, answer(b"new1"), done()))
    assert netlink.dump(GETLINK, b"") == [b"new1"]


def test_other_errors_of_the_socket_are_raised() -> None:
    """Only ENOBUFS is worth another try."""
    netlink = Netlink(ScriptedWire(OSError(errno.EBADF, "Bad file descriptor")))
    with pytest.raises(OSError, match="Bad file descriptor"):
        netlink.dump(GETLINK, b"")


@pytest.mark.parametrize("message_type", [DONE, ERROR])
def test_a_refused_dump_is_an_error(message_type: int) -> None:
    """The kernel says so in NLMSG_ERROR, or late in NLMSG_DONE."""
    body = struct.pack("=i", -errno.EPERM) + bytes(16)
    netlink = Netlink(ScriptedWire(lambda sequence: frame(message_type, 0, sequence, body)))
    with pytest.raises(PermissionError):
        netlink.dump(GETLINK, b"")


def test_a_request_skips_answers_to_others() -> None:
    """An answer with another sequence number is not ours."""
    stale: Reply = lambda sequence: frame(NEWLINK, 0, sequence + 7, b"else")  # noqa: E731
    assert Netlink(ScriptedWire(stale, answer(b"mine"))).request(GETLINK, b"") == b"mine"


def test_an_acknowledgement_is_an_empty_answer() -> None:
    """NLMSG_ERROR with code 0 means done."""
    wire = ScriptedWire(lambda sequence: frame(ERROR, 0, sequence, bytes(20)))
    assert Netlink(wire).request(GETLINK, b"") == b""


def test_a_refusal_has_the_kernels_own_words() -> None:
    """The extended acknowledgement is preferred to strerror."""
    ((_, flags, _, body),) = messages(datagrams("refused-mtu-too-large")[0])
    error = refusal(flags, body)
    assert error is not None
    assert (error.errno, error.strerror) == (errno.EINVAL, "mtu greater than device maximum")


def test_a_refusal_without_words_has_strerror() -> None:
    """A macvlan above its parent gets no text from the kernel."""
    ((_, flags, _, body),) = messages(datagrams("refused-macvlan")[0])
    error = refusal(flags, body)
    assert error is not None
    assert (error.errno, error.strerror) == (errno.EINVAL, "Invalid argument")


def test_words_after_an_echoed_request_are_found() -> None:
    """A kernel without NETLINK_CAP_ACK repeats the whole request before the words."""
    request = frame(GETLINK, 0, 1, b"request!")
    words = attribute(1, b"no such thing\0")
    error = refusal(0x200, struct.pack("=i", -errno.ENODEV) + request + words)
    assert error is not None
    assert error.strerror == "no such thing"


@pytest.mark.parametrize("cut", [1, 15, 17, 40])
def test_a_cut_datagram_ends_quietly(cut: int) -> None:
    """Half a message is no message, and nothing loops."""
    whole = frame(NEWLINK, 0, 1, bytes(24))
    assert list(messages(whole[: len(whole) - cut])) == []


def test_attributes_come_back_as_they_were_packed() -> None:
    """Padding, flags in the type and an impossible length are handled."""
    body = attribute(3, b"eth0\0") + attribute(18 | 0x8000, b"nested") + b"\x01\x00\x09\x00"
    assert attributes(body) == {3: b"eth0\0", 18: b"nested"}
