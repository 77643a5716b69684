"""
Does each pool put the right gate in the right place? Pure.

Rules: docs/autoscaling.md. What a cluster-autoscaler strips from its template is decided in its
pkg/utils/taints/taints.go; Karpenter goes by the list in which a taint stands.
"""

from collections.abc import Iterator
from typing import Final

from cli.doctor import cures
from cli.doctor.facts import Autoscaler, Facts, NodeSeen, Place, Pool, Taint
from cli.doctor.finding import Finding, good, listed, note, problem
from common import names
from common.wording import several

PREFIX: Final = "startup-taint.cluster-autoscaler.kubernetes.io/"
OLD_PREFIX: Final = "ignore-taint.cluster-autoscaler.kubernetes.io/"
_LIKE_A_GATE: Final = ("not-tuned", "untuned", "tunegate", "net-ready", "network-tuned")
HIDDEN: Final = (Place.DOKS, Place.GKE, Place.AKS)
"""Where the cloud runs the autoscaler out of sight."""


def judge_pools(facts: Facts) -> Iterator[Finding]:
    """Yield what there is to say about each pool, and about pools only their nodes are known of."""
    for pool in facts.pools:
        found = list(_judge(pool, facts))
        yield from found or _fine(pool, facts)
    yield from _by_nodes(facts)


def _judge(pool: Pool, facts: Facts) -> Iterator[Finding]:
    everywhere = (*pool.taints, *pool.startup_taints)
    yield from _keys(pool.title, everywhere, facts)
    gates = [taint for taint in everywhere if facts.is_gate(taint)]
    if not gates:
        if _needs_gate(pool, facts) and not any(map(_is_like_a_gate, everywhere)):
            yield _without_gate(pool)
        return
    wrong = [taint for taint in pool.taints if facts.is_gate(taint)]
    if pool.place is Place.KARPENTER and wrong:
        yield _under_taints(pool, wrong)
    if pool.place is Place.AKS and wrong:
        yield _permanent(pool.title, pool.name, wrong)
    too_long = [
        taint for taint in gates if pool.max_key_length and len(taint.key) > pool.max_key_length
    ]
    if too_long:
        yield _too_long(pool, too_long)
    if pool.place is not Place.KARPENTER:
        yield from _blocking(pool.title, pool.place, pool.name, gates, facts)


def _needs_gate(pool: Pool, facts: Facts) -> bool:
    if pool.is_gpu is not None:
        return pool.is_gpu
    nodes = [node for node in facts.nodes if node.pool == pool.name and pool.name]
    claims = [claim for claim in facts.claims if claim.pool == pool.name]
    return any(node.is_gpu for node in nodes) or any(claim.has_gpu for claim in claims)


def _fine(pool: Pool, facts: Facts) -> Iterator[Finding]:
    """Yield a word on a pool with a gate, and on one that may need one."""
    gates = [taint.key for taint in (*pool.taints, *pool.startup_taints) if facts.is_gate(taint)]
    if gates:
        yield good("PoolGated", pool.title, f"{pool.title} puts {listed(gates)} on each new node")
    elif pool.is_gpu is None and pool.place is not Place.KARPENTER:
        yield note(
            "PoolUnseen",
            pool.title,
            f"{pool.title} has no gate and does not say whether its nodes have GPUs",
            "if they have, put the gate on it",
            cures.gate(pool.place, pool.name),
        )


def _without_gate(pool: Pool) -> Finding:
    return problem(
        "PoolWithoutGate",
        pool.title,
        f"{pool.title} has no gate: pods start on its new nodes before their network is tuned, and "
        "an NFS connection opened then stays slow for the life of the mount",
        "put the gate on it",
        cures.gate(pool.place, pool.name),
    )


def _under_taints(pool: Pool, wrong: list[Taint]) -> Finding:
    return problem(
        "GateUnderTaints",
        pool.title,
        f"{pool.title} has {wrong[0].key} under taints, not under startupTaints: Karpenter takes "
        "it for permanent, so a pod that does not tolerate it never gets a node from this pool",
        "move it",
        cures.gate(Place.KARPENTER),
    )


def _permanent(target: str, pool: str, wrong: list[Taint]) -> Finding:
    return problem(
        "GatePermanent",
        target,
        f"{target}: {wrong[0].key} is permanent on AKS (--node-taints): AKS does not let the agent "
        "take it off through the Kubernetes API, so no pod ever starts there",
        "use nodeInitializationTaints of the pool, and take it out of --node-taints",
        cures.gate(Place.AKS, pool),
    )


def _too_long(pool: Pool, gates: list[Taint]) -> Finding:
    key = gates[0].key
    return problem(
        "GateKeyTooLong",
        pool.title,
        f"{pool.title}: {key} has {len(key)} characters, EKS takes {pool.max_key_length} in the "
        "taints of a managed node group",
        "have the kubelet register it (user data)",
        cures.gate(Place.EKS, pool.name),
    )


def _keys(target: str, taints: tuple[Taint, ...], facts: Facts) -> Iterator[Finding]:
    for taint in taints:
        if taint.key in facts.gate_keys and taint.effect != names.TAINT_EFFECT:
            yield problem(
                "GateEffectWrong",
                target,
                f"{target} has {taint.key} with the effect {taint.effect or '(none)'}: the agent "
                f"takes off {names.TAINT_EFFECT} only, so it stays for ever",
                f"give it the effect {names.TAINT_EFFECT}",
            )
        elif taint.key not in facts.gate_keys and _is_like_a_gate(taint):
            yield problem(
                "GateKeyUnknown",
                target,
                f"{target} has {taint.key}, which looks like the gate and is not in the agent's "
                "list: nobody takes it off",
                f"use {names.STARTUP_TAINT}, or add the key to gate.taints of the chart",
            )


def _is_like_a_gate(taint: Taint) -> bool:
    return any(word in taint.key for word in _LIKE_A_GATE)


def is_startup_key(key: str, autoscaler: Autoscaler | None) -> bool:
    """Return whether a cluster-autoscaler takes this key for a startup taint."""
    if autoscaler is None:
        return key.startswith(PREFIX)
    return (
        (key.startswith(PREFIX) and not is_too_old(autoscaler))
        or key.startswith((OLD_PREFIX, *autoscaler.startup_prefixes))
        or key in autoscaler.startup_keys
    )


def is_too_old(autoscaler: Autoscaler) -> bool:
    """Return whether it does not know the prefix: kubernetes/autoscaler#6132 came with 1.29."""
    return autoscaler.version is not None and autoscaler.version < (1, 29)


def _blocking(
    target: str, place: Place, pool: str, gates: list[Taint], facts: Facts
) -> Iterator[Finding]:
    """Judge ordinary keys where a cluster-autoscaler works, seen or the cloud's own.

    That one is too old for its prefix is told once, of the autoscaler.
    """
    seen = facts.autoscalers[0] if facts.autoscalers else None
    is_hidden = place in HIDDEN or (place is Place.EKS and "Deployment" not in facts.read)
    if seen is None and not is_hidden:
        return
    told = PREFIX if seen and is_too_old(seen) else ()
    bad = [
        taint.key
        for taint in gates
        if not is_startup_key(taint.key, seen) and not taint.key.startswith(told)
    ]
    if not bad:
        return
    if place is Place.AKS and seen is None:
        yield note(
            "GateBlocksScaleUp",
            target,
            f"{target}: {listed(bad)} may block scale-from-zero: only the reserved prefix is known "
            "to be a startup taint on AKS; whether its autoscaler is told of other init taints is "
            "not documented",
            "use the key that needs no flag",
            cures.gate(place, pool),
        )
        return
    who = f"cluster-autoscaler ({seen.title})" if seen else "a cluster-autoscaler without flags"
    yield problem(
        "GateBlocksScaleUp",
        target,
        f"{target}: {listed(bad)} will block scale-from-zero: to {who} it is an ordinary taint, so "
        "no pending pod fits a new node; where nodes exist it buys a second one while the first "
        "waits",
        f"use the key that needs no flag{_or_flag(seen, bad)}",
        cures.gate(place, pool),
    )


def _or_flag(seen: Autoscaler | None, bad: list[str]) -> str:
    if seen is None:
        return ""
    flag = "ignore-taint" if is_too_old(seen) else "startup-taint"
    return ", or give it " + " ".join(f"--{flag}={key}" for key in bad)


def _by_nodes(facts: Facts) -> Iterator[Finding]:
    """Judge by the nodes those pools that no definition was read of."""
    defined = {(pool.place is Place.KARPENTER, pool.name) for pool in facts.pools}
    groups: dict[tuple[Place, str], list[NodeSeen]] = {}
    for node in facts.nodes:
        is_gated = bool(node.view.gate_taints)
        if (node.is_gpu or is_gated) and (node.is_karpenters, node.pool) not in defined:
            groups.setdefault((node.cloud, node.pool), []).append(node)
    for (cloud, pool), nodes in groups.items():
        yield from _by_its_nodes(cloud, pool, nodes, facts)


def _by_its_nodes(
    cloud: Place, pool: str, nodes: list[NodeSeen], facts: Facts
) -> Iterator[Finding]:
    title = f"pool {pool} ({cloud})" if pool else f"nodes without a pool ({cloud})"
    written = next((node.pool_taints for node in nodes if node.pool_taints is not None), None)
    standing = (taint for node in nodes for taint in node.taints)
    taints = tuple(dict.fromkeys((*(written or ()), *standing)))
    yield from _keys(title, taints, facts)
    gates = [taint for taint in taints if facts.is_gate(taint)]
    if gates:
        found = list(_blocking(title, cloud, pool, gates, facts))
        keys = listed(taint.key for taint in gates)
        yield from found or (good("PoolGated", title, f"{title} puts {keys} on its nodes"),)
    elif written is not None and not any(map(_is_like_a_gate, taints)):
        yield _without_gate(Pool(cloud, pool, title, written))
    elif not any(map(_is_like_a_gate, taints)):
        yield note(
            "PoolUnseen",
            title,
            f"{title}: no gate stands on {several(len(nodes), 'GPU node')} now, and the cluster "
            "does not say whether new ones get one",
            "let the doctor see the pool's definition",
            cures.show_pool(cloud, pool),
        )
