"""
Certificates from two files, as cert-manager or a mounted Secret keeps them; read again by polling.

The kubelet swaps a mounted Secret by a symbolic link and gives no event that can be relied on, so
the files are read whole each time, and what was read is what is checked and served. A pair that
cannot be used changes nothing: the one before stays, and the problem is named.
"""

import ssl
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from common.telemetry import Log
from webhook.certificates import Period, Problem
from webhook.metrics import Metrics
from webhook.pki import PairError, read_leaf
from webhook.tls import load_pair, new_context

POLL_SECONDS: Final = 5.0


class FileServing:
    """A Serving from a certificate file (the leaf first, PEM) and its key file; also a Part."""

    name = "certificate-files"

    def __init__(
        self, certificate: Path, key: Path, min_version: str, metrics: Metrics, log: Log
    ) -> None:
        """Read the files for the first time; what is wrong with them `ready` says."""
        self._certificate, self._key = certificate, key
        self._min_version = min_version
        self._metrics, self._log = metrics, log
        self._context: ssl.SSLContext | None = None
        self._period: Period | None = None
        self._seen: tuple[bytes, bytes] | None = None
        self._why = "the certificate files were not read yet"
        self.read_again()

    def context(self) -> ssl.SSLContext | None:
        """Return the context of the newest pair that could be used."""
        return self._context

    def ready(self) -> str:
        """Return why no certificate can be served, "" when one is."""
        if self._period is None:
            return self._why
        if time.time() >= self._period.ends:
            ended = datetime.fromtimestamp(self._period.ends, UTC).isoformat()
            return f"{Problem.EXPIRED}: the certificate in {self._certificate} expired at {ended}"
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
            self._refuse(Problem.HALF_WRITTEN, f"{error.filename}: {error.strerror}")
            return
        if found != self._seen:
            self._seen = found
            self._take_up(*found)
        elif self._period and not self._why:
            self._show_period(self._period)

    def _take_up(self, certificate: bytes, key: bytes) -> None:
        where = f"{self._certificate} and {self._key}"
        try:
            leaf = read_leaf(certificate, key)
            context = new_context(self._min_version)
            load_pair(context, certificate, key)
        except PairError as error:
            self._refuse(error.problem, f"{where} cannot be used: {error}")
            return
        except OSError as error:  # an ssl.SSLError is one
            reason = getattr(error, "reason", None) or type(error).__name__
            self._refuse(Problem.REFUSED, f"{where} cannot be used: {reason}")
            return
        self._context, self._period, self._why = context, leaf.period, ""
        self._metrics.certificate_loads.labels("loaded").inc()
        self._metrics.certificate_not_after.set(leaf.period.ends)
        self._show_period(leaf.period)
        ends = datetime.fromtimestamp(leaf.period.ends, UTC).isoformat()
        self._log.info("Took up a certificate", notAfter=ends)

    def _refuse(self, problem: Problem, why: str) -> None:
        """Name what is wrong, once; the pair before is served on, the files are read anew."""
        self._seen = None
        self._metrics.show_certificate_problem(problem)
        why = f"{problem}: {why}"
        if why != self._why:
            self._why = why
            self._metrics.certificate_loads.labels("refused").inc()
            keeps = "; the one before stays" if self._context else ""
            self._log.warning("Could not use a certificate", reason=f"{why}{keeps}")

    def _show_period(self, period: Period) -> None:
        now = time.time()
        late = Problem.EXPIRED if now >= period.ends else None
        self._metrics.show_certificate_problem(Problem.FUTURE if now < period.begins else late)
