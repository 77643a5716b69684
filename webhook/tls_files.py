"""
Certificates from two files, as cert-manager or a mounted Secret keeps them; read again by polling.

The kubelet swaps a mounted Secret by a symbolic link and gives no event that can be relied on, so
the files are read whole each time. A pair that cannot be used changes nothing and is named.
"""

import ssl
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from common.telemetry import Log
from webhook.metrics import Metrics
from webhook.tls import new_context

POLL_SECONDS = 5.0


class FileServing:
    """A Serving from a certificate file (the leaf first, PEM) and its key file; also a Part."""

    name = "certificate-files"

    def __init__(
        self, certificate: Path, key: Path, min_version: str, metrics: Metrics, log: Log
    ) -> None:
        """Read the files for the first time; what is wrong with them `ready` says."""
        self._certificate = certificate
        self._key = key
        self._min_version = min_version
        self._metrics = metrics
        self._log = log
        self._context: ssl.SSLContext | None = None
        self._not_after = datetime.min.replace(tzinfo=UTC)
        self._seen: tuple[bytes, bytes] | None = None
        self._problem = "the certificate files were not read yet"
        self.read_again()

    def context(self) -> ssl.SSLContext | None:
        """Return the context of the newest pair that could be used."""
        return self._context

    def ready(self) -> str:
        """Return why no certificate can be served, "" when one is."""
        if self._context is None:
            return self._problem
        if time.time() >= self._not_after.timestamp():
            return f"the certificate in {self._certificate} expired at {self._not_after}"
        return ""

    def run(self, stop: threading.Event) -> None:
        """Look at the files until told to stop."""
        while not stop.wait(POLL_SECONDS):
            self.read_again()

    def read_again(self) -> None:
        """Take up the files when they changed and belong together."""
        try:
            found = self._certificate.read_bytes(), self._key.read_bytes()
        except OSError as error:
            self._refuse(f"{error.filename}: {error.strerror}")
            return
        if found == self._seen:
            return
        self._seen = found
        try:
            context = new_context(self._min_version)
            context.load_cert_chain(self._certificate, self._key)
            leaf = x509.load_pem_x509_certificates(found[0])[0]
        except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
            reason = getattr(error, "reason", None) or type(error).__name__
            self._refuse(f"{self._certificate} and {self._key} cannot be used: {reason}")
            return
        self._context, self._problem = context, ""
        self._not_after = leaf.not_valid_after_utc
        self._metrics.certificate_loads.labels("loaded").inc()
        self._metrics.certificate_not_after.set(self._not_after.timestamp())
        self._log.info("Took up a certificate", notAfter=self._not_after.isoformat())

    def _refuse(self, problem: str) -> None:
        if problem == self._problem:
            return
        self._problem = problem
        self._metrics.certificate_loads.labels("refused").inc()
        keeps = "; the one before stays" if self._context else ""
        self._log.warning("Could not use a certificate", reason=f"{problem}{keeps}")
