"""From facts to the diagnosis: every judge in order, then the next command to type. Pure."""

from collections.abc import Iterator, Sequence

from agent.doctor.facts import Facts
from agent.doctor.judge_agent import judge_journal, judge_node
from agent.doctor.judge_kernel import judge_kernel
from agent.doctor.judge_links import judge_links, judge_sysctls
from agent.doctor.judge_mounts import judge_mounts
from agent.doctor.judge_others import judge_others
from agent.doctor.judge_report import judge_findings, judge_paths
from agent.doctor.judge_rights import judge_rights
from agent.doctor.remark import Diagnosis, Mark, Remark, Step
from agent.state import Reason, Severity

_PROGRAM = "tunegate-agent"


def diagnose(facts: Facts) -> Diagnosis:
    """Return all remarks and the next step."""
    agent_runs = facts.record.holder is not None
    remarks = (
        *judge_rights(facts.rights, facts.state, facts.node),
        *judge_kernel(facts.kernel),
        *judge_links(facts),
        *judge_sysctls(facts),
        *judge_paths(facts),
        *judge_mounts(facts),
        *judge_findings(facts),
        *judge_others(facts),
        *judge_journal(facts),
        *judge_node(facts.node, agent_runs=agent_runs),
    )
    return Diagnosis(remarks, next(_steps(facts, remarks)))


def _steps(facts: Facts, remarks: Sequence[Remark]) -> Iterator[Step]:
    """Yield what to type next: what stands in the way of everything else comes first."""
    bad = {remark.check for remark in remarks if remark.mark is Mark.PROBLEM}
    verify = _typed(_PROGRAM, "verify", facts=facts)
    if {"uid", "net-admin", "proc-sys-net"} & bad:
        yield _rights(facts)
    if not facts.endpoints:
        doctor = _typed(_PROGRAM, "doctor", "--endpoint SERVER", facts=facts)
        yield Step(doctor, "SERVER: its name or address; without one no link can be chosen")
    if facts.report.plan.changes or _has_early_connections(facts):
        yield _apply(facts)
    if not facts.is_probed:
        yield Step(verify, "shows whether large packets arrive")
    for remark in filter(_is_rival, remarks):
        path, _, line = remark.target.rpartition(":")
        yield Step(f"sudo ${{EDITOR:-vi}} +{line} {path}", "another program writes the same value")
    if bad:
        yield Step(verify, "once that is put right: proves it")
    for mount in facts.state.mounts:
        bench = f"{_PROGRAM} bench --file {mount.mount_point}/FILE"
        yield Step(bench, "FILE: a large one; measures what it brought")
    yield Step(verify, "all is well: exit code 0 says so to a script")


def _rights(facts: Facts) -> Step:
    if facts.rights.is_container:
        doctor = _typed(_PROGRAM, "doctor", facts=facts)
        return Step(doctor, "again, once the container has the rights that it lacks")
    return Step(_typed("sudo", _PROGRAM, "doctor", facts=facts), "rights come first")


def _is_rival(remark: Remark) -> bool:
    return remark.mark is Mark.PROBLEM and remark.check in ("mtu-file", "sysctl-file")


def _has_early_connections(facts: Facts) -> bool:
    return any(
        item.reason is Reason.EARLY_CONNECTION and item.severity is not Severity.NOTE
        for item in facts.report.findings
    )


def _apply(facts: Facts) -> Step:
    holder = facts.record.holder
    if holder is not None:
        why = "has the running agent try all again, and end connections opened too early"
        return Step(f"kill -HUP {holder}", why)
    number = len(facts.report.plan.changes)
    what = "makes the change" if number == 1 else f"makes the {number} changes"
    what = what if number else "ends the connections opened too early"
    why = f"{what}, proves the paths, and falls back where one is not safe"
    return Step(_typed(_PROGRAM, "apply", facts=facts), why)


def _typed(*words: str, facts: Facts) -> str:
    return " ".join((*words, *facts.wishes.arguments))
