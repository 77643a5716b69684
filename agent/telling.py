"""What the loop tells of its passes: log lines, counts, events."""

from collections.abc import Callable

from agent.config import AgentConfig
from agent.settings import STAY
from agent.state import Change, Finding, Outcome, Reason, Report, Severity
from agent.status import Status
from common.telemetry import Log


class Teller:
    """Logs, counts and announces; a verdict only when it is new."""

    def __init__(self, status: Status, log: Log, announce: Callable[[str, str], None]) -> None:
        """Tell these; ``announce`` takes an event's reason and message."""
        self._status = status
        self._log = log
        self._announce = announce
        self._told: tuple[Outcome, tuple[Finding, ...]] | None = None

    def applied(self, change: Change) -> None:
        """Count and tell a write that is no repair."""
        self._status.changed(change, "applied")
        self._log.info(
            "Applied change", target=change.target, before=change.before, after=change.after
        )

    def repaired(self, change: Change, seconds: float | None = None) -> None:
        """Count and tell that drift was put right, in so long where that is known."""
        self._status.repaired(change)
        self._status.changed(change, "applied")
        took = {} if seconds is None else {"durationMilliseconds": round(seconds * 1000, 1)}
        self._log.info(
            "Repaired drift",
            target=change.target,
            before=change.before,
            after=change.after,
            **took,
        )
        within = "".join(f" in {milliseconds} ms" for milliseconds in took.values())
        message = f"{change.target} was {change.before}, put back to {change.after}"
        self._announce("DriftRepaired", message + within)

    def healed(self, report: Report) -> None:
        """Log and announce that connections were ended: their programs' logs may show it."""
        for finding in report.findings:
            if finding.reason is Reason.CONNECTIONS_HEALED:
                self._log.info("Ended early connections", target=finding.target)
                self._announce(finding.reason.value, finding.message)

    def refusals(self, report: Report) -> None:
        """Log each write that the host refused."""
        for finding in report.findings:
            is_write = finding.target.startswith(("link/", "sys"))
            if is_write and finding.check in ("apply", "sysctls"):
                self._log.warning("Could not apply", target=finding.target, err=finding.message)

    def verdict(self, report: Report) -> None:
        """Log what the node is and each finding, once, when it is new."""
        said = (report.outcome, tuple(f for f in report.findings if f.message))
        if said == self._told:
            return
        self._told = said
        links = ",".join(f"{name}={mtu}" for name, mtu in sorted(report.link_mtus.items()))
        self._log.info(
            "Judged the node",
            outcome=report.outcome.value,
            reason=report.reason.value,
            links=links,
        )
        for finding in report.findings:
            tell = self._log.info if finding.severity is Severity.NOTE else self._log.warning
            tell(
                "Found",
                check=finding.check,
                severity=finding.severity.value,
                reason=finding.reason.value,
                target=finding.target,
                detail=finding.message,
            )

    def settings_problem(self, problem: str) -> None:
        """Log and announce why the configuration file is not used, "" when it is again."""
        if not problem:
            self._log.info("The settings can be used again")
            return
        self._log.warning("Could not use the settings", err=problem)
        self._announce(Reason.SETTINGS_INVALID.value, f"{problem}; {STAY}")

    def took_up(self, before: AgentConfig, now: AgentConfig, why: str) -> None:
        """Log that other settings are in force, by which profile and why, and what they change."""
        from agent.profiles import differences  # noqa: PLC0415 - settings seldom change

        self._log.info(
            "Took up settings",
            profile=now.profile_name,
            why=why,
            changed=",".join(item.path for item in differences(before, now)),
            hash=now.hash,
        )
