"""Who is compared: nobody, the webhook, a plain Go injector, and Kyverno with an equal policy."""

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.webhook import cluster
from tests.lab import binaries
from tests.lab.api import Object
from tests.lab.netns import Namespace
from tests.lab.process import LabProcess
from tests.lab.webhook_lab import WebhookLab
from tests.lab.webhook_objects import DNS_NAME, POD_HOOK, mutating_configuration
from tests.lab.webhook_pods import SERVING_PORT, Replica

NOBODY: Final = "no webhook"
OURS: Final = "tunegate"
PLAIN_GO: Final = "Go injector"
KYVERNO: Final = "Kyverno"
ADMISSION: Final = "admissionregistration.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contender takes reviews, for whoever posts to it past the API server."""

    pid: int
    address: str
    path: str
    server_name: str
    ca_bundle: bytes


@dataclass(slots=True)
class Nobody:
    """The API server alone."""

    lab: WebhookLab
    name: str = NOBODY
    hook: str = ""
    namespace: str = field(init=False)

    def __post_init__(self) -> None:
        """Make its namespace."""
        self.namespace = cluster.namespace_for(self.lab, "nobody")

    def start(self) -> None:
        """Have nothing to start."""

    def stop(self) -> None:
        """Have nothing to stop."""

    def place(self) -> Place | None:
        """Return None: nobody takes reviews."""
        return None


@dataclass(slots=True)
class Ours(Nobody):
    """One replica of the webhook as an installation runs it."""

    name: str = OURS
    hook: str = POD_HOOK
    replica: Replica | None = None

    def __post_init__(self) -> None:
        """Make its namespace."""
        self.namespace = cluster.namespace_for(self.lab, "ours")

    def start(self) -> None:
        """Start it; back when its pods are injected."""
        [self.replica] = self.lab.start_replicas(1)
        configuration = mutating_configuration(self.lab.ca_bundle)
        hooks = [cluster.only_for("ours", hook) for hook in configuration["webhooks"]]
        self.lab.configure({**configuration, "webhooks": hooks})
        cluster.await_injected(self.lab, self.namespace)

    def stop(self) -> None:
        """End it, and the calls to it."""
        cluster.forget_configurations(self.lab)
        if self.replica is not None:
            self.lab.pods.remove(self.replica)
            self.replica = None

    def place(self) -> Place | None:
        """Return where the replica listens."""
        assert self.replica
        pid, address = self.replica.process.pid, self.replica.address
        return Place(pid, address, "/mutate", DNS_NAME, self.lab.ca_bundle)


@dataclass(slots=True)
class PlainGo(Nobody):
    """What one would write by hand on controller-runtime."""

    name: str = PLAIN_GO
    hook: str = "pods.go-injector.example"
    process: LabProcess | None = None
    address: str = ""
    pod: Namespace = field(init=False)

    def __post_init__(self) -> None:
        """Make its namespaces, its Service and its certificate."""
        self.namespace = cluster.namespace_for(self.lab, "go")
        self.lab.namespace("go-injector")
        self.pod, self.address = self.lab.network.pod()
        cluster.service_of(self.lab, "go-injector", "go-injector", self.address, SERVING_PORT)
        pair = self.lab.authority.server("go-injector", [self.server_name])
        self.folder.mkdir()
        (self.folder / "tls.crt").symlink_to(pair.certificate)
        (self.folder / "tls.key").symlink_to(pair.key)

    @property
    def server_name(self) -> str:
        """Return the name in its certificate."""
        return "go-injector.go-injector.svc"

    @property
    def folder(self) -> Path:
        """Return where its certificate is."""
        return self.lab.lab_dir.path / "go-injector"

    def start(self) -> None:
        """Start it; back when its pods are injected."""
        argv = [str(binaries.find("go-injector")), f"--certificates={self.folder}"]
        self.process = self.pod.spawn("go-injector", argv)
        self.lab.configure(self._configuration())
        cluster.await_injected(self.lab, self.namespace)

    def stop(self) -> None:
        """End it, and the calls to it."""
        cluster.forget_configurations(self.lab)
        if self.process is not None:
            self.process.stop()
            self.process = None

    def place(self) -> Place | None:
        """Return where it listens."""
        assert self.process
        ca_bundle = self.lab.ca_bundle
        return Place(self.process.pid, self.address, "/mutate", self.server_name, ca_bundle)

    def _configuration(self) -> Object:
        service = {"namespace": "go-injector", "name": "go-injector", "path": "/mutate"}
        rule = {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "resources": ["pods"],
            "operations": ["CREATE"],
            "scope": "Namespaced",
        }
        ca_bundle = base64.b64encode(self.lab.ca_bundle).decode("ascii")
        hook = {
            "name": self.hook,
            "clientConfig": {"service": service, "caBundle": ca_bundle},
            "rules": [rule],
            "failurePolicy": "Ignore",
            "sideEffects": "None",
            "timeoutSeconds": 3,
            "admissionReviewVersions": ["v1"],
        }
        return {
            "apiVersion": ADMISSION,
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "go-injector"},
            "webhooks": [cluster.only_for("go", hook)],
        }
