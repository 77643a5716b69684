"""TLS: versions, certificates from files, and what happens while there is none."""

import shutil
import socket
import ssl
from pathlib import Path

import pytest

from tests.lab.pki import Authority
from tests.webhook_server.caller import calling, encoded
from tests.webhook_server.running import Webhook, await_that, running


def versions(webhook: Webhook, only: ssl.TLSVersion) -> str | None:
    """Return the version of a handshake with only this one."""
    webhook.context.minimum_version = ssl.TLSVersion.TLSv1_2
    webhook.context.maximum_version = webhook.context.minimum_version = only
    with calling(webhook) as caller:
        return caller.stream.version()


def test_the_newest_version_is_preferred_and_1_2_taken(tmp_path: Path) -> None:
    """Some managed control planes sit behind old proxies."""
    with running(tmp_path) as webhook:
        with calling(webhook) as caller:
            assert caller.stream.version() == "TLSv1.3"
        assert versions(webhook, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"


def test_only_1_3_is_taken_where_that_is_asked_for(tmp_path: Path) -> None:
    """The other side hears of it in the handshake."""
    with running(tmp_path, {"TLS_MIN_VERSION": "1.3"}) as webhook:
        with pytest.raises(ssl.SSLError):
            versions(webhook, ssl.TLSVersion.TLSv1_2)
        assert versions(webhook, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"


def test_plain_http_on_the_serving_port_is_no_reason_to_fall_over(webhook: Webhook) -> None:
    """Nor is a scan."""
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", webhook.port), 10) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert b"HTTP" not in plain.recv(1000)
    with calling(webhook) as caller:
        assert caller.post(encoded()).status == 200


def test_a_handshake_that_does_not_end_is_cut_off(webhook: Webhook) -> None:
    """It holds a descriptor, and no protocol sees it yet."""
    with socket.create_connection(("127.0.0.1", webhook.port), 20) as plain:
        plain.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert plain.recv(1000) == b""


def test_without_a_certificate_it_waits_and_says_so(tmp_path: Path) -> None:
    """Readiness names the file; a handshake fails; the certificate is taken up when it comes."""
    missing = tmp_path / "later.crt"
    with running(tmp_path, {"TLS_CERTIFICATE_FILE": missing}) as webhook:
        status, text = webhook.ask("/readyz")
        assert (status, str(missing) in text) == (503, True)
        with pytest.raises(ssl.SSLError), calling(webhook):
            pass
        shutil.copy(tmp_path / "pki" / "webhook.crt", missing)
        wait_until_ready(webhook)
        with calling(webhook) as caller:
            assert caller.post(encoded()).status == 200


def wait_until_ready(webhook: Webhook) -> None:
    """Wait for the next look at the files."""
    await_that(lambda: webhook.ask("/readyz")[0] == 200, "it is ready")


def test_a_new_pair_is_taken_up_and_half_a_pair_is_not(tmp_path: Path) -> None:
    """New handshakes get the new one, old connections stay, and a mismatch changes nothing."""
    with running(tmp_path) as webhook, calling(webhook) as old:
        first = old.stream.getpeercert(binary_form=True)
        other = Authority.create(tmp_path / "other").server("other", ["localhost"])
        files = tmp_path / "pki"
        shutil.copy(other.key, files / "webhook.key")
        loads = "tunegate_webhook_certificate_loads_total"
        await_that(lambda: webhook.metric(loads, result="refused") > 0, "half a pair is seen")
        with calling(webhook) as still:
            assert still.stream.getpeercert(binary_form=True) == first
        shutil.copy(other.certificate, files / "webhook.crt")
        webhook.context.load_verify_locations(tmp_path / "other" / "ca.crt")
        await_that(lambda: webhook.metric(loads, result="loaded") > 1, "the new pair is loaded")
        with calling(webhook) as new:
            assert new.stream.getpeercert(binary_form=True) != first
        assert old.post(encoded()).status == 200
