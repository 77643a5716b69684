"""Certificates from files that somebody else renews."""

import io
import json
import time
from pathlib import Path

import pytest

from common.telemetry import Log
from webhook import pki
from webhook.metrics import Metrics
from webhook.tls_files import FileServing

NAMES = pki.server_names("hook", "a")
NOW = time.time()


class Case:
    """Two files, and what serves them."""

    def __init__(self, folder: Path) -> None:
        """Write a first pair and read it."""
        self.certificate, self.key = folder / "tls.crt", folder / "tls.key"
        self.ca = pki.new_authority(NOW, 9e6)
        self.log = io.StringIO()
        self.metrics = Metrics()
        self.write(self.issue())
        self.serving = self.again()

    def again(self) -> FileServing:
        """Start anew on the files there are."""
        log = Log("json", self.log)
        return FileServing(self.certificate, self.key, "1.2", self.metrics, log)

    def issue(self, seconds: float = 9e5) -> pki.Leaf:
        """Return a new pair."""
        return pki.issue(self.ca, NAMES, NOW, seconds)

    def write(self, leaf: pki.Leaf) -> None:
        """Write both files."""
        self.certificate.write_bytes(leaf.certificate_pem)
        self.key.write_bytes(leaf.key_pem)

    def problem(self) -> str:
        """Return the problem that the metric shows."""
        shown = self.metrics.certificate_problem.collect()
        (family,) = shown
        return "".join(one.labels["problem"] for one in family.samples if one.value)

    def warnings(self) -> list[str]:
        """Return what was logged as a warning."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line["reason"] for line in lines if line["level"] == "warning"]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """Give a pair in files, served."""
    return Case(tmp_path)


def test_a_pair_is_served(case: Case) -> None:
    """At once."""
    assert case.serving.ready() == ""
    assert case.serving.context() is not None
    assert case.problem() == ""


def test_a_new_pair_replaces_the_one_before(case: Case) -> None:
    """By a context of its own; the same pair again changes nothing."""
    first = case.serving.context()
    case.serving.read_again()
    assert case.serving.context() is first
    case.write(case.issue())
    case.serving.read_again()
    assert case.serving.context() is not first


def test_half_a_renewal_leaves_the_pair_before(case: Case) -> None:
    """The certificate is new, its key not yet; then it is."""
    first, new = case.serving.context(), case.issue()
    case.certificate.write_bytes(new.certificate_pem)
    for _ in range(3):
        case.serving.read_again()
    assert case.serving.context() is first
    assert case.serving.ready() == ""
    assert case.problem() == "mismatched"
    (warning,) = case.warnings()
    assert warning.startswith("mismatched: ")
    assert warning.endswith("; the one before stays")
    case.key.write_bytes(new.key_pem)
    case.serving.read_again()
    assert case.serving.context() is not first
    assert case.problem() == ""


@pytest.mark.parametrize(
    ("certificate", "key", "problem"),
    [("", None, "garbled"), ("x", None, "garbled"), (None, "x", "garbled")],
)
def test_files_that_are_no_pair_are_named(
    case: Case, certificate: str | None, key: str | None, problem: str
) -> None:
    """Where there was none before, it is not ready and says why."""
    if certificate is not None:
        case.certificate.write_text(certificate)
    if key is not None:
        case.key.write_text(key)
    serving = case.again()
    assert serving.context() is None
    assert serving.ready().startswith(f"{problem}: {case.certificate} and {case.key}")


def test_files_that_are_missing_are_named(case: Case) -> None:
    """With the file's name."""
    case.key.unlink()
    assert case.again().ready() == f"half-written: {case.key}: No such file or directory"


def test_a_certificate_that_has_expired_is_not_ready(case: Case) -> None:
    """Nobody would take it."""
    case.write(case.issue(-10.0))
    case.serving.read_again()
    assert case.serving.ready().startswith("expired: ")
    assert case.problem() == "expired"


def test_a_certificate_of_the_future_is_named(case: Case) -> None:
    """The API server's clock may be another, so it is served."""
    case.ca = pki.new_authority(NOW + 9e4, 9e6)
    case.write(pki.issue(case.ca, NAMES, NOW + 9e4, 9e5))
    case.serving.read_again()
    assert case.serving.ready() == ""
    assert case.problem() == "future"


def test_files_that_come_back_as_they_were_are_in_order(case: Case) -> None:
    """What was wrong for a moment is not wrong for ever."""
    key = case.key.read_bytes()
    case.key.unlink()
    case.serving.read_again()
    assert case.problem() == "half-written"
    case.key.write_bytes(key)
    case.serving.read_again()
    assert case.problem() == ""
