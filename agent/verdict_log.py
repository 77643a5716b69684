"""Tells the log what a pass found, once for each new verdict: steady state is silent."""

from agent.state import Finding, Outcome, Report, Severity
from common.telemetry import Log


class VerdictLog:
    """Remembers the verdict that was told last."""

    def __init__(self, log: Log) -> None:
        """Tell this log; nothing was told yet."""
        self._log = log
        self._told: tuple[Outcome, tuple[Finding, ...]] | None = None

    def tell(self, report: Report) -> None:
        """Log the verdict and its findings when they are new."""
        said = (report.outcome, tuple(item for item in report.findings if item.message))
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
