"""A host on which all is well, for the tests of the doctor to take something from."""

from agent.doctor.facts import Device, Facts, File, Files, Kernel, NodeSeen, Record, Rights, Wishes
from agent.doctor.remark import Mark, Remark
from agent.plan import Desired, plan
from agent.state import (
    Address,
    Endpoint,
    Finding,
    LinkName,
    Outcome,
    Proof,
    Reason,
    Report,
    Severity,
    Verdict,
)
from agent.sysctls import DEFAULT_ROWS, MemoryGuard
from common.record import replace
from tests.fakes import FakeHost

SERVER = Endpoint("nfs.example", Address("10.0.0.5"), 2049, "configuration")
MAC = "5e:7a:00:00:00:02"
HIGH = {row.key: row.text for row in DEFAULT_ROWS}
ETH1 = LinkName("eth1")


def file(path: str = "/f", *, readable: bool = True, writable: bool = True) -> File:
    """Return a file that may be used, or not."""
    problem = "" if readable else "No such file or directory"
    return File(path, is_readable=readable, is_writable=writable, problem=problem)


def rights(**changes: object) -> Rights:
    """Return those of root on the host itself."""
    made = Rights(
        uid=0,
        groups=(0,),
        effective=1 << 12,
        apparmor="unconfined",
        selinux="",
        is_selinux_enforcing=False,
        is_container=False,
        is_first_namespace=True,
        is_init_namespace=True,
        ping_groups="0 2147483647",
        proc_sys_net=file("/proc/sys/net"),
        mountinfo=file("/proc/1/mountinfo"),
        mountstats=file("/proc/1/mountstats"),
        read_ahead=file("/sys/devices/virtual/bdi"),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # fields of Rights


def host(mtu: int = 9000, **details: object) -> FakeHost:
    """Return a node whose eth1 leads to storage; its sysctls are as wanted."""
    made = FakeHost()
    made.add("eth0")
    made.add("eth1", mtu, **details)
    made.route("10.0.0.5", "eth1")
    made.sysctls |= HIGH
    return made


def facts(node: FakeHost | None = None, wanted: int = 9000, **changes: object) -> Facts:
    """Return the facts of this host, probed; ``changes`` are fields of Facts."""
    node = node or host()
    state = node.observe([SERVER.address])
    desired = Desired(wanted, DEFAULT_ROWS, MemoryGuard(64, 0.125), endpoints=(SERVER,))
    planned = plan(desired, state)
    proofs = (proof(),)
    made = Facts(
        wishes=Wishes(wanted, DEFAULT_ROWS, ("--endpoint", "nfs.example")),
        state=state,
        report=Report(Outcome.TUNED, planned.findings, planned, proofs, {}),
        is_probed=True,
        endpoints=(SERVER,),
        carriers={ETH1: (ETH1,)},
        left_alone=planned.left_alone,
        devices={ETH1: Device(ETH1, "mlx5_core", MAC, 100000, {"tso": True, "gro": True})},
        rights=rights(),
        kernel=Kernel("6.12.111-cloud-amd64", destroys_sockets=True, told_by="/boot/config"),
        files=Files("/", is_host=True, claims=(), sysctl_claims=(), unread=()),
        record=Record("/run/tunegate/journal.jsonl", (), (), 4711),
        node=NodeSeen("gpu-0", labels={}, condition=("True", "Tuned", "All is as wanted.")),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # fields of Facts


def proof(verdict: Verdict = Verdict.PASSED, reason: Reason = Reason.TUNED) -> Proof:
    """Return a proof of the server's path."""
    passes = 9000 if verdict is Verdict.PASSED else 1500
    return Proof(SERVER, verdict, 9000, passes, 9000, "icmp", reason, ("9000 bytes went",))


def with_finding(severity: Severity, reason: Reason, check: str = "links") -> Facts:
    """Return the facts of a host with one finding, about nothing else."""
    finding = Finding(check, severity, reason, "link/eth1/mtu", "this is so")
    base = facts()
    return replace(base, report=replace(base.report, findings=(finding,)))


def marks(remarks: tuple[Remark, ...]) -> dict[str, Mark]:
    """Return the mark by check; of several of one check the last."""
    return {remark.check: remark.mark for remark in remarks}


def only(remarks: tuple[Remark, ...], check: str) -> Remark:
    """Return the one remark of this check."""
    (found,) = [remark for remark in remarks if remark.check == check]
    return found
