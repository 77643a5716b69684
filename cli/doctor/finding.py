"""One finding of the doctor's: its name, how bad it is, what it is about, what cures it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """How bad it is; one problem is enough for exit code 1."""

    GOOD = "good"
    NOTE = "note"
    PROBLEM = "problem"


class Group(StrEnum):
    """The headings, in the order in which they are shown; the values stand in the JSON."""

    TUNEGATE = "tunegate"
    POOLS = "pools"
    NODES = "nodes"
    AUTOSCALERS = "autoscalers"
    BEHIND = "behind"
    RULES = "rules"
    RIGHTS = "rights"


_BY_GROUP: Final[Mapping[Group, tuple[str, ...]]] = {
    Group.TUNEGATE: (
        *("TunegateReady", "NotInstalled", "AgentNotReady", "AgentBehindGate"),
        *("AgentMissesNode", "AgentWaitsForLabel", "WebhookNotReady", "VersionSkew"),
        *("BundleEmpty", "NoEndpoints", "FailsClosed", "OwnNodePolicyMissing"),
    ),
    Group.POOLS: (
        *("PoolGated", "PoolWithoutGate", "GateUnderTaints", "GatePermanent", "GateKeyTooLong"),
        *("GateEffectWrong", "GateKeyUnknown", "GateBlocksScaleUp", "KarpenterUnaware"),
        "PoolUnseen",
    ),
    Group.NODES: ("NodesOpen", "GateStuck", "GpuNodeUntouched", "ClaimUninitialized"),
    Group.AUTOSCALERS: (
        *("AutoscalerKnowsGate", "AutoscalerUnseen", "AutoscalerTooOld"),
        *("CountsAsUnready", "AutoscalerHalts"),
    ),
    Group.BEHIND: ("AllTolerate", "BehindGate", "PodPassesGate"),
    Group.RULES: ("RuleAgrees", "RuleWithoutCondition", "RuleClosesAgain"),
    Group.RIGHTS: ("NotRead",),
}
GROUP_OF: Final[Mapping[str, Group]] = {
    name: group for group, names in _BY_GROUP.items() for name in names
}
"""Every name that a finding may have."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One verdict.

    ``target`` is what it is about ("" for the cluster), ``message`` says what, where and why,
    ``action`` what to do ("" where there is nothing), ``snippet`` the lines that do it.
    """

    severity: Severity
    name: str
    target: str
    message: str
    action: str = ""
    snippet: str = ""

    @property
    def group(self) -> Group:
        """The heading that it belongs under."""
        return GROUP_OF[self.name]


def good(name: str, target: str, message: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(Severity.GOOD, name, target, message)


def note(name: str, target: str, message: str, action: str = "", snippet: str = "") -> Finding:
    """Return a finding that a person should know."""
    return Finding(Severity.NOTE, name, target, message, action, snippet)


def problem(name: str, target: str, message: str, action: str = "", snippet: str = "") -> Finding:
    """Return a finding that has to be cured."""
    return Finding(Severity.PROBLEM, name, target, message, action, snippet)


def count(findings: Iterable[Finding], severity: Severity) -> int:
    """Return how many are of this severity."""
    return sum(one.severity is severity for one in findings)


def listed(names: Iterable[str], most: int = 3) -> str:
    """Return names as "a, b, c and 4 more"."""
    found = list(names)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
