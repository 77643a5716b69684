"""What plan and verify found, in the doctor's words: the paths, then all that is left. Pure."""

from collections.abc import Mapping

from agent.doctor.facts import Facts
from agent.doctor.remark import Group, Mark, Remark
from agent.state import Finding, Proof, Reason, Severity, Verdict

ACTIONS: Mapping[Reason, str] = {
    Reason.ENDPOINT_UNRESOLVED: "`getent ahosts NAME` shows what the resolver says",
    Reason.ENDPOINT_UNROUTED: "`ip route get ADDRESS` shows what the kernel thinks",
    Reason.ENDPOINT_SILENT: "is the server up, and does a firewall let TCP port 2049 through?",
    Reason.ENDPOINT_REFUSED: "is the NFS server running, and on this port?",
    Reason.PATH_BELOW_TARGET: "raise the MTU of the routers between, or set mtu to what passes",
    Reason.SERVER_BELOW_TARGET: "on the server: ip link set dev NIC mtu 9000, and keep it there",
    Reason.ROUTE_BELOW_TARGET: "ip route flush cache",
    Reason.BLACK_HOLE: "raise the switches' MTU on the way, or set mtu to what passes",
    Reason.LINK_BELOW_TARGET: "set mtu to the link's maximum to be rid of this note",
    Reason.LINK_NOT_ELIGIBLE: "name the link in links.include if it may be tuned",
    Reason.LINK_REFUSED_MTU: "`dmesg | tail` may hold the driver's reason",
    Reason.NO_PERMISSION: "run it with sudo; in a pod see the missing rights above",
    Reason.MEMORY_GUARD: "raise memory.share or lower memory.connections to allow more",
    Reason.JOURNAL_DAMAGED: "first values of the damaged lines are lost; a reboot starts afresh",
    Reason.JOURNAL_UNWRITABLE: "is the file system of the state folder full, or read-only?",
    Reason.SYSCTL_READ_ONLY: "in a pod mount /proc/sys/net writable; in kind nothing helps",
    Reason.READ_AHEAD_READ_ONLY: "in a pod mount the host's /sys/devices/virtual/bdi writable",
    Reason.MOUNT_SERVICE_UNREACHABLE: "mount version 4, which needs neither, or open the ports",
    Reason.NODE_LABELS_UNKNOWN: "give --node-label KEY=VALUE, or --profile NAME",
    Reason.TARGET_CONTESTED: "see which program's file is named below, and change it there",
}
"""What to do, by reason, where the finding's own sentence does not say it."""

_TOLD_ELSEWHERE = frozenset({Reason.NOT_CONVERGED, Reason.NO_STORAGE_ENDPOINT})


def judge_paths(facts: Facts) -> tuple[Remark, ...]:
    """Return one remark for each storage server's path."""
    if not facts.is_probed and facts.endpoints:
        message = "no packet was sent (--no-probes): whether large packets arrive is not known"
        return (Remark(Group.PATHS, Mark.NOTE, "path", "", message),)
    findings = {item.target: item for item in _path_findings(facts)}
    return tuple(_path(proof, findings) for proof in facts.report.proofs)


def _path_findings(facts: Facts) -> list[Finding]:
    found = [item for item in facts.report.findings if item.check == "path"]
    return sorted(found, key=lambda item: item.severity is not Severity.NOTE)  # the worst is last


def _path(proof: Proof, findings: Mapping[str, Finding]) -> Remark:
    where = proof.endpoint.host
    if where != proof.endpoint.address:
        where += f" ({proof.endpoint.address})"
    finding = findings.get(proof.endpoint.address)
    target = proof.endpoint.address
    if proof.verdict is Verdict.PASSED:
        ways = "there and back" if proof.way_back == "icmp" else "there; the way back is not shown"
        message = f"{where}: packets of {proof.wanted_bytes} bytes pass {ways}"
        mark = Mark.GOOD if proof.way_back == "icmp" else Mark.NOTE
        return Remark(Group.PATHS, mark, "path", target, message)
    message = finding.message if finding else f"{where}: {'; '.join(proof.signs)}"
    action = ACTIONS.get(finding.reason if finding else proof.reason, "")
    return Remark(Group.PATHS, Mark.PROBLEM, "path", target, message, action)


def judge_findings(facts: Facts) -> tuple[Remark, ...]:
    """Return the findings that no other remark tells."""
    proven = {proof.endpoint.address for proof in facts.report.proofs}
    return tuple(
        Remark(
            Group.FINDINGS,
            Mark.NOTE if item.severity is Severity.NOTE else Mark.PROBLEM,
            "finding",
            item.target,
            f"{item.reason.value}: {item.message}",
            ACTIONS.get(item.reason, ""),
        )
        for item in facts.report.findings
        if item.reason not in _TOLD_ELSEWHERE
        and not (item.check == "path" and item.target in proven)
    )
