"""
Run the real Karpenter with its KWOK provider: https://karpenter.sh/docs/concepts.

It makes NodeClaims for pods that wait; the provider makes a Node for each, and the lab's kwok keeps
it Ready. Everything about taints (startupTaints, registration, initialisation) is Karpenter's own.
"""

import json
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from tests.lab import binaries
from tests.lab.api import Object, is_established, object_path
from tests.lab.control_plane import ControlPlane
from tests.lab.objects import GPU
from tests.lab.process import LabDir, LabProcess

PROGRAMS = ("karpenter", "karpenter-crds")
POOL_LABEL = "karpenter.sh/nodepool"
REGISTERED = "karpenter.sh/registered"
INITIALIZED = "karpenter.sh/initialized"
DO_NOT_SYNC = "karpenter.sh/do-not-sync-taints"
UNREGISTERED: Mapping[str, str] = {"key": "karpenter.sh/unregistered", "effect": "NoExecute"}
GPU_LABEL = "karpenter.k8s.aws/instance-gpu-count"
GPU_MAKER_LABEL = "karpenter.k8s.aws/instance-gpu-manufacturer"
"""What the provider for AWS writes on each node with GPUs, from the instance type's data."""
CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"
PROVIDER_PREFIX = "kwok://"


class Karpenter:
    """One Karpenter beside a control plane; its end leaves its NodeClaims as they are."""

    def __init__(self, lab_dir: LabDir, control_plane: ControlPlane, netns: str) -> None:
        """Prepare; nothing runs yet."""
        self._lab_dir = lab_dir
        self._admin = control_plane.admin
        self._netns = netns
        self._kubeconfig = control_plane.client_kubeconfig(
            "karpenter", ["system:masters"], host="127.0.0.1"
        )
        self._process: LabProcess | None = None

    def start(self, settings: Mapping[str, str] | None = None) -> None:
        """Give the API its kinds and start it; back at once. ``settings`` are its environment."""
        for definition in _definitions():
            self._admin.create(definition)
            self._admin.wait_for(object_path(definition), is_established)
        types = self._lab_dir.path / "instance-types.json"
        types.write_text(json.dumps(instance_types()), encoding="utf-8")
        environment = {
            "KUBECONFIG": str(self._kubeconfig),
            "SYSTEM_NAMESPACE": "kube-system",
            "DISABLE_LEADER_ELECTION": "true",
            "INSTANCE_TYPES_FILE_PATH": str(types),
            **(settings or {}),
        }
        argv = [str(binaries.find("karpenter"))]
        self._process = self._lab_dir.spawn("karpenter", argv, netns=self._netns, env=environment)

    def pause(self) -> None:
        """Have it do nothing until `resume`; what happens meanwhile it learns then."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self.resume()
            self._process.stop()
            self._process = None

    def log_text(self) -> str:
        """Return what it said so far."""
        log: Path = self._lab_dir.path / "logs" / "karpenter.log"
        return log.read_text(encoding="utf-8", errors="replace")

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)


def instance_types() -> list[Object]:
    """Return what is on offer: a type with a GPU, labelled as on AWS, and a cheaper one without."""
    common = {"cpu": "16", "memory": "128Gi", "ephemeral-storage": "1Ti"}
    return [
        _type("gpu-lab", 2.0, {**common, GPU: "1"}, {GPU_LABEL: "1", GPU_MAKER_LABEL: "nvidia"}),
        _type("cpu-lab", 1.0, common, {}),
    ]


def _type(name: str, price: float, resources: Object, labels: Mapping[str, str]) -> Object:
    wanted = {
        "karpenter.sh/capacity-type": "on-demand",
        "topology.kubernetes.io/zone": "zone-a",
        **labels,
    }
    requirements = [
        {"key": key, "operator": "In", "values": [value]} for key, value in wanted.items()
    ]
    return {
        "name": name,
        "architecture": "amd64",
        "operatingSystems": ["linux"],
        "resources": resources,
        "offerings": [{"Price": price, "Available": True, "Requirements": requirements}],
    }


def node_class(name: str = "kwok", *, registration_delay: str = "") -> Object:
    """Return a KWOKNodeClass; ``registration_delay`` ("1h") is how late its Nodes appear."""
    spec = {"nodeRegistrationDelay": registration_delay} if registration_delay else {}
    return {
        "apiVersion": "karpenter.kwok.sh/v1alpha1",
        "kind": "KWOKNodeClass",
        "metadata": {"name": name},
        "spec": spec,
    }


def node_pool(
    name: str,
    *,
    taints: Sequence[Mapping[str, str]] = (),
    startup_taints: Sequence[Mapping[str, str]] = (),
    labels: Mapping[str, str] | None = None,
    gpus: int = 1000,
    of_class: str = "kwok",
) -> Object:
    """Return a NodePool that never takes a node away by itself and buys so many GPUs at most."""
    reference = {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": of_class}
    spec: Object = {
        "nodeClassRef": reference,
        "requirements": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}],
        "taints": [dict(one) for one in taints],
        "startupTaints": [dict(one) for one in startup_taints],
        "expireAfter": "Never",
    }
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": name},
        "spec": {
            "template": {"metadata": {"labels": dict(labels or {})}, "spec": spec},
            "disruption": {"consolidationPolicy": "WhenEmpty", "consolidateAfter": "Never"},
            "limits": {GPU: str(gpus)},
        },
    }


def condition(claim: Object, kind: str) -> tuple[str, str]:
    """Return (status, reason) of one of a NodeClaim's conditions; ("", "") when it has none."""
    for one in claim.get("status", {}).get("conditions", []):
        if one["type"] == kind:
            return one["status"], one.get("reason", "")
    return "", ""


def _definitions() -> list[Object]:
    text = binaries.find("karpenter-crds").read_text(encoding="utf-8")
    return [one for one in yaml.load_all(text, Loader=yaml.CSafeLoader) if one]
