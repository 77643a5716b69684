"""From proofs and failures to findings and one outcome. Pure."""

from collections.abc import Container, Iterable, Mapping, Sequence
from errno import EACCES, EINVAL, ENODEV, EPERM, ERANGE, EROFS

from agent.mount_plan import refused_finding
from agent.ports import Contact, HostError
from agent.readahead import ReadAheadChange
from agent.state import (
    Change,
    Endpoint,
    Finding,
    HostState,
    LinkMtuChange,
    LinkName,
    Outcome,
    Proof,
    Reason,
    Severity,
    SysctlChange,
    Verdict,
)
from common.record import dataclass, replace

TCP_MEMORY_NEAR = 0.8
"""Part of the pressure threshold from which TCP's buffers count as nearly used up."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The largest MTU that a link was found able to use, and what showed it."""

    link: LinkName
    mtu_bytes: int
    reason: Reason
    message: str


def outcome_of(findings: Iterable[Finding]) -> Outcome:
    """Return the outcome that the worst finding decides."""
    seen = {finding.severity for finding in findings}
    for severity, outcome in (
        (Severity.FAILED, Outcome.FAILED),
        (Severity.PENDING, Outcome.PENDING),
        (Severity.DEGRADED, Outcome.DEGRADED),
    ):
        if severity in seen:
            return outcome
    return Outcome.TUNED


def ceiling_finding(ceiling: Ceiling, *, is_auto: bool = False) -> Finding:
    """
    Return what a link held below its target means.

    Where the MTU is auto, a path that says what it carries is the target; one that loses packets
    without a word is a fault all the same.
    """
    is_target = is_auto and ceiling.reason is Reason.PATH_BELOW_TARGET
    return Finding(
        check="links" if ceiling.reason is Reason.LINK_REFUSED_MTU else "path",
        severity=Severity.NOTE if is_target else Severity.DEGRADED,
        reason=ceiling.reason,
        target=ceiling.link,
        message=ceiling.message,
    )


def proof_finding(proof: Proof, link_mtu_bytes: int, first_bytes: int) -> Finding | None:
    """
    Return what a path proof at the link's MTU means for the node, None when all is well.

    Args:
        proof: the probe of one endpoint.
        link_mtu_bytes: MTU of its link during the probe.
        first_bytes: the MTU below which the link is never brought.
    """
    where = f"{proof.endpoint.host} port {proof.endpoint.port}"
    if proof.verdict is Verdict.PASSED:
        return None
    if proof.verdict is Verdict.INCONCLUSIVE:
        message = f"the path to {where} cannot be proven: {_signs(proof)}"
        return _path(proof, Severity.PENDING, proof.reason, message)
    if proof.reason is Reason.SERVER_BELOW_TARGET:
        message = f"{where} announces MTU {proof.server_mtu_bytes}, the link has {link_mtu_bytes}"
        return _path(proof, Severity.DEGRADED, proof.reason, f"{message}; raise the server's MTU")
    if proof.reason is Reason.ROUTE_BELOW_TARGET:
        message = f"{link_mtu_bytes} bytes pass to {where}, but this node's own route holds TCP to "
        message += f"{proof.passes_bytes}: learned, which ends within ten minutes or by `ip route "
        message += "flush cache`, or set, as `ip route get` shows"
        return _path(proof, Severity.DEGRADED, proof.reason, message)
    if proof.reason is Reason.PATH_BELOW_TARGET:
        message = f"the path to {where} passes {proof.passes_bytes} bytes of {link_mtu_bytes}"
        return _path(proof, Severity.DEGRADED, proof.reason, message)
    message = (
        f"packets of {link_mtu_bytes} bytes to or from {where} are lost without a word "
        f"({_passes(proof)}); link's first MTU {first_bytes}"
    )
    return _path(proof, Severity.FAILED, Reason.BLACK_HOLE, message)


def _passes(proof: Proof) -> str:
    return f"{proof.passes_bytes} pass" if proof.passes_bytes else "no size passes"


def _signs(proof: Proof) -> str:
    return "; ".join(proof.signs) or "no answer"


def _path(proof: Proof, severity: Severity, reason: Reason, message: str) -> Finding:
    return Finding("path", severity, reason, proof.endpoint.address, message)


def disturbed(proof: Proof) -> Proof:
    """Return a proof taken back because its link changed meanwhile; one that passed stands."""
    if proof.verdict not in (Verdict.SMALLER, Verdict.BLACK_HOLE):
        return proof
    return replace(
        proof,
        verdict=Verdict.INCONCLUSIVE,
        passes_bytes=None,
        reason=Reason.PATH_UNPROVEN,
        signs=("its link went away or got another MTU during the proof",),
    )


def way_back_finding(proof: Proof) -> Finding | None:
    """Return a note where packets from the server to the node could not be shown to pass."""
    if proof.verdict is not Verdict.PASSED or proof.way_back != "unproven":
        return None
    message = f"full-size packets from {proof.endpoint.host} to this node could not be shown"
    return _path(proof, Severity.NOTE, Reason.PATH_UNPROVEN, message)


def failure_finding(change: Change, error: HostError, advisory: Container[str] = ()) -> Finding:
    """Return what a refused write means for the node: a note for an advisory sysctl."""
    finding = _refused(change, error)
    if isinstance(change, SysctlChange) and change.key in advisory:
        return replace(finding, check="sysctls", severity=Severity.NOTE)
    return finding


def is_gone(change: Change, error: HostError) -> bool:
    """Return whether a write was refused only because its mount was unmounted: no harm."""
    return isinstance(change, ReadAheadChange) and error.errno == ENODEV


def _refused(change: Change, error: HostError) -> Finding:
    if isinstance(change, ReadAheadChange):
        may_not = error.errno in (EPERM, EACCES, EROFS)
        return refused_finding(change, error.detail, may_not=may_not)
    if error.errno in (EPERM, EACCES, EROFS):
        need = "CAP_NET_ADMIN" if isinstance(change, LinkMtuChange) else "a writable /proc/sys/net"
        message = f"may not write {change.target}: {error.detail}; the agent needs {need}"
        return Finding("apply", Severity.FAILED, Reason.NO_PERMISSION, change.target, message)
    if isinstance(change, SysctlChange):
        message = f"{change.key} = {change.after} was refused: {error.detail}"
        return Finding("sysctls", Severity.FAILED, Reason.SYSCTL_REFUSED, change.target, message)
    if error.errno == ENODEV:
        message = f"{change.link} went away while it was being tuned"
        return Finding("links", Severity.PENDING, Reason.LINK_VANISHED, change.target, message)
    message = f"{change.link} refused MTU {change.after}: {error.detail}"
    return Finding("apply", Severity.FAILED, Reason.LINK_REFUSED_MTU, change.target, message)


def refusal_ceiling(change: Change, error: HostError) -> Ceiling | None:
    """Return the ceiling that a too-large MTU shows, None for every other refusal."""
    if not isinstance(change, LinkMtuChange) or error.errno not in (EINVAL, ERANGE):
        return None
    if change.after_bytes < change.before_bytes:
        return None
    message = f"{change.link} refused MTU {change.after_bytes} and stays at {change.before_bytes}"
    return Ceiling(
        change.link, change.before_bytes, Reason.LINK_REFUSED_MTU, f"{message}: {error.detail}"
    )


def memory_finding(state: HostState) -> Finding | None:
    """Return a note when TCP's buffers near the threshold at which the kernel shrinks them."""
    memory = state.tcp_memory
    if memory is None or memory.used_pages < TCP_MEMORY_NEAR * memory.pressure_pages:
        return None
    return Finding(
        check="memory",
        severity=Severity.NOTE,
        reason=Reason.TCP_MEMORY_PRESSURE,
        target="net.ipv4.tcp_mem",
        message=f"TCP holds {memory.used_pages} pages of buffers, the kernel begins to shrink "
        f"them at {memory.pressure_pages}; lower memory.share or raise net.ipv4.tcp_mem",
    )


def settle_pending(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings with what stayed unknown for too long counted as degraded."""
    return tuple(
        replace(
            finding,
            severity=Severity.DEGRADED,
            reason=Reason.PATH_UNPROVEN,
            message=f"{finding.message} ({finding.reason.value})",
        )
        if finding.severity is Severity.PENDING
        else finding
        for finding in findings
    )


def smallest_passing(proofs: Iterable[Proof]) -> Mapping[str, int]:
    """
    Return, by endpoint address, the size that passes where the path passes less than asked.

    Where only an end of the path, the server or this node's own route, keeps packets smaller, all
    is safe as it is, and a smaller link would outlast the limit.
    """
    at_an_end = (Reason.SERVER_BELOW_TARGET, Reason.ROUTE_BELOW_TARGET)
    return {
        proof.endpoint.address: proof.passes_bytes or 0
        for proof in proofs
        if proof.verdict in (Verdict.SMALLER, Verdict.BLACK_HOLE) and proof.reason not in at_an_end
    }


def silent_proof(endpoint: Endpoint, wanted_bytes: int, contact: Contact) -> Proof:
    """Return the proof of a server that did not even take a connection."""
    refused = "refused" in contact.detail
    reason = Reason.ENDPOINT_REFUSED if refused else Reason.ENDPOINT_SILENT
    return Proof(
        endpoint=endpoint,
        verdict=Verdict.INCONCLUSIVE,
        wanted_bytes=wanted_bytes,
        passes_bytes=None,
        server_mtu_bytes=None,
        way_back="",
        reason=reason,
        signs=(contact.detail,),
    )


def path_ceiling(name: LinkName, mtu: int, tried: int, proofs: Sequence[Proof]) -> Ceiling:
    """Return the ceiling that proofs at the MTU ``tried`` show, and what to do about it."""
    worst = min(
        (proof for proof in proofs if proof.endpoint.address in smallest_passing(proofs)),
        key=lambda proof: proof.passes_bytes or 0,
    )
    reason = worst.reason if worst.verdict is Verdict.SMALLER else Reason.BLACK_HOLE
    message = (
        f"packets of {tried} bytes do not pass to {worst.endpoint.host}, so {name} has MTU {mtu}: "
        "raise the MTU of what lies between, then send the agent a SIGHUP or reboot the node"
    )
    return Ceiling(name, mtu, reason, message)
