"""What a report means for the gate and for the next pass. Pure; seconds are monotonic."""

from collections.abc import Mapping

from agent.config import AgentConfig
from agent.mode import Mode
from agent.node import Wanted
from agent.state import Finding, LinkName, Outcome, Reason, Report, Severity, Verdict
from agent.verdict import outcome_of, settle_pending
from common.record import dataclass, replace

FIRST_RETRY_SECONDS = 1.0
MAX_RETRY_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """When the gate opens on less than tuned."""

    on_degraded: str
    on_failed: str
    deadline_seconds: float
    retry_seconds: float

    @classmethod
    def of(cls, config: AgentConfig) -> "GatePolicy":
        """Return the configured policy."""
        return cls(
            config.gate_on_degraded,
            config.gate_on_failed,
            config.gate_deadline_seconds,
            config.probe_retry_seconds,
        )

    def opens(self, outcome: Outcome, waited_seconds: float) -> bool:
        """Return whether the gate may open, this long after the agent started."""
        if self.deadline_seconds and waited_seconds >= self.deadline_seconds:
            return True
        return {
            Outcome.TUNED: True,
            Outcome.DEGRADED: self.on_degraded == "open",
            Outcome.FAILED: self.on_failed == "open",
            Outcome.PENDING: False,
        }[outcome]


def settled(report: Report, pending_seconds: float, policy: GatePolicy) -> Report:
    """Return the report with what stayed unknown for the whole retry time counted as degraded."""
    if report.outcome is not Outcome.PENDING or pending_seconds < policy.retry_seconds:
        return report
    findings = settle_pending(report.findings)
    return replace(report, findings=findings, outcome=outcome_of(findings))


def with_findings(report: Report, more: tuple[Finding, ...]) -> Report:
    """Return the report with more findings and the outcome that follows."""
    findings = (*report.findings, *more)
    return replace(report, findings=findings, outcome=outcome_of(findings))


def contested_finding(target: str, value: str, hint: str, backoff_seconds: float) -> Finding:
    """Return what it means that somebody keeps writing over a target."""
    return Finding(
        check="drift",
        severity=Severity.DEGRADED,
        reason=Reason.TARGET_CONTESTED,
        target=target,
        message=f"another program keeps {target} at {value}{hint}; left alone for "
        f"{backoff_seconds:.0f} s, stop that program or give it the same value",
    )


def retry_seconds(attempt: int) -> float:
    """Return the wait before this attempt (0 is the first retry): doubling, 15 s at most."""
    return float(min(FIRST_RETRY_SECONDS * 2 ** min(attempt, 10), MAX_RETRY_SECONDS))


def wanted_of(report: Report, config: AgentConfig, boot_id: str, waited_seconds: float) -> Wanted:
    """Return what the Node shall say after this report, this long after the agent started."""
    return Wanted(
        outcome=report.outcome,
        reason=report.reason.value,
        message=f"{message_of(report)}{of_profile(config)}",
        boot_id=boot_id,
        profile_hash=config.hash,
        link_mtus=report.link_mtus,
        open_gate=GatePolicy.of(config).opens(report.outcome, waited_seconds),
        taint_keys=config.gate_taints,
        beat_seconds=config.node_heartbeat_seconds,
        profile=config.profile,
    )


def of_profile(config: AgentConfig) -> str:
    """Return what a message adds where the settings are not the file's top level."""
    return f"; profile {config.profile}" if config.profile else ""


def held(mode: Mode, message: str, config: AgentConfig, boot_id: str) -> Wanted:
    """Return what the Node shall say while a person keeps the agent from tuning."""
    return replace(
        unjudged(config, boot_id),
        reason=held_reason(mode).value,
        message=message,
        open_gate=config.gate_on_standby == "open",
        beat_seconds=config.node_heartbeat_seconds,
        is_held=True,
    )


def held_reason(mode: Mode) -> Reason:
    """Return the reason that the Node shows while a person keeps the agent from tuning."""
    return Reason.STANDING_BY if mode is Mode.OFF else Reason.OBSERVING


def unjudged(config: AgentConfig, boot_id: str) -> Wanted:
    """Return what the Node shall say while this boot has no verdict yet."""
    nothing: Mapping[LinkName, int] = {}
    return Wanted(
        outcome=None,
        reason=Reason.NOT_JUDGED_YET.value,
        message="the node was started again; its network is being tuned",
        boot_id=boot_id,
        profile_hash=config.hash,
        link_mtus=nothing,
        open_gate=False,
        taint_keys=config.gate_taints,
    )


def message_of(report: Report) -> str:
    """Return one sentence for the condition: what decided the outcome, or what was proven."""
    deciding = [item for item in report.findings if item.severity.value == report.outcome.value]
    settings = [item.message for item in report.findings if item.check == "settings"]
    if deciding:
        return "; ".join(dict.fromkeys((*(item.message for item in deciding), *settings)))
    links = ", ".join(f"{name} has MTU {mtu}" for name, mtu in sorted(report.link_mtus.items()))
    hosts = [item.endpoint.host for item in report.proofs if item.verdict is Verdict.PASSED]
    proven = f"full-size packets pass to {', '.join(dict.fromkeys(hosts))}" if hosts else ""
    said = [part for part in (links, proven) if part] or ["as wanted"]
    return "; ".join((*said, *settings))
