"""
The chart installed by Helm on a bare API server, and one process of the webhook as it would run.

The process has the settings file that the chart rendered and no right but the chart's; it listens
at the Service's ClusterIP, an address on loopback, so the API server calls it as in a cluster.
"""

import copy
import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import CREATED
from pathlib import Path
from typing import Any, Final, TypeVar

from common.names import POD_ANNOTATION_INJECTED
from tests.chart.servers import helm, placed_server
from tests.golden import corpus
from tests.lab import chart
from tests.lab.api import STRATEGIC_PATCH, Object, collection_path
from tests.lab.control_plane import ControlPlane
from tests.lab.netns import Namespace
from tests.lab.process import LabProcess
from tests.lab.webhook_objects import NAME, SERVICE_PORT, USER
from tests.lab.webhook_pods import PROGRAM
from tests.webhook_lab.stage import total

_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_CALLS = "apiserver_admission_webhook_admission_duration_seconds_count"
_KINDS: Final = ("Mutating", "Validating")
_SECONDS: Final = 120.0
_POLL_SECONDS = 0.1
Configurations = dict[str, list[dict[str, Any]]]
Seen = TypeVar("Seen")


class Installed:
    """One API server, one release on it, and its webhook."""

    def __init__(self, namespace: Namespace, plane: ControlPlane) -> None:
        """Take the API server; nothing is installed yet."""
        self.admin = plane.admin
        self._namespace, self._plane = namespace, plane
        self._process: LabProcess | None = None
        for name in ("default", chart.NAMESPACE):
            self._account(name)

    @property
    def folder(self) -> Path:
        """Return a folder that goes with the API server."""
        return self._plane.folder

    def namespace(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a namespace in which pods may be created, though no controller runs."""
        metadata = {"name": name, "labels": dict(labels)}
        self.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        self._account(name)

    def _account(self, namespace: str) -> None:
        metadata = {"name": "default", "namespace": namespace}
        self.admin.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})

    def helm(
        self, command: str, *more: str, version: int, values: Mapping[str, Any] | None = None
    ) -> str:
        """Run Helm on the release and return its error output, "" where it succeeded."""
        words = [command, chart.RELEASE, *more]
        if command in {"install", "upgrade"}:
            file = self._plane.folder / "values.json"
            file.write_text(json.dumps(values or {}), encoding="utf-8")
            words[2:2] = [str(chart.CHART), "--values", str(file)]
        if command == "upgrade":
            words.append("--reset-values")
        ran = helm(self._plane, *words, version=version)
        return "" if ran.returncode == 0 else ran.stderr

    def start_webhook(self, **settings: object) -> None:
        """Start the webhook with the files that the release has now, and these settings."""
        self.stop_webhook()
        place = f"/api/v1/namespaces/{chart.NAMESPACE}"
        address = self.admin.get(f"{place}/services/{NAME}")["spec"]["clusterIP"]
        self._namespace.run(["ip", "address", "replace", f"{address}/32", "dev", "lo"])
        for name, text in self.admin.get(f"{place}/configmaps/{NAME}")["data"].items():
            (self._plane.folder / name).write_text(text, encoding="utf-8")
        environment: dict[str, object] = {
            "CONFIG": self._plane.folder / "webhook.yaml",
            "POLICY_FILE": self._plane.folder / "policy.yaml",
            "SERVER_PORT": SERVICE_PORT,
            "CLUSTER_KUBECONFIG": self._plane.client_kubeconfig(USER),
            "CLUSTER_NAMESPACE": chart.NAMESPACE,
        }
        environment |= {key.upper(): value for key, value in settings.items()}
        named = {f"TUNEGATE_WEBHOOK_{key}": str(value) for key, value in environment.items()}
        self._process = self._namespace.spawn("webhook", [PROGRAM, "run"], named)

    def stop_webhook(self) -> None:
        """End the webhook, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def webhook_log(self) -> str:
        """Return what the webhook has logged."""
        assert self._process
        return self._process.log_text()

    def sends(self, hook: str, one: Object, namespace: str = "default") -> bool:
        """Return whether the API server calls a hook for a new object, as a dry run."""
        sent = copy.deepcopy(one)
        if sent["kind"] != "PersistentVolume":
            sent["metadata"]["namespace"] = namespace
        before = self._calls(hook)
        status, body = self.admin.request("POST", f"{collection_path(sent)}?dryRun=All", sent)
        assert status == CREATED, body.get("message")
        return self._calls(hook) > before

    def patches(self, hook: str, path: str, patch: Object) -> bool:
        """Return whether the API server calls a hook for a change."""
        before = self._calls(hook)
        self.admin.patch(path, patch, STRATEGIC_PATCH)
        return self._calls(hook) > before

    def _calls(self, hook: str) -> float:
        text = self.admin.get("/metrics")["text"]
        return total(text, _CALLS, {"name": hook})

    @contextmanager
    def nobody_writes(self) -> Iterator[None]:
        """Have the webhook stand still: what is lost meanwhile stays lost."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def configurations(self) -> Configurations:
        """Return the entries of each live webhook configuration, by kind and name."""
        return {
            f"{kind} {one['metadata']['name']}": one["webhooks"]
            for kind in _KINDS
            for one in self.admin.get(f"{_ADMISSION}/{kind.lower()}webhookconfigurations")["items"]
        }

    def bundles(self) -> dict[str, set[str]]:
        """Return the CA bundles of each live configuration; "" for an entry without one."""
        return {
            name: {hook["clientConfig"].get("caBundle", "") for hook in hooks}
            for name, hooks in self.configurations().items()
        }

    def await_bundles(self) -> dict[str, set[str]]:
        """Wait until every entry has the same bundle, and return them."""
        return self.await_seen(self._whole_bundles, "every entry has the bundle")

    def await_injection(self) -> None:
        """Wait until the API server calls the webhook for a pod, and uses its answer."""
        self.await_seen(self.injects, "a pod is injected")

    def injects(self) -> bool:
        """Return whether a vLLM pod gets a record."""
        pod = corpus.case("argv-serve").pod()
        with self.admin.session(60.0) as session:
            path = "/api/v1/namespaces/default/pods?dryRun=All"
            made = session.send("POST", path, pod)
        assert made.status == CREATED, made.body.get("message")
        return POD_ANNOTATION_INJECTED in made.body["metadata"].get("annotations", {})

    def _whole_bundles(self) -> dict[str, set[str]]:
        found = self.bundles()
        different = set().union(*found.values())
        return found if len(different) == 1 and different != {""} else {}

    def await_seen(self, look: Callable[[], Seen], what: str) -> Seen:
        """Look until it gives something true, and return that; raises AssertionError."""
        deadline = time.monotonic() + _SECONDS
        while not (seen := look()):
            log = self._process.log_text()[-2000:] if self._process else "no webhook"
            assert time.monotonic() < deadline, f"not seen: {what}; {log}"
            time.sleep(_POLL_SECONDS)
        return seen


@contextmanager
def installed() -> Iterator[Installed]:
    """Give an API server of the newest Kubernetes, for one release."""
    with placed_server("kube-apiserver") as (namespace, plane):
        made = Installed(namespace, plane)
        yield made
        made.stop_webhook()
