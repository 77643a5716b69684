"""
Kyverno's admission controller, from its own manifest, with a policy that adds the same to pods.

It writes its certificates and its webhook configurations itself. What its other controllers do
(reports, clean-up) takes no part in admission and is left out; there is no kubelet, so its
Deployment's pod stays pending while the program runs beside it, with the manifest's own arguments.
"""

import base64
import json
from dataclasses import dataclass, field
from typing import Final

import yaml

from tests.bench.webhook import cluster
from tests.bench.webhook.contenders import ADMISSION, KYVERNO, Nobody, Place
from tests.lab import binaries
from tests.lab.api import Object
from tests.lab.netns import Namespace
from tests.lab.process import LabProcess

NAMESPACE: Final = "kyverno"
SERVICE: Final = "kyverno-svc"
DEPLOYMENT: Final = "kyverno-admission-controller"
CONFIGURATION: Final = "kyverno-resource-mutating-webhook-cfg"
PORT: Final = 9443
_PATHS: Final = {
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "ConfigMap": f"/api/v1/namespaces/{NAMESPACE}/configmaps",
    "ServiceAccount": f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts",
}
_TOLERATIONS: Final = [
    {"key": "nvidia.com/gpu", "operator": "Exists", "effect": effect}
    for effect in ("NoSchedule", "NoExecute")
]
_PROBE: Final = {
    "httpGet": {"path": "/health", "port": 8000, "scheme": "HTTP"},
    "timeoutSeconds": 5,
    "periodSeconds": 10,
    "successThreshold": 1,
    "failureThreshold": 180,
    "terminationGracePeriodSeconds": 30,
}
_SHM: Final = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}
_PATCH: Final = [
    *({"op": "add", "path": "/spec/tolerations/-", "value": one} for one in _TOLERATIONS),
    {"op": "add", "path": "/spec/containers/0/startupProbe", "value": _PROBE},
    {"op": "add", "path": "/spec/volumes/-", "value": _SHM},
    {
        "op": "add",
        "path": "/spec/containers/0/volumeMounts/-",
        "value": {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - a mount path
    },
]
_LIMIT: Final = (
    """{{ request.object.spec.containers[0].resources.limits."nvidia.com/gpu" || '' }}"""
)
POLICY: Final = {
    "apiVersion": "kyverno.io/v1",
    "kind": "ClusterPolicy",
    "metadata": {
        "name": "gpu-pods",
        "annotations": {"pod-policies.kyverno.io/autogen-controllers": "none"},
    },
    "spec": {
        "failurePolicy": "Ignore",
        "background": False,
        "rules": [
            {
                "name": "gpu-pods",
                "match": {"any": [{"resources": {"kinds": ["Pod"], "operations": ["CREATE"]}}]},
                "preconditions": {
                    "all": [
                        {
                            "key": _LIMIT,
                            "operator": "NotEquals",
                            "value": "",
                        }
                    ]
                },
                "mutate": {"patchesJson6902": json.dumps(_PATCH)},
            }
        ],
    },
}


@dataclass(slots=True)
class Kyverno(Nobody):
    """Its admission controller as one process."""

    name: str = KYVERNO
    hook: str = "mutate.kyverno.svc-ignore"
    process: LabProcess | None = None
    address: str = ""
    pod: Namespace = field(init=False)
    _documents: list[Object] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Apply what its manifest holds, but for its workloads."""
        self.namespace = cluster.namespace_for(self.lab, "kyverno")
        self.lab.namespace(NAMESPACE)
        self.pod, self.address = self.lab.network.pod()
        text = binaries.find("kyverno-install").read_text()
        self._documents = [one for one in yaml.load_all(text, Loader=yaml.CSafeLoader) if one]
        for one in self._documents:
            if one["kind"] in _PATHS:
                self.lab.admin.post(_PATHS[one["kind"]], self._adapted(one))
        cluster.service_of(self.lab, NAMESPACE, SERVICE, self.address, PORT)
        deployment = self._deployment()
        deployment["spec"]["template"]["spec"]["schedulerName"] = "nobody"
        self.lab.admin.create(deployment)

    def _adapted(self, one: Object) -> Object:
        """Return an object of the manifest; its webhooks are to see the bench's namespace only."""
        if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "kyverno":
            only = {"namespaceSelector": {"matchLabels": {cluster.BENCH_LABEL: "kyverno"}}}
            one = {**one, "data": {**one["data"], "webhooks": json.dumps(only)}}
        return one

    def _deployment(self) -> Object:
        [found] = [
            one
            for one in self._documents
            if one["kind"] == "Deployment" and one["metadata"]["name"] == DEPLOYMENT
        ]
        return found

    def _command(self) -> tuple[list[str], dict[str, str]]:
        """Return the manifest's own arguments and environment."""
        [container] = self._deployment()["spec"]["template"]["spec"]["containers"]
        known = {"KYVERNO_NAMESPACE": NAMESPACE, "KYVERNO_POD_NAME": f"{DEPLOYMENT}-0"}
        known["TUF_ROOT"] = str(self.lab.lab_dir.path / "sigstore")
        environment = {
            one["name"]: known.get(one["name"], one.get("value", "")) for one in container["env"]
        }
        kubeconfig = self.lab.control_plane.client_kubeconfig("kyverno", ["system:masters"])
        argv = [str(binaries.find("kyverno")), *container["args"], f"--kubeconfig={kubeconfig}"]
        return argv, environment

    def start(self) -> None:
        """Start it; back when its pods are injected."""
        argv, environment = self._command()
        self.process = self.pod.spawn("kyverno", argv, environment)
        cluster.await_(self._ready, "Kyverno is ready", 180.0)
        path = "/apis/kyverno.io/v1/clusterpolicies"
        cluster.await_(lambda: self.lab.admin.post(path, POLICY), "Kyverno takes its policy")
        cluster.await_injected(self.lab, self.namespace)

    def _ready(self) -> Object | None:
        assert self.process
        if self.process.poll() is not None:
            tail = "\n".join(self.process.log_text().splitlines()[-15:])
            raise AssertionError(f"Kyverno ended; the end of its log:\n{tail}")
        status = cluster.https_status(self.lab.cp, self.address, PORT, "/health/readiness")
        return {} if status == 200 else None

    def stop(self) -> None:
        """End it, and the calls to it."""
        if self.process is None:
            return
        self.lab.admin.call("DELETE", "/apis/kyverno.io/v1/clusterpolicies/gpu-pods")
        self.process.stop(30.0)
        self.process = None
        cluster.forget_configurations(self.lab)

    def place(self) -> Place | None:
        """Return where it listens, as its own webhook configuration says."""
        assert self.process
        hooks = self.lab.admin.get(
            f"/apis/{ADMISSION}/mutatingwebhookconfigurations/{CONFIGURATION}"
        )["webhooks"]
        [client] = [one["clientConfig"] for one in hooks if one["name"] == self.hook]
        name = f"{SERVICE}.{NAMESPACE}.svc"
        ca_bundle = base64.b64decode(client["caBundle"])
        return Place(self.process.pid, self.address, client["service"]["path"], name, ca_bundle)
