"""
Enforce the cluster's NetworkPolicies on its nodes, as a network plug-in would, by nftables.

Nothing that enforces them is at hand here: the node's network (ptp, kube-proxy) leaves them alone,
and what there is in Go needs `queue` of nftables, which the machine's kernel may lack. This reads
what the policies say (podSelector, ports, ipBlock; no namespaceSelector) and writes it as rules.

Rules that hold everywhere: https://kubernetes.io/docs/concepts/services-networking/network-policies/
a pod that a policy selects is isolated in that direction, replies pass, and a pod's own node
(the kubelet's probes) always reaches it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tests.lab.api import Object
from tests.lab.cluster import Cluster

TABLE: Final = "lab-network-policies"
_SIDES: Final = {
    "Ingress": ("ingress", "from", "daddr", "saddr"),
    "Egress": ("egress", "to", "saddr", "daddr"),
}


def enforce(cluster: Cluster) -> list[str]:
    """Write the rules for all policies and pods as they are now to every node; return them."""
    policies = cluster.api.get("/apis/networking.k8s.io/v1/networkpolicies")["items"]
    pods = [one for one in cluster.api.get("/api/v1/pods")["items"] if _has_own_address(one)]
    rules = [line for policy in policies for line in _rules(policy, pods)]
    isolated = [line for policy in policies for line in _isolation(policy, pods)]
    chain = [
        "type filter hook forward priority filter; policy accept;",
        "ct state established,related accept",
        *rules,
        *isolated,
    ]
    body = "\n".join(f"    {line}" for line in chain)
    table = f"table ip {TABLE} {{\n  chain forward {{\n{body}\n  }}\n}}\n"
    for node in cluster.nodes.values():
        lift_on = f"table ip {TABLE} {{}}\ndelete table ip {TABLE}\n"
        node.namespace.run(["nft", "-f", "-"], input_text=lift_on + table)
    return chain


def lift(cluster: Cluster) -> None:
    """Take the rules away again."""
    for node in cluster.nodes.values():
        table = f"table ip {TABLE} {{}}\ndelete table ip {TABLE}\n"
        node.namespace.run(["nft", "-f", "-"], input_text=table)


def _rules(policy: Object, pods: Sequence[Object]) -> Iterator[str]:
    """Give a line for each selected pod, each port and each peer that a policy allows."""
    for kind, (side, peers, own, other) in _SIDES.items():
        if kind not in policy["spec"]["policyTypes"]:
            continue
        for pod in _selected(policy, pods):
            for rule in policy["spec"].get(side, []):
                far = [_peer(one, policy, pods) for one in rule.get(peers, [])] or [""]
                for addresses in far:
                    match = f" ip {other} {{ {addresses} }}" if addresses else ""
                    ports = _ports(rule, pod if kind == "Ingress" else None, pods)
                    yield f"ip {own} {pod['status']['podIP']}{match}{ports} accept"


def _isolation(policy: Object, pods: Sequence[Object]) -> Iterator[str]:
    for kind, (_side, _peers, own, _other) in _SIDES.items():
        if kind in policy["spec"]["policyTypes"]:
            for pod in _selected(policy, pods):
                yield f"ip {own} {pod['status']['podIP']} counter drop"


def _ports(rule: Object, target: Object | None, pods: Sequence[Object]) -> str:
    """Return a match of the rule's ports; a named one is looked up in the pod that is reached."""
    if not rule.get("ports"):
        return ""
    known = [target] if target else pods
    numbers = {n for one in rule["ports"] for n in _numbers(one["port"], known)}
    return f" tcp dport {{ {', '.join(map(str, sorted(numbers)))} }}"


def _numbers(port: int | str, pods: Sequence[Object]) -> set[int]:
    if isinstance(port, int):
        return {port}
    containers = [each for pod in pods for each in pod["spec"]["containers"]]
    listed = [each for one in containers for each in one.get("ports", [])]
    return {each["containerPort"] for each in listed if each.get("name") == port}


def _peer(peer: Object, policy: Object, pods: Sequence[Object]) -> str:
    """Return a peer's addresses, separated by commas."""
    if "ipBlock" in peer:
        return str(peer["ipBlock"]["cidr"])
    namespace = policy["metadata"]["namespace"]
    inside = [one for one in pods if one["metadata"]["namespace"] == namespace]
    chosen = [one for one in inside if _matches(peer["podSelector"], one)]
    return ", ".join(one["status"]["podIP"] for one in chosen) or "0.0.0.0"


def _selected(policy: Object, pods: Sequence[Object]) -> list[Object]:
    namespace, selector = policy["metadata"]["namespace"], policy["spec"]["podSelector"]
    inside = [one for one in pods if one["metadata"]["namespace"] == namespace]
    return [one for one in inside if _matches(selector, one)]


def _matches(selector: Mapping[str, Mapping[str, str]], pod: Object) -> bool:
    labels = pod["metadata"].get("labels", {})
    wanted = dict(selector.get("matchLabels", {}))
    return bool(wanted.items() <= labels.items())


def _has_own_address(pod: Object) -> bool:
    return bool(pod["status"].get("podIP")) and not pod["spec"].get("hostNetwork")
