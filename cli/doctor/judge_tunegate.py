"""Is tunegate there, ready, of one version, and does it reach the nodes it has to? Pure."""

from collections.abc import Iterator

from cli.doctor import cures
from cli.doctor.facts import Facts, Hook, OwnPod, Part
from cli.doctor.finding import Finding, good, listed, note, problem
from cli.doctor.of_nodes import LATE_LABEL_PREFIXES
from cli.doctor.of_policies import HOOK_KINDS
from common.names import AGENT_COMMAND, WEBHOOK_COMMAND
from common.wording import several


def judge_tunegate(facts: Facts) -> Iterator[Finding]:
    """Yield what there is to say about the installation itself."""
    if not facts.agents and not facts.webhooks:
        if {"DaemonSet", "Deployment"} <= facts.read:
            yield problem(
                "NotInstalled",
                "",
                "tunegate is not installed here: nobody tunes nodes, and nobody takes a gate off",
                "install it",
                "helm install tunegate charts/tunegate \\\n"
                "  --namespace tunegate --create-namespace",
            )
        return
    found = [*_agents(facts), *_webhooks(facts), *_versions(facts), *_hooks(facts)]
    yield from found
    if not found and {"DaemonSet", "Deployment"} & facts.read:
        parts = [f"{part.title} {part.ready}/{part.wanted}" for part in _parts(facts)]
        yield good("TunegateReady", "", f"tunegate is ready: {', '.join(parts)}")
    policies = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    if facts.agents and policies <= facts.read and not facts.has_own_node_policy:
        yield note(
            "OwnNodePolicyMissing",
            "",
            "no ValidatingAdmissionPolicy ties the agents to their own Node: who takes over one "
            "GPU node may change every other Node",
            "switch it on in the chart's values",
            "agent:\n  ownNodePolicy:\n    enabled: true",
        )


def _parts(facts: Facts) -> tuple[Part, ...]:
    return (*facts.agents, *facts.webhooks)


def _agents(facts: Facts) -> Iterator[Finding]:
    for agent in facts.agents:
        if agent.ready < agent.wanted and "DaemonSet" in facts.read:
            yield problem(
                "AgentNotReady",
                agent.title,
                f"agent {agent.title}: {agent.ready} of {several(agent.wanted, 'pod')} ready; "
                f"gates stay closed on the other nodes{_why(AGENT_COMMAND, agent, facts)}",
                *_next(AGENT_COMMAND, agent, facts),
            )
        lacking = [key for key in facts.keys_in_use if not agent.selection.tolerates(key)]
        if lacking:
            yield problem(
                "AgentBehindGate",
                agent.title,
                f"agent {agent.title} does not tolerate {lacking[0]}: it waits behind the gate "
                "that only it can open",
                "give its DaemonSet the tolerations that the chart has",
                "tolerations:\n  - operator: Exists",
            )
        yield from _reach(agent, facts)


def _reach(agent: Part, facts: Facts) -> Iterator[Finding]:
    missed = [
        node.view.name
        for node in facts.nodes
        if (node.is_gpu or node.view.gate_taints)
        and not agent.selection.chooses(node.labels, node.view.name)
    ]
    if missed:
        yield problem(
            "AgentMissesNode",
            listed(missed),
            f"agent {agent.title} does not go to {several(len(missed), 'GPU or gated node')} "
            f"({listed(missed)}): their labels are none that it selects, so a gate there never "
            "opens",
            "add a label that these nodes have at registration to agent.gpuLabels, or set "
            "agent.nodeSelector",
            f"kubectl get node {missed[0]} --show-labels",
        )
    ways = agent.selection.alternatives()
    late = [way for way in ways if any(label.startswith(LATE_LABEL_PREFIXES) for label in way)]
    waiting = [one for one in facts.daemons if cures.is_discovery(one)]
    blocked = [
        one for one in waiting if not all(one.selection.tolerates(key) for key in facts.keys_in_use)
    ]
    gated = [node for node in facts.nodes if node.view.gate_taints]
    is_proven = any(agent.selection.chooses(node.labels, node.view.name) for node in gated)
    if len(late) == len(ways) and blocked and not is_proven:
        where, lines = cures.daemon(blocked[0], facts.keys_in_use)
        yield problem(
            "AgentWaitsForLabel",
            agent.title,
            f"agent {agent.title} selects nodes only by labels that {blocked[0].title} sets, which "
            "waits behind the gate: on a new node neither ever starts",
            f"let discovery tolerate the gate {where}, or select by a label of the cloud",
            lines,
        )


def _webhooks(facts: Facts) -> Iterator[Finding]:
    for webhook in facts.webhooks if "Deployment" in facts.read else ():
        if webhook.ready < webhook.wanted or not webhook.wanted:
            yield problem(
                "WebhookNotReady",
                webhook.title,
                f"webhook {webhook.title}: {webhook.ready} of {several(webhook.wanted, 'replica')} "
                "ready; with none, vLLM pods are created without what it injects"
                f"{_why(WEBHOOK_COMMAND, webhook, facts)}",
                *_next(WEBHOOK_COMMAND, webhook, facts),
            )


def _why(command: str, part: Part, facts: Facts) -> str:
    """Return what the first of these pods says is in its way, or what keeps it from existing."""
    if sick := _sick(command, facts):
        return f"; {sick.title}: {sick.trouble}"
    refused = _refused(part, facts)
    return f"; the API server refuses its pods: {refused}" if refused else ""


def _next(command: str, part: Part, facts: Facts) -> tuple[str, str]:
    """Return what to do about a part that is not ready, and the command that does it."""
    if sick := _sick(command, facts):
        return "see why", f"kubectl describe pod -n {sick.namespace} {sick.name}"
    refused = _refused(part, facts)
    if "PodSecurity" in refused:
        level = "pod-security.kubernetes.io/enforce=privileged"
        return (
            f"let it into namespace {part.namespace}, whose Pod Security level it exceeds",
            f"kubectl label namespace {part.namespace} \\\n  {level} --overwrite",
        )
    if refused:
        return "see what refuses it", f"kubectl get events -n {part.namespace}"
    return "see why", f"kubectl get pods -n {part.namespace} -o wide"


def _sick(command: str, facts: Facts) -> OwnPod | None:
    return next((pod for pod in facts.own_pods if pod.part == command), None)


def _refused(part: Part, facts: Facts) -> str:
    """Return why the API server takes no pod of it; a Deployment's come from its ReplicaSets."""
    said = [
        one.message
        for one in facts.refusals
        if one.namespace == part.namespace
        and (one.owner == part.name or one.owner.startswith(f"{part.name}-"))
    ]
    return said[-1] if said else ""


def _versions(facts: Facts) -> Iterator[Finding]:
    versions = {part.version: part.title for part in _parts(facts) if part.version}
    short = {".".join(version.split(".")[:2]) for version in versions}
    if len(short) > 1:
        said = ", ".join(f"{title} {version}" for version, title in versions.items())
        yield note(
            "VersionSkew",
            "",
            f"agent and webhook are not of one version ({said}): an upgrade is under way, or an "
            "image tag is set by hand",
            "see what the release has",
            f"helm list -n {_parts(facts)[0].namespace}",
        )


def _hooks(facts: Facts) -> Iterator[Finding]:
    without = [hook for hook in facts.hooks if not hook.has_bundle]
    if without and set(HOOK_KINDS) <= facts.read:
        names = listed(dict.fromkeys(hook.configuration for hook in without))
        yield problem(
            "BundleEmpty",
            names,
            f"{names}: caBundle is empty, so the API server cannot call the webhook, and pods are "
            "created without what it injects",
            "the webhook writes it by itself: see what it says",
            f"kubectl logs -n {_webhook_place(facts)}",
        )
    for hook in facts.hooks:
        if hook.failure_policy != "Ignore":
            yield problem(
                "FailsClosed",
                hook.configuration,
                f"{hook.configuration}, {hook.name}: failurePolicy {hook.failure_policy}: while no "
                "webhook answers, no pod that it matches can be created",
                "let it be Ignore, as the chart has it",
            )
            break
    yield from _endpoints(facts)


def _endpoints(facts: Facts) -> Iterator[Finding]:
    called: dict[tuple[str, str], Hook] = {
        hook.service: hook for hook in facts.hooks if hook.service
    }
    if "EndpointSlice" not in facts.read:
        return
    for (namespace, service), hook in called.items():
        if not facts.endpoints.get((namespace, service)):
            yield problem(
                "NoEndpoints",
                f"{namespace}/{service}",
                f"Service {namespace}/{service}, which {hook.configuration} calls, has no ready "
                "endpoint: every call fails, and pods are created without what it injects",
                "see what it selects",
                f"kubectl get endpointslices -n {namespace} \\\n"
                f"  -l kubernetes.io/service-name={service}",
            )


def _webhook_place(facts: Facts) -> str:
    one = facts.webhooks[0] if facts.webhooks else None
    return (
        f"{one.namespace} deployment/{one.name}" if one else "tunegate deployment/tunegate-webhook"
    )
