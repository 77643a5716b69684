"""Names become addresses within a time limit, and addresses need no DNS."""

import socket
import threading

import pytest

from agent.host.resolve import SystemResolver


def forbidden(*_: object, **__: object) -> list[object]:
    """Stand in for getaddrinfo where it must not be asked."""
    raise AssertionError


@pytest.mark.parametrize(
    ("host", "address"),
    [("10.0.0.7", "10.0.0.7"), ("FD00:0::0007", "fd00::7"), ("::ffff:10.0.0.7", "::ffff:10.0.0.7")],
)
def test_address_never_touches_dns(
    host: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address is its own answer, in canonical form."""
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    assert SystemResolver().resolve(host).addresses == (address,)


def test_addresses_are_unique_and_ipv4_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order does not depend on the DNS server's mood; link-local addresses are left out."""
    answers = ("fd00::2", "10.0.0.10", "10.0.0.9", "10.0.0.10", "fe80::1%eth0", "fd00::1")
    entries = [(0, 0, 0, "", (address, 0)) for address in answers]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)
    resolution = SystemResolver().resolve("nfs.example")
    assert resolution.addresses == ("10.0.0.9", "10.0.0.10", "fd00::1", "fd00::2")
    assert not resolution.problem


def test_dead_dns_server_does_not_hold_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the limit there is a problem in words instead of an answer."""
    released = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        released.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    resolution = SystemResolver(limit_seconds=0.05).resolve("nfs.example")
    released.set()
    assert resolution.addresses == ()
    assert "no answer from DNS about nfs.example" in resolution.problem


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 300, "", "bad name", "10.0.0.999"])
def test_unknown_name_is_a_problem_in_words(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is configured, nothing is raised."""

    def unknown(name: str, *_: object, **__: object) -> list[object]:
        if len(name) > 255:
            raise UnicodeError
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    resolution = SystemResolver().resolve(host)
    assert (resolution.host, resolution.addresses) == (host, ())
    assert "cannot resolve" in resolution.problem
