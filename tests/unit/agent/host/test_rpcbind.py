"""rpcbind asked over loopback: an answer by the RFC, and every way of not answering."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from agent.host import rpcbind
from agent.host.rpcbind import mount_service_problem
from agent.state import Address

V4, V6 = Address("127.0.0.1"), Address("::1")


@contextmanager
def listening(address: str = V4) -> Iterator[tuple[socket.socket, int]]:
    """Give a listening socket and its port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as sock:
        sock.bind((address, 0))
        sock.listen()
        yield sock, int(sock.getsockname()[1])


@contextmanager
def answering(reply: bytes | None, address: str = V4) -> Iterator[tuple[int, list[bytes]]]:
    """Give the port of an rpcbind that answers one call with these bytes, and what it was asked."""
    asked: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        sock.settimeout(5.0)
        with sock.accept()[0] as peer:
            asked.append(peer.recv(4096))
            if reply is not None:
                peer.sendall(reply)
                peer.recv(1)

    with listening(address) as (sock, port):
        thread = threading.Thread(target=serve, args=(sock,))
        thread.start()
        yield port, asked
        thread.join()


def record(results: bytes, *, status: int = 0, xid: int = 1) -> bytes:
    """Return an accepted reply in one record."""
    body = struct.pack("!6I", xid, 1, 0, 0, 0, status) + results
    return struct.pack("!I", 0x80000000 | len(body)) + body


def port_number(port: int) -> bytes:
    """Return GETPORT's result."""
    return struct.pack("!I", port)


def test_a_server_with_both_services_is_fine() -> None:
    """Rpcbind tells mountd's port, and mountd takes a connection."""
    with listening() as (_, mountd), answering(record(port_number(mountd))) as (port, asked):
        assert mount_service_problem(V4, port) == ""
    call = struct.unpack("!15I", asked[0])
    assert call[1:7] == (1, 0, 2, 100000, 2, 3)
    assert call[11:] == (100005, 3, socket.IPPROTO_TCP, 0)


def test_an_ipv6_server_is_asked_for_an_address() -> None:
    """GETPORT knows only IPv4; the answer is a universal address."""
    with ExitStack() as stack:
        _, mountd = stack.enter_context(listening(V6))
        text = f"::.{mountd >> 8}.{mountd & 255}".encode()
        results = struct.pack("!I", len(text)) + text + bytes(-len(text) % 4)
        port, asked = stack.enter_context(answering(record(results), V6))
        assert mount_service_problem(V6, port) == ""
    assert struct.unpack_from("!6I", asked[0], 8)[:5] == (0, 2, 100000, 4, 3)[:5]
    assert b"tcp6" in asked[0]


def test_a_mountd_that_is_not_registered_is_named() -> None:
    """Port 0, or an empty address."""
    with answering(record(port_number(0))) as (port, _):
        assert mount_service_problem(V4, port) == f"rpcbind (port {port}) knows of no mountd"
    with answering(record(port_number(0)), V6) as (port, _):
        assert mount_service_problem(V6, port) == f"rpcbind (port {port}) knows of no mountd"


def test_a_mountd_behind_a_firewall_is_named() -> None:
    """Rpcbind answers, the port that it names does not."""
    with listening() as (closed, mountd):
        closed.close()
        with answering(record(port_number(mountd))) as (port, _):
            problem = mount_service_problem(V4, port)
    assert problem == f"mountd (port {mountd}) cannot be reached: connection refused"


def test_an_rpcbind_that_is_not_there_is_named() -> None:
    """Nobody listens."""
    with listening() as (closed, port):
        closed.close()
        problem = mount_service_problem(V4, port)
    assert problem == f"rpcbind (port {port}) cannot be reached: connection refused"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "does not answer"),
        (None, "ends the connection"),
        (record(b""), "gives a short answer"),
        (record(b"", status=2), "refuses to answer"),
        (record(port_number(1), xid=9), "refuses to answer"),
        (struct.pack("!I", 0x80000004) + b"abcd", "gives a short answer"),
        (struct.pack("!I", 0xFFFFFFFF), "gives an answer that is too long"),
    ],
)
def test_nonsense_is_no_answer(
    reply: bytes | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in words that end the sentence."""
    monkeypatch.setattr(rpcbind, "ANSWER_SECONDS", 0.1)
    with answering(reply) as (port, _):
        assert mount_service_problem(V4, port) == f"rpcbind (port {port}) {words}"


@pytest.mark.parametrize("text", [b"::.x.1", b"nothing"])
def test_an_address_that_is_none_is_no_answer(text: bytes) -> None:
    """A universal address ends in two numbers."""
    results = struct.pack("!I", len(text)) + text + bytes(-len(text) % 4)
    with answering(record(results), V6) as (port, _):
        assert "an address that makes no sense" in mount_service_problem(V6, port)
