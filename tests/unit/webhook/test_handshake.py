"""A replica asked what it serves, over loopback."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from webhook import pki
from webhook.handshake import why_not_verified
from webhook.tls import load_pair, new_context

NAMES = pki.server_names("hook", "a")
NOW = time.time()
YEARS = 3e8


@contextmanager
def replica(leaf: pki.Leaf) -> Iterator[tuple[str, int]]:
    """Give the address of one that serves this certificate to one caller."""
    context = new_context("1.2")
    load_pair(context, leaf.certificate_pem, leaf.key_pem)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            try:
                with context.wrap_socket(connection, server_side=True) as served:
                    served.recv(1)
            except OSError:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()
        thread.join()


def test_a_chain_of_the_ca_is_verified() -> None:
    """Under the Service's name."""
    ca = pki.new_authority(NOW, YEARS)
    with replica(pki.issue(ca, NAMES, NOW, YEARS)) as address:
        assert why_not_verified(address, "hook.a.svc", ca.certificate, NOW) == ""


@pytest.mark.parametrize(
    ("name", "is_other", "words"),
    [
        ("hook.a.svc", True, "serves another chain"),
        ("hook.b.svc", False, "serves another chain: Hostname mismatch"),
    ],
)
def test_any_other_chain_is_not(name: str, words: str, *, is_other: bool) -> None:
    """Another CA's, or one for another Service."""
    ca, other = (pki.new_authority(NOW, YEARS) for _ in range(2))
    with replica(pki.issue(other if is_other else ca, NAMES, NOW, YEARS)) as address:
        assert words in why_not_verified(address, name, ca.certificate, NOW)


@pytest.mark.parametrize("jump", [-1e9, 1e9])
def test_validity_is_judged_by_the_time_that_is_given(jump: float) -> None:
    """The API server's, not this machine's."""
    ca = pki.new_authority(NOW + jump, YEARS)
    leaf = pki.issue(ca, NAMES, NOW + jump, YEARS)
    with replica(leaf) as address:
        assert why_not_verified(address, "hook.a.svc", ca.certificate, NOW + jump) == ""
    with replica(leaf) as address:
        assert "not valid now" in why_not_verified(address, "hook.a.svc", ca.certificate, NOW)


def test_a_replica_that_is_gone_cannot_be_asked() -> None:
    """It is told as such, not as another chain."""
    ca = pki.new_authority(NOW, YEARS)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    assert "cannot be asked" in why_not_verified(address, "hook.a.svc", ca.certificate, NOW)


def test_a_pair_that_does_not_fit_is_refused_by_the_fresh_context() -> None:
    """So it never comes near the one that serves."""
    ca = pki.new_authority(NOW, YEARS)
    one, two = (pki.issue(ca, NAMES, NOW, YEARS) for _ in range(2))
    with pytest.raises(ssl.SSLError):
        load_pair(new_context("1.2"), one.certificate_pem, two.key_pem)
