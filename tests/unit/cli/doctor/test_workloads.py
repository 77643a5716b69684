"""The doctor on what runs: the installation, DaemonSets behind the gate, pods that pass it."""

import pytest

from cli.doctor.assemble import gate_keys
from cli.doctor.finding import Severity
from cli.doctor.selection import selection_of
from common import names
from tests.unit.cli.doctor.objects import (
    EVERYTHING,
    GPU_TOLERATION,
    KEY,
    Json,
    agent,
    daemon_set,
    endpoint_slice,
    findings,
    hook,
    node,
    problems,
    said,
    taint,
    vllm_pod,
    webhook,
)

GATE = {"key": KEY, "operator": "Exists", "effect": "NoSchedule"}
FINE = (agent(), webhook(), hook(), endpoint_slice())
NFD = "registry.k8s.io/nfd/node-feature-discovery:v0.18.0"


def all_names(*objects: Json, **more: object) -> list[str]:
    """Return the names of all findings."""
    return [one.name for one in findings(*objects, **more)]


def test_what_is_fine_is_said_to_be() -> None:
    """A person wants to know that it was looked at."""
    assert problems(*FINE) == []
    assert "TunegateReady" in all_names(*FINE)


def test_a_cluster_without_tunegate_is_told() -> None:
    """But not when DaemonSets could not be read, nor of files."""
    assert all_names() == ["NotInstalled"]
    assert all_names(read={"Deployment"}) == []


def test_what_is_not_ready_is_told() -> None:
    """Agent and webhook."""
    assert problems(agent(status=(3, 2)), webhook()) == ["AgentNotReady"]
    assert problems(agent(), webhook(ready=1)) == ["WebhookNotReady"]
    assert problems(agent(), webhook(replicas=0, ready=0)) == ["WebhookNotReady"]


def test_a_manifest_says_nothing_about_what_is_ready() -> None:
    """What `helm template` prints has no status and no bundle."""
    assert problems(agent(status=(3, 2)), webhook(ready=1), hook(bundle=""), read=()) == []
    assert "TunegateReady" not in all_names(agent(), webhook(), read=())


def test_an_agent_behind_its_own_gate_is_a_deadlock() -> None:
    """The chart's tolerates everything."""
    assert problems(agent(GPU_TOLERATION)) == ["AgentBehindGate"]
    assert problems(agent(GATE)) == []
    assert problems(agent(EVERYTHING)) == []


def test_a_node_that_the_agent_does_not_choose_is_told() -> None:
    """By node selector, and by affinity, one of whose terms is enough."""
    labels = {"pool": "gpu", "cloud.google.com/gke-accelerator": "nvidia-h100"}
    exists = {"key": "cloud.google.com/gke-accelerator", "operator": "Exists"}
    other = {"key": "x", "operator": "In", "values": ["y"]}
    chosen = node(labels=labels)
    assert problems(agent(affinity=[other, exists]), chosen) == []
    assert problems(agent(affinity=[other]), chosen) == ["AgentMissesNode"]
    assert problems(agent(selector={"pool": "gpu"}), chosen) == []
    assert problems(agent(selector={"pool": "other"}), chosen) == ["AgentMissesNode"]
    assert problems(agent(selector={"pool": "other"}), node(is_gpu=False)) == []


def test_an_agent_that_waits_for_discovery_behind_the_gate_is_a_deadlock() -> None:
    """Neither ever starts on a new node."""
    late = [{"key": "nvidia.com/gpu.present", "operator": "In", "values": ["true"]}]
    waiting = daemon_set("nfd-worker", GPU_TOLERATION, image=NFD)
    assert "AgentWaitsForLabel" in problems(agent(affinity=late), waiting)
    tolerant = daemon_set("nfd-worker", GATE, image=NFD)
    assert "AgentWaitsForLabel" not in problems(agent(affinity=late), tolerant)
    both = [*late, {"key": "cloud.google.com/gke-accelerator", "operator": "Exists"}]
    assert "AgentWaitsForLabel" not in problems(agent(affinity=both), waiting)
    registered = node(labels={"nvidia.com/gpu.present": "true"}, taints=[taint()])
    assert "AgentWaitsForLabel" not in problems(agent(affinity=late), waiting, registered)


def test_versions_that_differ_are_a_note() -> None:
    """A patch release is none."""
    assert "VersionSkew" in all_names(agent(version="0.2.0"), webhook(version="0.1.0"))
    assert "VersionSkew" not in all_names(agent(version="0.1.1"), webhook(version="0.1.0"))


def test_an_image_of_another_name_is_known_by_the_charts_labels() -> None:
    """A mirror calls it what it wants."""
    labels = {"app.kubernetes.io/component": "agent", "app.kubernetes.io/part-of": "tunegate"}
    renamed = daemon_set("x", EVERYTHING, image="mirror/a:1", labels=labels)
    assert "TunegateReady" in all_names(renamed)


def test_a_webhook_that_cannot_be_called_is_told() -> None:
    """Without a bundle, without endpoints, or too strict."""
    assert problems(agent(), webhook(), hook(bundle=""), endpoint_slice()) == ["BundleEmpty"]
    assert problems(agent(), webhook(), hook()) == ["NoEndpoints"]
    dead = endpoint_slice(is_ready=False)
    assert problems(agent(), webhook(), hook(), dead) == ["NoEndpoints"]
    assert problems(agent(), webhook(), hook(), read={"DaemonSet"}) == []
    strict = hook(policy="Fail")
    assert problems(agent(), webhook(), strict, endpoint_slice()) == ["FailsClosed"]


def test_agents_that_nothing_ties_to_their_node_are_a_note() -> None:
    """A policy counts when it is bound to Deny."""
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    read = {"DaemonSet", "Deployment", *kinds}
    policy = {
        "kind": kinds[0],
        "metadata": {"name": "tunegate-agent-own-node"},
        "spec": {"validations": [{"expression": "authentication.kubernetes.io/node-name"}]},
    }
    bound: Json = {
        "kind": kinds[1],
        "metadata": {"name": "b"},
        "spec": {"policyName": "tunegate-agent-own-node", "validationActions": ["Deny"]},
    }
    warned = {**bound, "spec": {**bound["spec"], "validationActions": ["Audit"]}}
    assert "OwnNodePolicyMissing" in all_names(agent(), webhook(), read=read)
    assert "OwnNodePolicyMissing" in all_names(agent(), webhook(), policy, warned, read=read)
    assert "OwnNodePolicyMissing" not in all_names(agent(), webhook(), policy, bound, read=read)


@pytest.mark.parametrize(
    ("name", "image", "owner", "word"),
    [
        ("nvidia-driver-daemonset", "nvcr.io/nvidia/driver:580", "ClusterPolicy", "daemonsets:"),
        ("nvidia-container-toolkit", "nvcr.io/x:1", "ClusterPolicy", "daemonsets:"),
        ("nvidia-device-plugin", "nvcr.io/nvidia/k8s-device-plugin:v0.18", "", "tolerations:"),
        ("dcgm-exporter", "nvcr.io/nvidia/k8s/dcgm-exporter:4", "", "tolerations:"),
        ("gpu-operator-nfd-worker", NFD, "", "node-feature-discovery:"),
        ("gpu-feature-discovery", "nvcr.io/x:1", "ClusterPolicy", "daemonsets:"),
        ("mofed-ubuntu", "nvcr.io/nvidia/mellanox/doca:1", "NicClusterPolicy", "spec:"),
        ("csi-nfs-node", "registry.k8s.io/sig-storage/nfsplugin:v4", "", "tolerations:"),
    ],
)
def test_what_a_gpu_pod_needs_must_not_wait_behind_the_gate(
    name: str, image: str, owner: str, word: str
) -> None:
    """Each with the lines for its own chart."""
    waiting = daemon_set(name, GPU_TOLERATION, image=image, owner=owner)
    assert problems(waiting, node()) == ["BehindGate"]
    found = said("BehindGate", waiting, node())
    assert found.snippet.startswith(word)
    assert f"key: {KEY}" in found.snippet
    assert problems(daemon_set(name, GATE, image=image, owner=owner), node()) == []
    assert problems(waiting) == ["BehindGate"]


def test_one_finding_for_all_that_the_same_lines_cure() -> None:
    """The GPU operator makes eight."""
    many = [daemon_set(f"nvidia-{n}", GPU_TOLERATION, owner="ClusterPolicy") for n in range(8)]
    found = said("BehindGate", *many, node())
    assert found.target.count("gpu/nvidia-") == 8


def test_a_daemon_set_that_nothing_waits_for_is_a_note() -> None:
    """A log shipper may start later."""
    shipper = daemon_set("fluent-bit", image="fluent/fluent-bit:3")
    assert said("BehindGate", shipper, node()).severity is Severity.NOTE
    assert "BehindGate" not in all_names(shipper)


def test_a_daemon_set_of_other_nodes_is_not_spoken_of() -> None:
    """Nor one of Windows."""
    elsewhere = daemon_set("nvidia-x", selector={"pool": "other"})
    assert all_names(elsewhere, node()).count("BehindGate") == 0
    windows = daemon_set("csi-node-win", selector={"kubernetes.io/os": "windows"})
    assert "BehindGate" not in all_names(windows)
    operators = daemon_set("nvidia-driver", selector={"nvidia.com/gpu.deploy.driver": "true"})
    assert "BehindGate" in all_names(operators, node())


def test_the_gate_that_counts_is_the_one_that_is_used() -> None:
    """A DaemonSet has to tolerate what pools put on, not all five keys."""
    used = node(taints=[taint("llm-inference.net-ready")])
    tolerant = daemon_set("nvidia-x", {"key": "llm-inference.net-ready", "operator": "Exists"})
    assert "BehindGate" not in all_names(tolerant, used)
    assert "BehindGate" in all_names(daemon_set("nvidia-x", GATE), used)


def test_a_vllm_pod_that_passes_the_gate_is_told_once_an_owner() -> None:
    """By the key, or by tolerating everything."""
    assert problems(vllm_pod(GATE)) == ["PodPassesGate"]
    assert problems(vllm_pod(EVERYTHING), vllm_pod(EVERYTHING, name="b")) == ["PodPassesGate"]
    assert problems(vllm_pod(GPU_TOLERATION)) == []
    assert "tolerates every taint" in said("PodPassesGate", vllm_pod(EVERYTHING)).message
    other = vllm_pod(EVERYTHING)
    other["spec"]["containers"] = [{"name": "x", "image": "fluent/fluent-bit:3"}]
    assert problems(other) == []


def rule(condition: str = names.CONDITION, mode: str = "bootstrap-only", **more: object) -> Json:
    """Return a NodeReadinessRule that holds one of our gates."""
    spec = {
        "conditions": [{"type": condition, "requiredStatus": "True"}],
        "taint": taint("readiness.k8s.io/network-not-tuned"),
        "enforcementMode": mode,
        **more,
    }
    return {"kind": "NodeReadinessRule", "metadata": {"name": "r"}, "spec": spec}


def test_a_readiness_rule_has_to_wait_for_our_condition_and_act_once() -> None:
    """Rules of other taints are none of our business."""
    assert problems(rule()) == []
    assert "RuleAgrees" in all_names(rule())
    assert problems(rule("example.com/CNIReady")) == ["RuleWithoutCondition"]
    assert problems(rule(mode="continuous")) == ["RuleClosesAgain"]
    assert problems(rule(mode="continuous", dryRun=True)) == []
    foreign = rule("x", taint=taint("readiness.k8s.io/other"))
    assert "RuleAgrees" not in all_names(foreign)


def test_the_agents_own_list_of_keys_is_read_from_its_config_map() -> None:
    """As the chart mounts it; what cannot be read leaves the built-in keys."""
    mounted = agent(volumes=[{"name": "c", "configMap": {"name": "settings"}}])
    for text, expected in (
        ('{"gate": {"taints": ["a/b"]}}', ("a/b",)),
        ("gate:\n  taints: [a/b]\n", ("a/b",)),
        ("mtu: 9000", names.GATE_TAINTS),
        ("{", names.GATE_TAINTS),
        ("- 3", names.GATE_TAINTS),
    ):
        settings: Json = {
            "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": "tunegate"},
            "data": {"agent.json": text},
        }
        assert gate_keys({"DaemonSet": [mounted], "ConfigMap": [settings]}) == expected
        elsewhere = {**settings, "metadata": {"name": "settings", "namespace": "x"}}
        raw = {"DaemonSet": [mounted], "ConfigMap": [elsewhere]}
        assert gate_keys(raw) == names.GATE_TAINTS


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"key": KEY, "operator": "Exists"}, True),
        ({"key": KEY, "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": KEY, "value": "true", "effect": "NoSchedule"}, True),
        ({"operator": "Exists", "effect": "NoSchedule"}, True),
        ({"operator": "Equal"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({}, False),
    ],
)
def test_tolerations_are_read_as_the_scheduler_reads_them(
    toleration: Json,
    expected: bool,  # noqa: FBT001 - a table
) -> None:
    """An empty key with Exists tolerates everything of its effect."""
    assert selection_of({"spec": {"tolerations": [toleration]}}).tolerates(KEY) is expected


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        *(("In", ["a"], True), ("In", ["b"], False), ("NotIn", ["b"], True)),
        *(("NotIn", ["a"], False), ("Exists", [], True), ("DoesNotExist", [], False)),
        *(("Gt", ["1"], False), ("Lt", ["1"], True), ("Odd", [], False)),
    ],
)
def test_affinity_is_read_as_the_scheduler_reads_it(
    operator: str,
    values: list[str],
    expected: bool,  # noqa: FBT001 - a table
) -> None:
    """The label is `a`; a text that is no number counts as 0."""
    term = {"matchExpressions": [{"key": "k", "operator": operator, "values": values}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    selection = selection_of({"spec": {"affinity": {"nodeAffinity": required}}})
    assert selection.chooses({"k": "a"}) is expected


def test_a_term_may_name_the_node() -> None:
    """As DaemonSet pods themselves do; an empty term chooses nothing."""
    field = {"key": "metadata.name", "operator": "In", "values": ["gpu-1"]}
    for term, expected in (({"matchFields": [field]}, True), ({}, False)):
        terms = {"nodeSelectorTerms": [term]}
        required = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
        selection = selection_of({"spec": {"affinity": {"nodeAffinity": required}}})
        assert selection.chooses({}, "gpu-1") is expected
        assert not selection.chooses({}, "gpu-2")


def own(status: Json, node_name: str = "gpu-1", command: str = "tunegate-agent") -> Json:
    """Return a pod of ours with this status."""
    return {
        "kind": "Pod",
        "metadata": {"name": f"{command}-x1", "namespace": "tunegate"},
        "spec": {"nodeName": node_name, "containers": [{"name": "c", "image": f"r/{command}:1"}]},
        "status": status,
    }


PULL = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
CRASH = {"reason": "CrashLoopBackOff"}


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ({"containerStatuses": [{"state": PULL}]}, "ImagePullBackOff: no such image"),
        (
            {
                "containerStatuses": [
                    {"state": {"waiting": CRASH}, "lastState": {"terminated": {"exitCode": 2}}}
                ]
            },
            "CrashLoopBackOff, exit code 2 before",
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unscheduled"}]},
            "Unscheduled",
        ),
        ({"phase": "Running"}, "Running, not Ready"),
    ],
)
def test_why_an_agent_is_not_there_is_told_with_its_node(status: Json, word: str) -> None:
    """A stuck gate's next question, answered."""
    stuck = node(taints=[taint()], created="2026-11-21T11:00:00Z")
    found = said("GateStuck", agent(status=(1, 0)), own(status), stuck)
    assert word in found.message
    assert found.snippet == "kubectl describe pod -n tunegate tunegate-agent-x1"
    assert word in said("AgentNotReady", agent(status=(1, 0)), own(status), stuck).message


def refused(owner: str, message: str) -> Json:
    """Return the Event in which a controller says that it could not create a pod."""
    return {
        "kind": "Event",
        "metadata": {"name": f"{owner}.1", "namespace": "tunegate"},
        "involvedObject": {"kind": "DaemonSet", "namespace": "tunegate", "name": owner},
        "reason": "FailedCreate",
        "message": f"Error creating: {message}",
    }


@pytest.mark.parametrize(
    ("message", "snippet"),
    [
        ('violates PodSecurity "baseline:latest"', "pod-security.kubernetes.io/enforce=privileged"),
        ("exceeded quota: small", "kubectl get events -n tunegate"),
    ],
)
def test_why_there_is_no_pod_at_all_is_told(message: str, snippet: str) -> None:
    """In the API server's words, with what lets it in."""
    events = refused("tunegate-agent", message), refused("another", "it is not ours")
    found = said("AgentNotReady", agent(status=(1, 0)), *events)
    assert f"the API server refuses its pods: {message}" in found.message
    assert snippet in found.snippet
    replicas = refused("tunegate-webhook-5f7", message)
    found = said("WebhookNotReady", agent(), webhook(ready=0), replicas)
    assert message in found.message


def test_a_pod_of_ours_that_is_well_is_not_spoken_of() -> None:
    """Nor one of the webhook's in place of the agent's."""
    well = own({"conditions": [{"type": "Ready", "status": "True"}]})
    stuck = node(taints=[taint()], created="2026-11-21T11:00:00Z")
    assert "no agent has said anything" in said("GateStuck", agent(), well, stuck).message
    sick = own({"phase": "Pending"}, command="tunegate-webhook")
    message = said("WebhookNotReady", agent(), webhook(ready=1), sick).message
    assert "tunegate/tunegate-webhook-x1: Pending, not Ready" in message


def test_an_agents_pod_that_waits_is_known_by_the_node_it_is_meant_for() -> None:
    """As the DaemonSet's controller writes it."""
    waiting = own({"phase": "Pending"}, node_name="")
    field = {"key": "metadata.name", "operator": "In", "values": ["gpu-1"]}
    terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
    waiting["spec"]["affinity"] = {"nodeAffinity": required}
    stuck = node(taints=[taint()], created="2026-11-21T11:00:00Z")
    assert "Pending, not Ready" in said("GateStuck", agent(), waiting, stuck).message
