"""`tunegate doctor --cluster` against a real API server, with all rights, few and none."""

import json
import re
from collections.abc import Collection
from pathlib import Path

import pytest
import yaml

from cli.doctor.read_cluster import COLLECTIONS
from tests.api.laptop import Laptop, eventually
from tests.lab import binaries, chart, karpenter
from tests.lab.api import ApiClient, Object
from tests.lab.control_plane import ControlPlane
from tests.lab.objects import GATE, gpu_node, vllm_pod

pytestmark = [pytest.mark.api, pytest.mark.timeout(600)]

EVERYTHING = {"operator": "Exists"}
GPU_TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
GATE_TOLERATION = {"key": GATE["key"], "operator": "Exists", "effect": "NoSchedule"}
RULES_GROUP = "readiness.node.x-k8s.io"
STATUS = "clusterWide: {health: {status: Unhealthy, nodeCounts: {registered: {ready: 1}}}}"
READ_BY_DOCTOR = (
    *("DaemonSet", "Deployment", "ConfigMap", "Service"),
    *("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"),
    *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
)


def workload(kind: str, name: str, image: str, *tolerations: Object) -> Object:
    """Return a DaemonSet or a Deployment."""
    labels = {"app": name}
    container = {"name": "c", "image": image}
    pod = {"containers": [container], "tolerations": list(tolerations)}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def rules_definition() -> Object:
    """Return a definition of NodeReadinessRules that takes any fields."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True}
    kind = {"kind": "NodeReadinessRule", "plural": "nodereadinessrules"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"nodereadinessrules.{RULES_GROUP}"},
        "spec": {
            "group": RULES_GROUP,
            "names": kind,
            "scope": "Cluster",
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def sick_cluster() -> list[Object]:
    """Return what is wrong with a cluster in which tunegate is installed as the chart has it."""
    passing = vllm_pod("passing")
    passing["spec"]["tolerations"] = [EVERYTHING]
    status = {"name": "cluster-autoscaler-status", "namespace": "kube-system"}
    old = "registry.k8s.io/autoscaling/cluster-autoscaler:v1.28.2"
    return [
        gpu_node("gpu-1"),
        passing,
        karpenter.node_pool("gpu", taints=[GATE]),
        workload("DaemonSet", "nvidia-device-plugin", "nvcr.io/x:1", GPU_TOLERATION),
        workload("Deployment", "cluster-autoscaler", old),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": status,
            "data": {"status": STATUS},
        },
        *(one for one in chart.shipped() if one["kind"] in READ_BY_DOCTOR),
    ]


def define_kinds(admin: ApiClient) -> None:
    """Give the API server Karpenter's kinds and NodeReadinessRules."""
    crds = yaml.safe_load_all(binaries.find("karpenter-crds").read_text())
    for one in (*filter(None, crds), rules_definition()):
        admin.create(one)
    for path in (COLLECTIONS["NodePool"], COLLECTIONS["NodeReadinessRule"]):
        admin.wait_for(path, bool)


@pytest.fixture(scope="module")
def laptop(control_plane: ControlPlane) -> Laptop:
    """Give an administrator of a cluster in which much is wrong."""
    admin = control_plane.admin
    define_kinds(admin)
    admin.create(*sick_cluster())
    rule = {
        "apiVersion": f"{RULES_GROUP}/v1alpha1",
        "kind": "NodeReadinessRule",
        "metadata": {"name": "ours"},
        "spec": {
            "conditions": [{"type": "x/y", "requiredStatus": "True"}],
            "taint": {"key": "readiness.k8s.io/network-not-tuned", "effect": "NoSchedule"},
            "enforcementMode": "continuous",
        },
    }
    admin.post(COLLECTIONS["NodeReadinessRule"], rule)
    return Laptop(control_plane, control_plane.kubeconfig)


def names_of(laptop: Laptop, severities: Collection[str] = ("problem",)) -> set[str]:
    """Return the names of the findings of these severities."""
    done = laptop.run("tunegate", "doctor", "--cluster", "-o", "json", "--stuck-after", "1e-6")
    assert done.stdout, done.stderr
    shown = json.loads(done.stdout)
    assert done.returncode == (0 if shown["isGood"] else 1)
    return {one["name"] for one in shown["findings"] if one["severity"] in severities}


def test_all_that_is_wrong_is_found(laptop: Laptop) -> None:
    """Each by its name; what the chart installs is known for what it is."""
    eventually(lambda: "GateStuck" in names_of(laptop))
    assert names_of(laptop) == {
        *("AgentMissesNode", "WebhookNotReady", "BundleEmpty", "NoEndpoints"),
        *("GateUnderTaints", "GateStuck", "AutoscalerTooOld", "AutoscalerHalts"),
        *("BehindGate", "PodPassesGate", "RuleWithoutCondition", "RuleClosesAgain"),
    }
    assert names_of(laptop, ["note"]) == set()


def test_a_person_reads_it_in_80_columns(laptop: Laptop) -> None:
    """Also as a plug-in of kubectl; the lines to copy stay whole."""
    for command in (("tunegate",), ("kubectl", "tunegate")):
        done = laptop.run(*command, "doctor", "--cluster", "--stuck-after", "1e-6")
        assert (done.returncode, done.stderr) == (1, "")
        prose = [line for line in done.stdout.splitlines() if not line.startswith("        ")]
        assert [line for line in prose if len(line) > 80] == []
        assert "gate stuck for" in done.stdout
        assert "12 problems, no notes" in done.stdout


def test_the_lines_that_cure_it_do(laptop: Laptop) -> None:
    """Typed as they are printed, the findings are gone."""
    admin = laptop.control_plane.admin
    done = laptop.run("tunegate", "doctor", "--cluster", "-o", "json")
    (found,) = [one for one in json.loads(done.stdout)["findings"] if "Taints" in one["name"]]
    pool = f"{COLLECTIONS['NodePool']}/gpu"
    admin.patch(pool, yaml.safe_load(found["snippet"]))
    admin.patch(pool, {"spec": {"template": {"spec": {"taints": None}}}})
    plugin = "/apis/apps/v1/namespaces/kube-system/daemonsets/nvidia-device-plugin"
    tolerations = [GPU_TOLERATION, GATE_TOLERATION]
    admin.patch(plugin, {"spec": {"template": {"spec": {"tolerations": tolerations}}}})
    admin.delete(f"{COLLECTIONS['NodeReadinessRule']}/ours")
    admin.patch("/api/v1/nodes/gpu-1", {"metadata": {"labels": {karpenter.GPU_LABEL: "1"}}})
    cured = {"GateUnderTaints", "BehindGate", "RuleClosesAgain", "AgentMissesNode"}
    assert not names_of(laptop) & cured
    assert {"PoolGated", "AllTolerate"} <= names_of(laptop, ["good"])


def test_rights_that_lack_are_notes_and_no_failure(
    laptop: Laptop, control_plane: ControlPlane
) -> None:
    """Of what was not read nothing is concluded."""
    nobody = Laptop(control_plane, control_plane.client_kubeconfig("nobody"))
    assert names_of(nobody, ["problem", "note", "good"]) == {"NotRead"}
    done = nobody.run("tunegate", "doctor", "--cluster")
    assert done.returncode == 0
    assert "kubectl auth can-i list nodes" in done.stdout
    rules = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "nodes-only"}}
    subject = {"kind": "User", "name": "some", "apiGroup": "rbac.authorization.k8s.io"}
    reference = {"kind": "ClusterRole", "name": "nodes-only", "apiGroup": subject["apiGroup"]}
    control_plane.admin.create(
        {**role, "kind": "ClusterRole", "rules": rules},
        {**role, "kind": "ClusterRoleBinding", "subjects": [subject], "roleRef": reference},
    )
    some = Laptop(control_plane, control_plane.client_kubeconfig("some"))
    eventually(lambda: "GateStuck" in names_of(some))
    assert names_of(some) == {"GateStuck"}


def test_the_rights_that_the_documentation_grants_are_enough(
    laptop: Laptop, control_plane: ControlPlane
) -> None:
    """An administrator types its two commands."""
    page = Path("docs/cli.md").read_text()
    commands = re.findall(r"^\$ (kubectl create .* tunegate-doctor .*)$", page, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        done = laptop.run(*command.replace("NAME", "granted").split())
        assert done.returncode == 0, done.stderr
    granted = Laptop(control_plane, control_plane.client_kubeconfig("granted"))
    eventually(lambda: "NotRead" not in names_of(granted, ["note"]))
    assert names_of(granted) == names_of(laptop)


def test_it_only_reads(laptop: Laptop, control_plane: ControlPlane) -> None:
    """Whatever the person might do."""
    # the log may be a moment behind
    eventually(lambda: len(control_plane.requests("some")) > len(COLLECTIONS))
    asked = control_plane.requests("some")
    assert {entry.verb for entry in asked} <= {"get", "list"}
