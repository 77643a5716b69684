"""NodeReadinessRules that hold our gate, and what could not be read. Pure."""

from collections.abc import Iterator

from cli.doctor.facts import Facts, Rule
from cli.doctor.finding import Finding, good, note, problem
from common import names


def judge_rules(facts: Facts) -> Iterator[Finding]:
    """Yield what there is to say about rules whose taint is one of our gates."""
    for rule in facts.rules:
        if rule.taint.key in facts.gate_keys and not rule.is_dry_run:
            yield from _judge(rule)


def _judge(rule: Rule) -> Iterator[Finding]:
    title = f"NodeReadinessRule {rule.name}"
    is_ours = (names.CONDITION, "True") in rule.conditions
    if not is_ours:
        yield problem(
            "RuleWithoutCondition",
            title,
            f"{title} holds {rule.taint.key} by other conditions than {names.CONDITION}: it takes "
            "the gate off untuned nodes, or puts it back on tuned ones",
            "have it wait for the agent's condition",
            f'spec:\n  conditions:\n    - type: {names.CONDITION}\n      requiredStatus: "True"',
        )
    if rule.mode == "continuous":
        yield problem(
            "RuleClosesAgain",
            title,
            f"{title} is continuous: it closes the gate of an old node again whenever the "
            "condition is not True (degraded, after a reboot), evicts nobody by that, and an "
            "autoscaler counts the node as unready",
            "let it act once",
            "spec:\n  enforcementMode: bootstrap-only",
        )
    elif is_ours:
        yield good("RuleAgrees", title, f"{title} waits for {names.CONDITION}, once a node")


def judge_rights(facts: Facts) -> Iterator[Finding]:
    """Yield one note on each thing that could not be read."""
    for one in facts.unread:
        cure = f"kubectl auth can-i {one.verb} {one.resource}" if one.verb and one.resource else ""
        yield note("NotRead", one.what, f"{one.what} could not be read: {one.why}", "", cure)
