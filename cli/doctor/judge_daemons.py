"""What has to run behind the gate and does not tolerate it, and what tolerates it wrongly. Pure."""

import re
from collections.abc import Iterator
from typing import Final

from cli.doctor import cures
from cli.doctor.facts import Daemon, Facts
from cli.doctor.finding import Finding, good, note, problem
from common.wording import several

_ESSENTIAL: Final = re.compile(
    r"nvidia|gpu|dcgm|device-plugin|container-toolkit|feature-discovery|network-operator|"
    r"mofed|doca|rdma|sriov|ofed|multus|csi|amdgpu|rocm|k8s-dra|dra-driver|gaudi|habana|neuron|"
    r"cilium|calico|flannel|aws-node|kube-proxy|konnectivity|cni",
)
"""What a GPU pod waits for: drivers, device plugins, discovery, CSI node plugins, the network."""
_WINDOWS: Final = ("kubernetes.io/os", "windows")


def judge_daemons(facts: Facts) -> Iterator[Finding]:
    """Yield each DaemonSet that goes to GPU nodes and waits behind the gate."""
    keys = facts.keys_in_use
    agents = {(agent.namespace, agent.name) for agent in facts.agents}
    others = [one for one in facts.daemons if (one.namespace, one.name) not in agents]
    chosen = [one for one in others if _goes_to_gpu_nodes(one, facts)]
    behind = [one for one in chosen if not all(one.selection.tolerates(key) for key in keys)]
    yield from _behind(behind, keys)
    if chosen and not behind:
        said = f"{several(len(chosen), 'DaemonSet')} of GPU nodes tolerate the gate"
        yield good("AllTolerate", "", said)


def is_essential(one: Daemon) -> bool:
    """Return whether a GPU pod cannot run without it."""
    words = " ".join((one.name, *one.images, *one.labels.values())).lower()
    return cures.is_of_gpu_operator(one) or bool(_ESSENTIAL.search(words))


def _goes_to_gpu_nodes(one: Daemon, facts: Facts) -> bool:
    nodes = [node for node in facts.nodes if node.is_gpu or node.view.gate_taints]
    if one.selection.node_selector.get(_WINDOWS[0]) == _WINDOWS[1]:
        return False
    if any(one.selection.chooses(node.labels, node.view.name) for node in nodes):
        return True
    wanted = {label for labels in one.selection.alternatives() for label in labels}
    is_for_gpus = any("nvidia.com/" in label or "gpu" in label for label in wanted)
    return is_essential(one) and (is_for_gpus or not nodes)


def _behind(behind: list[Daemon], keys: tuple[str, ...]) -> Iterator[Finding]:
    """Yield one finding for all that the same lines cure."""
    groups: dict[tuple[bool, str, str], list[Daemon]] = {}
    for one in behind:
        lacking = [key for key in keys if not one.selection.tolerates(key)]
        groups.setdefault((is_essential(one), *cures.daemon(one, lacking)), []).append(one)
    for (is_needed, where, lines), daemons in groups.items():
        titles = ", ".join(one.title for one in daemons)
        who = f"DaemonSet {titles} does" if len(daemons) == 1 else f"DaemonSets {titles} do"
        if is_needed:
            yield problem(
                "BehindGate",
                titles,
                f"{who} not tolerate the gate: what starts only after the gate has opened adds its "
                "minutes to the wait, and a node that is open but has no GPU to offer makes an "
                "autoscaler buy another",
                f"let them start beside the agent, {where}",
                lines,
            )
        else:
            yield note(
                "BehindGate",
                titles,
                f"{who} not tolerate the gate: fine, unless something needs it before pods start",
                f"where it does, {where}",
                lines,
            )


def judge_pods(facts: Facts) -> Iterator[Finding]:
    """Yield vLLM pods that the gate does not hold back, one finding for each owner."""
    owners: set[tuple[str, str]] = set()
    for pod in facts.pods:
        if (pod.namespace, pod.owner) in owners:
            continue
        owners.add((pod.namespace, pod.owner))
        how = f"tolerates {pod.key}" if pod.key else "tolerates every taint"
        yield problem(
            "PodPassesGate",
            f"{pod.namespace}/{pod.name}",
            f"vLLM pod {pod.namespace}/{pod.name} ({pod.owner}) {how}: it starts before its node "
            "is tuned, and its NFS connection stays slow",
            "take the toleration out; name the keys of your GPU taints instead of operator: Exists",
            "tolerations:\n  - key: nvidia.com/gpu\n    operator: Exists\n    effect: NoSchedule",
        )
