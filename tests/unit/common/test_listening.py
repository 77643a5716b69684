"""Listening sockets and the plain server."""

import http.client
import socket

import pytest

from common.listening import listen
from common.plain_server import PlainServer

HAS_IPV6 = socket.has_dualstack_ipv6()


def reaches(address: str, port: int) -> bool:
    """Return whether somebody listens there."""
    try:
        socket.create_connection((address, port), 5).close()
    except OSError:
        return False
    return True


def test_no_address_is_every_address_of_both_families() -> None:
    """A cluster may have IPv6 only."""
    with listen("", 0) as listener:
        port = listener.getsockname()[1]
        assert reaches("127.0.0.1", port)
        assert reaches("::1", port) == HAS_IPV6


def test_an_address_is_that_address_alone() -> None:
    """A person chose it."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert reaches("127.0.0.1", port)
        assert not reaches("::1", port)


def test_an_answer_in_two_parts_does_not_wait_for_an_acknowledgement() -> None:
    """What is accepted inherits it."""
    with (
        listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname(), 5),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_is_taken_is_an_error() -> None:
    """Not a second listener that gets half the calls."""
    with listen("127.0.0.1", 0) as listener, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", listener.getsockname()[1])


def test_a_route_that_fails_is_answered_with_500() -> None:
    """A dropped connection would tell a probe nothing; the text tells no more than the kind."""

    def fails() -> tuple[int, str, bytes]:
        raise KeyError("secret")

    server = PlainServer({"/a": fails}, "", 0)
    try:
        assert got(server.port, "/a") == (500, b"failed: KeyError\n")
    finally:
        server.close()


def test_the_plain_server_answers_by_path() -> None:
    """With or without a query; what it does not know is 404."""
    server = PlainServer({"/a": lambda: (200, "text/plain", b"yes")}, "", 0)
    try:
        assert got(server.port, "/a?b=c") == (200, b"yes")
        assert got(server.port, "/b")[0] == 404
    finally:
        server.close()


def got(port: int, path: str) -> tuple[int, bytes]:
    """Return status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
