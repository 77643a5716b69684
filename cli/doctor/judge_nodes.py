"""Nodes behind the gate for too long, GPU nodes that nobody tunes, claims that never end. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cli.doctor import cures
from cli.doctor.facts import Facts, NodeSeen, Place
from cli.doctor.finding import Finding, good, listed, problem
from cli.fleet import Outcome, age, judge
from common import names
from common.wording import several

UNTOUCHED_SECONDS: Final = 120.0
"""A node this young may still wait for its agent's image."""
_EPHEMERAL: Final = "readiness.k8s.io/"
"""Begins keys that Karpenter waits for untold: its KnownEphemeralTaintKeyPrefixes (1.14)."""


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


@dataclass(frozen=True, slots=True)
class _Cause:
    """Why a gate is stuck: the finding's name, the words after the node, and what to do."""

    name: str
    words: str
    action: str
    snippet: str


def _stuck(facts: Facts) -> Iterator[Finding]:
    """Yield one finding for all nodes whose gates are stuck for the same cause."""
    causes: dict[tuple[str, str], list[tuple[NodeSeen, float, _Cause]]] = {}
    for node in facts.nodes:
        waited = waiting_seconds(node, facts)
        if waited is not None and waited >= facts.stuck_seconds:
            cause = _cause(node, facts)
            causes.setdefault((cause.name, cause.words), []).append((node, waited, cause))
    for found in causes.values():
        found.sort(key=lambda one: -one[1])
        cause = found[0][2]
        called = [node.view.name for node, *_ in found]
        where = f"node {called[0]}" if len(called) == 1 else f"nodes {listed(called)}"
        head = f"gate stuck for {age(found[0][1])} on {where}"
        target = ", ".join(called)
        yield problem(cause.name, target, f"{head}{cause.words}", cause.action, cause.snippet)


def _cause(node: NodeSeen, facts: Facts) -> _Cause:
    row = judge(node.view, facts.now_seconds)
    name, key = node.view.name, node.view.gate_taints[0]
    if row.outcome is Outcome.TUNED and not row.stale:
        return _refused(node, key, facts)
    sick = [pod for pod in facts.own_pods if pod.node == name]
    if sick:
        words = f": its agent's pod is not well: {sick[0].trouble}"
        describe = f"kubectl describe pod -n {sick[0].namespace} {sick[0].name}"
        return _Cause("GateStuck", words, "all about that pod", describe)
    if not node.view.has_verdict:
        words = ": no agent has said anything about it"
        return _Cause("GateStuck", words, "look for its agent", _agent_pods(name, facts))
    said = f"{row.outcome} ({row.reason}): {row.message}" if row.reason else str(row.outcome)
    return _Cause("GateStuck", f": {said}", "all about it", f"tunegate nodes {name}")


def _refused(node: NodeSeen, key: str, facts: Facts) -> _Cause:
    """Return why a tuned node's gate stands: on AKS it is known."""
    if node.cloud is Place.AKS:
        return _Cause(
            "GatePermanent",
            " though it is tuned: on AKS a taint of --node-taints is permanent and cannot be taken "
            "off through the Kubernetes API",
            "use nodeInitializationTaints of the pool, and take it out of --node-taints",
            cures.gate(Place.AKS, node.pool),
        )
    return _Cause(
        "GateStuck",
        f" though it is tuned: {key} is not in the agent's list, or something refuses its patch or "
        "puts it back",
        "read what its agent says",
        _agent_log(node.view.name, facts),
    )


def _agent_pods(node: str, facts: Facts) -> str:
    namespace = facts.agents[0].namespace if facts.agents else "NAMESPACE"
    return f"kubectl get pods -n {namespace} -o wide \\\n  --field-selector spec.nodeName={node}"


def _agent_log(node: str, facts: Facts) -> str:
    events = f"kubectl get events \\\n  --field-selector involvedObject.name={node}"
    return f"{events}\n{_agent_pods(node, facts)}"


def _untouched(facts: Facts) -> Iterator[Finding]:
    if not facts.agents:
        return
    left_out = [
        node.view.name
        for node in facts.nodes
        if node.is_gpu and not node.view.is_known and _age(node, facts) > UNTOUCHED_SECONDS
    ]
    if left_out:
        yield problem(
            "GpuNodeUntouched",
            ", ".join(left_out),
            f"{several(len(left_out), 'GPU node')} without any sign of tunegate "
            f"({listed(left_out)}): no gate and no agent's verdict, so vLLM pods start there on an "
            "untuned network",
            "see whether the agent's DaemonSet goes there, and put the gate on the pool",
            _agent_pods(left_out[0], facts),
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
        unknown = [
            key
            for key in node.view.gate_taints
            if key not in known and not key.startswith(_EPHEMERAL)
        ]
        if unknown:
            told.add(pool.name)
            yield problem(
                "KarpenterUnaware",
                pool.title,
                f"node {node.view.name} bears {unknown[0]}, which {pool.title} does not have under "
                "startupTaints: Karpenter does not know that it goes away and may go on buying "
                "nodes",
                "tell it",
                cures.gate(Place.KARPENTER).replace(names.STARTUP_TAINT, unknown[0]),
            )


def _claims(facts: Facts) -> Iterator[Finding]:
    gated = {node.view.name for node in facts.nodes if node.view.gate_taints}
    stuck = [
        claim
        for claim in facts.claims
        if not claim.is_initialized
        and (
            claim.reason == "StartupTaintsExist"
            or (claim.reason == "KnownEphemeralTaintsExist" and claim.node in gated)
        )
        and claim.created_seconds is not None
        and facts.now_seconds - claim.created_seconds >= facts.stuck_seconds
    ]
    if stuck:
        stuck.sort(key=lambda claim: claim.created_seconds or 0.0)
        first = stuck[0]
        waited = age(facts.now_seconds - (first.created_seconds or 0.0))
        them = listed(claim.name for claim in stuck)
        yield problem(
            "ClaimUninitialized",
            ", ".join(claim.name for claim in stuck),
            f"{several(len(stuck), 'NodeClaim')} ({them}): up to {waited} of waiting for startup "
            "taints to go; until then Karpenter neither consolidates nor removes such a node, "
            "which is paid for",
            "see what holds the gate",
            f"tunegate nodes {first.node}" if first.node else f"kubectl get nodeclaim {first.name}",
        )
