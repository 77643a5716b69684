"""From proofs and refusals to findings, and from findings to one outcome."""

from dataclasses import replace
from errno import EACCES, EINVAL, ENODEV, EPERM, ERANGE, EROFS

import pytest

from agent.ports import HostError
from agent.state import (
    Address,
    Change,
    Endpoint,
    Finding,
    LinkMtuChange,
    LinkName,
    Outcome,
    Proof,
    Reason,
    Severity,
    SysctlChange,
    SysctlKey,
    TcpMemory,
    Verdict,
)
from agent.verdict import (
    Ceiling,
    ceiling_finding,
    failure_finding,
    memory_finding,
    outcome_of,
    proof_finding,
    refusal_ceiling,
    settle_pending,
    smallest_passing,
    way_back_finding,
)
from tests.fakes import FakeHost

ENDPOINT = Endpoint("nfs", Address("10.1.0.10"), 2049, "configuration")
GOOD = Proof(ENDPOINT, Verdict.PASSED, 9000, 9000, 9000, "icmp", Reason.TUNED, ("a", "b"))
SMALL = replace(GOOD, verdict=Verdict.SMALLER, passes_bytes=4000, reason=Reason.BLACK_HOLE)
HOLE = replace(SMALL, verdict=Verdict.BLACK_HOLE, passes_bytes=None)
SERVER = replace(SMALL, passes_bytes=1500, server_mtu_bytes=1500, reason=Reason.SERVER_BELOW_TARGET)
SILENT = replace(
    GOOD, verdict=Verdict.INCONCLUSIVE, passes_bytes=None, reason=Reason.ENDPOINT_SILENT
)
LINK = LinkMtuChange(LinkName("eth1"), 2, 1500, 9000, "mtu")
SYSCTL = SysctlChange(SysctlKey("net.core.rmem_max"), "1", "2", "why")


def finding(severity: Severity, reason: Reason = Reason.TUNED) -> Finding:
    """Return a finding of this severity."""
    return Finding("path", severity, reason, "x", "message")


@pytest.mark.parametrize(
    ("severities", "outcome"),
    [
        ((), Outcome.TUNED),
        ((Severity.NOTE,), Outcome.TUNED),
        ((Severity.NOTE, Severity.DEGRADED), Outcome.DEGRADED),
        ((Severity.PENDING, Severity.DEGRADED), Outcome.PENDING),
        ((Severity.PENDING, Severity.FAILED, Severity.NOTE), Outcome.FAILED),
    ],
)
def test_the_worst_finding_decides(severities: tuple[Severity, ...], outcome: Outcome) -> None:
    """What failed is never hidden by what is unknown or merely small."""
    assert outcome_of(finding(severity) for severity in severities) is outcome


@pytest.mark.parametrize(
    ("proof", "severity", "reason", "words"),
    [
        (SILENT, Severity.PENDING, Reason.ENDPOINT_SILENT, "cannot be proven: a; b"),
        (replace(SILENT, signs=()), Severity.PENDING, Reason.ENDPOINT_SILENT, "no answer"),
        (SERVER, Severity.DEGRADED, Reason.SERVER_BELOW_TARGET, "raise the server's MTU"),
        (
            replace(SMALL, reason=Reason.PATH_BELOW_TARGET),
            Severity.DEGRADED,
            Reason.PATH_BELOW_TARGET,
            "passes 4000 bytes of 9000",
        ),
        (
            replace(SMALL, reason=Reason.ROUTE_BELOW_TARGET),
            Severity.DEGRADED,
            Reason.ROUTE_BELOW_TARGET,
            "9000 bytes pass",
        ),
        (SMALL, Severity.FAILED, Reason.BLACK_HOLE, "(4000 pass)"),
        (HOLE, Severity.FAILED, Reason.BLACK_HOLE, "(no size passes)"),
    ],
)
def test_a_proof_says_what_it_means(
    proof: Proof, severity: Severity, reason: Reason, words: str
) -> None:
    """Silence is pending, an honest limit is degraded, packets lost without a word are failed."""
    found = proof_finding(proof, 9000, 1500)
    assert found is not None
    assert (found.severity, found.reason, found.target) == (severity, reason, "10.1.0.10")
    assert words in found.message


def test_a_good_proof_says_nothing() -> None:
    """Unless the way back could not be shown, which is a note."""
    assert proof_finding(GOOD, 9000, 1500) is None
    assert way_back_finding(GOOD) is None
    assert way_back_finding(replace(SMALL, way_back="unproven")) is None
    found = way_back_finding(replace(GOOD, way_back="unproven"))
    assert found is not None
    assert found.severity is Severity.NOTE


@pytest.mark.parametrize(
    ("change", "number", "severity", "reason"),
    [
        (LINK, EPERM, Severity.FAILED, Reason.NO_PERMISSION),
        (SYSCTL, EACCES, Severity.FAILED, Reason.NO_PERMISSION),
        (SYSCTL, EROFS, Severity.FAILED, Reason.NO_PERMISSION),
        (SYSCTL, EINVAL, Severity.FAILED, Reason.SYSCTL_REFUSED),
        (LINK, ENODEV, Severity.PENDING, Reason.LINK_VANISHED),
        (LINK, EINVAL, Severity.FAILED, Reason.LINK_REFUSED_MTU),
    ],
)
def test_a_refused_write_says_what_is_missing(
    change: Change, number: int, severity: Severity, reason: Reason
) -> None:
    """A permission names what to give; a link that went may come back."""
    found = failure_finding(change, HostError(change.target, number, "the kernel's words"))
    assert (found.severity, found.reason, found.target) == (severity, reason, change.target)


def test_a_missing_permission_is_named() -> None:
    """Links need a capability, sysctls a writable mount."""
    link = failure_finding(LINK, HostError(LINK.target, EPERM, "no"))
    sysctl = failure_finding(SYSCTL, HostError(SYSCTL.target, EROFS, "no"))
    assert "CAP_NET_ADMIN" in link.message
    assert "writable /proc/sys/net" in sysctl.message


def test_an_advisory_sysctl_is_a_note() -> None:
    """Whatever the kernel says to it."""
    for number in (EPERM, EINVAL):
        error = HostError(SYSCTL.target, number, "no")
        assert failure_finding(SYSCTL, error, {SYSCTL.key}).severity is Severity.NOTE
        assert failure_finding(LINK, error, {SYSCTL.key}).severity is Severity.FAILED


@pytest.mark.parametrize(
    ("change", "number", "is_ceiling"),
    [
        (LINK, EINVAL, True),
        (LINK, ERANGE, True),
        (LINK, EPERM, False),
        (replace(LINK, before_bytes=9000, after_bytes=1500), EINVAL, False),
        (SYSCTL, EINVAL, False),
    ],
)
def test_a_size_too_large_is_a_ceiling(change: Change, number: int, *, is_ceiling: bool) -> None:
    """Only a refused raise teaches what a link can have."""
    ceiling = refusal_ceiling(change, HostError(change.target, number, "too large"))
    assert (ceiling is not None) is is_ceiling
    if ceiling:
        assert (ceiling.mtu_bytes, ceiling.reason) == (1500, Reason.LINK_REFUSED_MTU)
        assert ceiling_finding(ceiling).check == "links"


def test_a_ceiling_is_degraded() -> None:
    """The best this node can do, and proven safe."""
    found = ceiling_finding(Ceiling(LinkName("eth1"), 4000, Reason.BLACK_HOLE, "lost"))
    assert (found.check, found.severity, found.target) == ("path", Severity.DEGRADED, "eth1")


@pytest.mark.parametrize(("used", "is_near"), [(79, False), (80, True), (200, True)])
def test_tcp_memory_is_told_when_it_nears_its_limit(used: int, *, is_near: bool) -> None:
    """From four fifths of the threshold at which the kernel shrinks buffers."""
    host = FakeHost(tcp_memory=TcpMemory(used, 100))
    assert (memory_finding(host.observe(())) is not None) is is_near
    assert memory_finding(FakeHost().observe(())) is None


def test_what_stays_unknown_becomes_degraded() -> None:
    """The first reason stays in the message; nothing else changes."""
    note = finding(Severity.NOTE)
    settled = settle_pending((note, finding(Severity.PENDING, Reason.ENDPOINT_SILENT)))
    assert settled[0] is note
    assert (settled[1].severity, settled[1].reason) == (Severity.DEGRADED, Reason.PATH_UNPROVEN)
    assert settled[1].message == "message (EndpointSilent)"


def test_only_paths_that_pass_less_lower_a_link() -> None:
    """A small server is safe by its MSS, a silent one says nothing."""
    own = replace(SMALL, reason=Reason.ROUTE_BELOW_TARGET)
    assert smallest_passing((GOOD, SERVER, SILENT, own)) == {}
    assert smallest_passing((SMALL,)) == {"10.1.0.10": 4000}
    assert smallest_passing((HOLE,)) == {"10.1.0.10": 0}
