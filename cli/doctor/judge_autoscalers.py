"""
Does a running cluster-autoscaler know the gate, and how long will it wait? Pure.

Flags and their defaults: cluster-autoscaler FAQ, "What are the parameters to CA?".
"""

from collections.abc import Iterator

from cli.doctor.facts import Autoscaler, AutoscalerStatus, Facts, NodeSeen
from cli.doctor.finding import Finding, good, listed, note, problem
from cli.doctor.judge_nodes import waiting_seconds
from cli.doctor.judge_pools import HIDDEN, PREFIX, is_startup_key, is_too_old
from cli.fleet import age
from common.wording import several


def judge_autoscalers(facts: Facts) -> Iterator[Finding]:
    """Yield what there is to say about each autoscaler, and about those that cannot be seen."""
    for one in facts.autoscalers:
        yield from _judge(one, facts)
    if not facts.autoscalers and "Deployment" in facts.read:
        yield from _unseen(facts)
    for status in facts.statuses:
        yield from _status(status, facts)


def _judge(one: Autoscaler, facts: Facts) -> Iterator[Finding]:
    keys = facts.keys_in_use
    if is_too_old(one) and any(
        key.startswith(PREFIX) and not is_startup_key(key, one) for key in keys
    ):
        version = ".".join(map(str, one.version or ()))
        yield problem(
            "AutoscalerTooOld",
            one.title,
            f"cluster-autoscaler {one.title} is {version}; it knows the prefix {PREFIX} since "
            "1.29 and takes the gate for an ordinary taint: an empty pool stays empty",
            "update it, or until then add the flag",
            "\n".join(f"--ignore-taint={key}" for key in keys),
        )
    elif all(is_startup_key(key, one) for key in keys):
        said = f"cluster-autoscaler {one.title} takes {listed(keys)} for a startup taint and waits "
        said += f"{age(one.max_startup_seconds)} for a node"
        yield good("AutoscalerKnowsGate", one.title, said)
    late = list(_late(one.max_startup_seconds, facts, one))
    if late:
        yield _counts_as_unready(one, late, facts)


def _late(limit_seconds: float, facts: Facts, one: Autoscaler) -> Iterator[NodeSeen]:
    for node in facts.nodes:
        created = node.view.created_seconds
        is_startup = any(is_startup_key(key, one) for key in node.view.gate_taints)
        is_old = created is not None and facts.now_seconds - created >= limit_seconds
        if is_startup and is_old and waiting_seconds(node, facts) is not None:
            yield node


def _counts_as_unready(one: Autoscaler, late: list[NodeSeen], facts: Facts) -> Finding:
    names = listed(node.view.name for node in late)
    limit = age(one.max_startup_seconds)
    percent = 100.0 * len(late) / max(1, len(facts.nodes))
    halts = len(late) > one.ok_unready and percent > one.max_unready_percent
    stop = (
        f"more than {one.ok_unready} and {one.max_unready_percent:g} %, so it has stopped scaling "
        "the whole cluster"
        if halts
        else f"above {one.ok_unready} such nodes and {one.max_unready_percent:g} % of all it stops "
        "scaling the whole cluster"
    )
    return problem(
        "CountsAsUnready",
        one.title,
        f"cluster-autoscaler counts {several(len(late), 'gated node')} ({names}) as unready: it "
        f"waits {limit} from a node's creation, whenever the taint was put on; {stop}",
        "open the gates; gate.deadlineSeconds of the agent opens one before that",
        f"tunegate nodes {late[0].view.name}",
    )


def _unseen(facts: Facts) -> Iterator[Finding]:
    """Judge a cloud's own autoscaler by its defaults: nobody sees its flags, or sets them."""
    some = [node for node in facts.nodes if node.is_gpu] or facts.nodes
    scaled = [node for node in some if node.cloud in HIDDEN and not node.is_karpenters]
    if not scaled:
        return
    cloud = scaled[0].cloud
    yield note(
        "AutoscalerUnseen",
        cloud,
        f"the autoscaler of {cloud.upper()} runs out of sight and its flags cannot be set: only "
        f"keys that begin with {PREFIX} are sure to be startup taints",
    )
    default = Autoscaler(f"of {cloud.upper()}", "", None)
    late = [node for node in _late(default.max_startup_seconds, facts, default) if node in scaled]
    if late:
        yield _counts_as_unready(default, late, facts)


def _status(status: AutoscalerStatus, facts: Facts) -> Iterator[Finding]:
    if status.health in ("Unhealthy", "ClusterUnhealthy"):
        gated = sum(bool(node.view.gate_taints) for node in facts.nodes)
        yield problem(
            "AutoscalerHalts",
            status.title,
            f"cluster-autoscaler says {status.health}: {status.unready} unready of "
            f"{(status.ready or 0) + (status.unready or 0)}, {status.not_started} starting; it "
            f"scales nothing now. {several(gated, 'node')} of this cluster stand behind the gate",
            "see which nodes, and why",
            "tunegate nodes",
        )
