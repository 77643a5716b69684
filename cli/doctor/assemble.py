"""From raw objects by kind to facts. Pure."""

from collections.abc import Iterable, Mapping, Sequence

import yaml

from cli.doctor.facts import Autoscaler, Facts, Pool, Unread
from cli.doctor.of_nodes import claim_of, node_of
from cli.doctor.of_policies import (
    HOOK_KINDS,
    has_own_node_policy,
    hooks_of,
    ready_endpoints,
    rule_of,
)
from cli.doctor.of_pools import eksctl, kubeadm, kubelet, node_config, node_pool, printed
from cli.doctor.of_workloads import (
    STATUS_MAP,
    autoscaler_of,
    daemon_of,
    is_agent,
    is_webhook,
    own_pod,
    passes_gate,
    refusal_of,
    status_of,
)
from common import names
from common.telemetry import VERSION
from webhook import pods
from webhook.decisions import Json

Raw = Mapping[str, Sequence[Json]]
"""Objects by kind."""


def facts_of(  # noqa: PLR0913 - what was read has many sides
    raw: Raw,
    *,
    now_seconds: float,
    read: Iterable[str] = (),
    unread: Iterable[Unread] = (),
    pools: Iterable[Pool] = (),
    more_gate_keys: Iterable[str] = (),
    stuck_seconds: float = 300.0,
) -> Facts:
    """Return what these objects say; ``read`` are the kinds of which they are all there are."""
    keys = tuple(dict.fromkeys((*gate_keys(raw), *more_gate_keys)))
    agents = [part for one in raw.get("DaemonSet", ()) if (part := is_agent(one))]
    webhooks = [part for one in raw.get("Deployment", ()) if (part := is_webhook(one))]
    return Facts(
        now_seconds=now_seconds,
        read=frozenset(read),
        gate_keys=keys,
        stuck_seconds=stuck_seconds,
        cli_version=VERSION,
        nodes=tuple(node_of(one, keys) for one in raw.get("Node", ())),
        pools=(*map(node_pool, raw.get("NodePool", ())), *pools),
        claims=tuple(map(claim_of, raw.get("NodeClaim", ()))),
        daemons=tuple(map(daemon_of, raw.get("DaemonSet", ()))),
        autoscalers=_autoscalers(raw),
        statuses=tuple(
            status
            for one in raw.get("ConfigMap", ())
            if pods.name(one) == STATUS_MAP and (status := status_of(one))
        ),
        agents=tuple(agents),
        webhooks=tuple(webhooks),
        own_pods=tuple(ours for one in raw.get("Pod", ()) if (ours := own_pod(one))),
        refusals=tuple(map(refusal_of, raw.get("Event", ()))),
        hooks=tuple(
            hook for kind in HOOK_KINDS for one in raw.get(kind, ()) for hook in hooks_of(one)
        ),
        endpoints=_endpoints(raw),
        has_own_node_policy=has_own_node_policy(
            raw.get("ValidatingAdmissionPolicy", ()),
            raw.get("ValidatingAdmissionPolicyBinding", ()),
        ),
        pods=tuple(pod for one in raw.get("Pod", ()) if (pod := passes_gate(one, keys))),
        rules=tuple(map(rule_of, raw.get("NodeReadinessRule", ()))),
        unread=tuple(unread),
    )


def _autoscalers(raw: Raw) -> tuple[Autoscaler, ...]:
    found = [one for each in raw.get("Deployment", ()) if (one := autoscaler_of(each))]
    found = found or [one for each in raw.get("Pod", ()) if (one := autoscaler_of(each))]
    return tuple(found)


def _endpoints(raw: Raw) -> dict[tuple[str, str], int]:
    counted: dict[tuple[str, str], int] = {}
    for one in raw.get("EndpointSlice", ()):
        service, ready = ready_endpoints(one)
        counted[service] = counted.get(service, 0) + ready
    return counted


def gate_keys(raw: Raw) -> tuple[str, ...]:
    """Return the agent's gate keys: of its ConfigMap where that sets them, else the built-in."""
    mounted = {
        (part.namespace, name)
        for one in raw.get("DaemonSet", ())
        if (part := is_agent(one))
        for name in part.config_maps
    }
    found: list[str] = []
    for one in raw.get("ConfigMap", ()):
        if (pods.text(pods.metadata(one).get("namespace")) or "default", pods.name(one)) in mounted:
            for text in pods.strings(one.get("data")).values():
                found += _keys_of(text)
    return tuple(dict.fromkeys(found)) or names.GATE_TAINTS


def _keys_of(text: str) -> list[str]:
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError:
        return []
    return pods.texts(pods.mapping(pods.mapping(settings).get("gate")).get("taints"))


def pools_of(tree: object, source: str) -> list[Pool]:
    """Return the pools that a document defines which the API server does not know of."""
    kind = tree.get("kind") if isinstance(tree, dict) else None
    if not isinstance(tree, dict) or kind is None:
        return list(printed(tree, source))
    match kind:
        case "ClusterConfig":
            return list(eksctl(tree, source))
        case "KubeletConfiguration":
            return [kubelet(tree, source)]
        case "JoinConfiguration" | "InitConfiguration":
            return [kubeadm(tree, source)]
        case "NodeConfig":
            return [node_config(tree, source)]
    return []
