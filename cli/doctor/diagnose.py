"""From facts to the diagnosis: every judge, in the order of the headings. Pure."""

from dataclasses import dataclass

from cli.doctor.facts import Facts
from cli.doctor.finding import Finding, Group, Severity, count
from cli.doctor.judge_autoscalers import judge_autoscalers
from cli.doctor.judge_daemons import judge_daemons, judge_pods
from cli.doctor.judge_nodes import judge_nodes
from cli.doctor.judge_pools import judge_pools
from cli.doctor.judge_rules import judge_rights, judge_rules
from cli.doctor.judge_tunegate import judge_tunegate

_ORDER = (Severity.PROBLEM, Severity.NOTE, Severity.GOOD)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, by heading, the worst of each first."""

    findings: tuple[Finding, ...]

    @property
    def problems(self) -> int:
        """How many there are."""
        return count(self.findings, Severity.PROBLEM)

    @property
    def notes(self) -> int:
        """How many there are."""
        return count(self.findings, Severity.NOTE)


def diagnose(facts: Facts) -> Diagnosis:
    """Return all findings."""
    found = (
        *judge_tunegate(facts),
        *judge_pools(facts),
        *judge_nodes(facts),
        *judge_autoscalers(facts),
        *judge_daemons(facts),
        *judge_pods(facts),
        *judge_rules(facts),
        *judge_rights(facts),
    )
    groups = list(Group)
    ordered = sorted(found, key=lambda one: (groups.index(one.group), _ORDER.index(one.severity)))
    return Diagnosis(tuple(ordered))
