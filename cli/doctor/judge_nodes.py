"""Nodes behind the gate for too long, GPU nodes that nobody tunes, claims that never end. Pure."""

from collections.abc import Iterator
from typing import Final

from cli.doctor import cures
from cli.doctor.facts import Facts, NodeSeen, Place
from cli.doctor.finding import Finding, good, listed, problem, several
from cli.fleet import Outcome, age, judge

UNTOUCHED_SECONDS: Final = 120.0
"""A node this young may still wait for its agent's image."""


def judge_nodes(facts: Facts) -> Iterator[Finding]:
    """Yield what there is to say about nodes and claims."""
    found = [*_stuck(facts), *_untouched(facts), *_unaware(facts), *_claims(facts)]
    yield from found
    ours = [node for node in facts.nodes if node.is_gpu or node.view.is_known]
    if ours and not found:
        closed = sum(bool(node.view.gate_taints) for node in ours)
        said = f"{several(len(ours), 'node')} with a GPU or a sign of tunegate, {closed} gated now"
        yield good("NodesOpen", "", f"{said}, none for longer than {age(facts.stuck_seconds)}")


def waiting_seconds(node: NodeSeen, facts: Facts) -> float | None:
    """Return how long a closed gate has kept pods off, as far as the Node tells."""
    since = judge(node.view, facts.now_seconds).waiting_seconds
    return None if since is None else facts.now_seconds - since


def _stuck(facts: Facts) -> Iterator[Finding]:
    for node in facts.nodes:
        waited = waiting_seconds(node, facts)
        if waited is not None and waited >= facts.stuck_seconds:
            yield _stuck_node(node, waited, facts)


def _stuck_node(node: NodeSeen, waited: float, facts: Facts) -> Finding:
    row = judge(node.view, facts.now_seconds)
    name, key = node.view.name, node.view.gate_taints[0]
    head = f"gate stuck for {age(waited)} on node {name}"
    if row.outcome is Outcome.TUNED and not row.stale:
        if node.cloud is Place.AKS:
            return problem(
                "GatePermanent",
                name,
                f"{head} though it is tuned: on AKS a taint of --node-taints is permanent and "
                "cannot be taken off through the Kubernetes API",
                "use --node-init-taints, and take it out of --node-taints",
                cures.gate(Place.AKS, node.pool),
            )
        return problem(
            "GateStuck",
            name,
            f"{head} though it is tuned: {key} is not in the agent's list, or something refuses "
            "its patch or puts it back",
            "read what its agent says",
            _agent_log(name, facts),
        )
    sick = [pod for pod in facts.own_pods if pod.node == name]
    if sick:
        message = f"{head}: its agent {sick[0].title} is not well: {sick[0].trouble}"
        describe = f"kubectl describe pod -n {sick[0].namespace} {sick[0].name}"
        return problem("GateStuck", name, message, "all about that pod", describe)
    if not node.view.has_verdict:
        message = f"{head}: no agent has said anything about it"
        return problem("GateStuck", name, message, "look for its agent", _agent_pods(name, facts))
    said = f"{row.outcome} ({row.reason}): {row.message}" if row.reason else str(row.outcome)
    action = "all about it"
    return problem("GateStuck", name, f"{head}: {said}", action, f"tunegate nodes {name}")


def _agent_pods(node: str, facts: Facts) -> str:
    namespace = facts.agents[0].namespace if facts.agents else "NAMESPACE"
    return f"kubectl get pods -n {namespace} -o wide \\\n  --field-selector spec.nodeName={node}"


def _agent_log(node: str, facts: Facts) -> str:
    events = f"kubectl get events \\\n  --field-selector involvedObject.name={node}"
    return f"{events}\n{_agent_pods(node, facts)}"


def _untouched(facts: Facts) -> Iterator[Finding]:
    if not facts.agents:
        return
    names = [
        node.view.name
        for node in facts.nodes
        if node.is_gpu and not node.view.is_known and _age(node, facts) > UNTOUCHED_SECONDS
    ]
    if names:
        yield problem(
            "GpuNodeUntouched",
            listed(names),
            f"{several(len(names), 'GPU node')} without any sign of tunegate ({listed(names)}): "
            "no gate and no agent's verdict, so vLLM pods start there on an untuned network",
            "see whether the agent's DaemonSet goes there, and put the gate on the pool",
            _agent_pods(names[0], facts),
        )


def _age(node: NodeSeen, facts: Facts) -> float:
    created = node.view.created_seconds
    return facts.now_seconds - created if created is not None else 0.0


def _unaware(facts: Facts) -> Iterator[Finding]:
    """Find gates on Karpenter's nodes that its NodePool does not know."""
    pools = {pool.name: pool for pool in facts.pools if pool.place is Place.KARPENTER}
    told: set[str] = set()
    for node in facts.nodes:
        pool = pools.get(node.pool) if node.is_karpenters else None
        if pool is None or pool.name in told:
            continue
        known = {taint.key for taint in (*pool.startup_taints, *pool.taints)}
        unknown = [key for key in node.view.gate_taints if key not in known]
        if unknown:
            told.add(pool.name)
            yield problem(
                "KarpenterUnaware",
                pool.title,
                f"node {node.view.name} bears {unknown[0]}, which {pool.title} does not have under "
                "startupTaints: Karpenter does not know that it goes away and may go on buying "
                "nodes",
                "tell it",
                cures.gate(Place.KARPENTER),
            )


def _claims(facts: Facts) -> Iterator[Finding]:
    stuck = [
        claim
        for claim in facts.claims
        if not claim.is_initialized
        and claim.reason == "StartupTaintsExist"
        and claim.created_seconds is not None
        and facts.now_seconds - claim.created_seconds >= facts.stuck_seconds
    ]
    for claim in stuck:
        waited = age(facts.now_seconds - (claim.created_seconds or 0.0))
        yield problem(
            "ClaimUninitialized",
            claim.name,
            f"NodeClaim {claim.name} has waited {waited} for its startup taints to go: until then "
            f"Karpenter neither consolidates nor removes node {claim.node or '(none)'}, which is "
            "paid for",
            "see what holds its gate",
            f"tunegate nodes {claim.node}" if claim.node else f"kubectl get nodeclaim {claim.name}",
        )
