"""
What the tests do with the cluster: keep three replicas, create pods, read records and counters.

::

    stage.heal()
    pod = stage.create(vllm_pod("server")).body
    assert record(pod)["shm"]["outcome"] == "injected"
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from common.names import POD_ANNOTATION_INJECTED
from tests.lab.api import Answer, Object, collection_path
from tests.lab.objects import vllm_pod
from tests.lab.webhook_lab import WebhookLab
from tests.lab.webhook_objects import (
    NAMESPACE,
    PATIENT_SECONDS,
    SERVING_SECRET,
    mutating_configuration,
    patient,
    volume_configuration,
    warning_configuration,
)
from tests.lab.webhook_pods import Replica

REPLICAS: Final = 3
WAIT_SECONDS: Final = 90.0
SECRET: Final = f"/api/v1/namespaces/{NAMESPACE}/secrets/{SERVING_SECRET}"
"""Where replicas that make their certificates themselves keep their CA."""
CLUSTER_WIDE: Final = ("Node", "PersistentVolume")
_POLL_SECONDS = 0.05
Seen = TypeVar("Seen")


def await_(look: Callable[[], Seen | None], what: str, seconds: float = WAIT_SECONDS) -> Seen:
    """Look until it gives something true, and return that; raises AssertionError with `what`."""
    deadline = time.monotonic() + seconds
    while True:
        if seen := look():
            return seen
        assert time.monotonic() < deadline, f"not seen in {seconds:.0f} s: {what}"
        time.sleep(_POLL_SECONDS)


def record(pod: Object) -> dict[str, dict[str, str]]:
    """Return the record of a pod, {} where it has none."""
    annotations = pod["metadata"].get("annotations") or {}
    found: dict[str, dict[str, str]] = json.loads(annotations.get(POD_ANNOTATION_INJECTED, "{}"))
    return found


def outcomes(pod: Object) -> dict[str, str]:
    """Return each feature's outcome in a pod's record."""
    return {feature: one["outcome"] for feature, one in record(pod).items()}


def plain_pod(name: str, **spec: object) -> Object:
    """Return a pod that has nothing to do with vLLM; `spec` goes over its own."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "main", "image": "example.com/web:1"}]} | spec,
    }


def deployment(name: str) -> Object:
    """Return a Deployment of one vLLM pod."""
    pod = vllm_pod(name)
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod["spec"]},
        },
    }


def configurations(bundle: bytes = b"", timeout_seconds: int = PATIENT_SECONDS) -> list[Object]:
    """Return what an installation has, but for how long the API server waits for answers."""
    made = [mutating_configuration(bundle), volume_configuration(bundle)]
    return [patient(one, timeout_seconds) for one in (*made, warning_configuration(bundle))]


class Stage:
    """One cluster, set back to three ready replicas and its own configurations for each test."""

    def __init__(self, lab: WebhookLab) -> None:
        """Take the cluster as it is."""
        self.lab = lab
        self.admin = lab.admin

    def heal(self) -> None:
        """Have three ready replicas and the configurations as an installation has them."""
        for replica in list(self.lab.pods.replicas):
            if replica.process.poll() is not None:
                self.lab.pods.remove(replica)
        missing = REPLICAS - len(self.lab.pods.replicas)
        made = [self.lab.pods.start(self.lab.environment()) for _ in range(missing)]
        self.lab.pods.await_ready(*made)
        self.lab.pods.await_endpoints(REPLICAS)
        self.configure(self.lab.ca_bundle)
        self.await_called()

    def configure(self, bundle: bytes, timeout_seconds: int = PATIENT_SECONDS) -> None:
        """Configure all hooks that are on by default; the API server waits so long for answers."""
        self.lab.configure(*configurations(bundle, timeout_seconds))

    @property
    def replicas(self) -> list[Replica]:
        """Return the replicas there are."""
        return list(self.lab.pods.replicas)

    def create(self, one: Object, namespace: str = "default", *, dry_run: bool = False) -> Answer:
        """Create one object in a namespace, or only have it admitted."""
        if one["kind"] not in CLUSTER_WIDE:
            one = {**one, "metadata": {**one["metadata"], "namespace": namespace}}
        path = collection_path(one)
        with self.admin.session(60.0) as session:
            return session.send("POST", f"{path}?dryRun=All" if dry_run else path, one)

    def calls(self, hook: str) -> float:
        """Return how often the API server has called a hook so far."""
        return self.api_metric("apiserver_admission_webhook_admission_duration_seconds_count", hook)

    def failed_open(self, hook: str) -> float:
        """Return how many calls the API server gave up and let the object pass."""
        return self.api_metric("apiserver_admission_webhook_fail_open_count", hook)

    def api_metric(self, name: str, hook: str) -> float:
        """Return the sum of one of the API server's counters over all its series of a hook."""
        text = self.admin.get("/metrics")["text"]
        return total(text, name, {"name": hook})

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of one of the webhook's counters over all replicas."""
        return sum(
            total(one.get("/metrics", self.lab.cp)[1], name, labels) for one in self.replicas
        )

    def await_called(self) -> None:
        """Wait until the API server uses the configuration: it reads them by a watch."""
        probe = plain_pod("probe")
        probe["metadata"]["labels"] = {"tunegate.io/inject": "enabled"}
        probe["spec"]["containers"][0]["command"] = ["vllm", "serve", "m"]
        await_(lambda: record(self.create(probe, dry_run=True).body), "the webhook is called")


def total(text: str, name: str, labels: Mapping[str, str]) -> float:
    """Return the sum of a metric's series that have these labels, from an exposition."""
    summed = 0.0
    for line in text.splitlines():
        found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if found is None or found[1] != name:
            continue
        has = dict(re.findall(r'(\w+)="([^"]*)"', found[2] or ""))
        if labels.items() <= has.items():
            summed += float(found[3])
    return summed
