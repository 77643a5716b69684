"""
This repository's chart as a release in a lab's cluster: packed, installed, with the images.

::

    release = Release.packed(cluster)
    release.load_images()
    release.install(agent={"config": {"storage": {"endpoints": ["10.71.0.2"]}}})
"""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common import names
from tests.lab import images
from tests.lab.api import Object
from tests.lab.cluster import Cluster
from tests.lab.objects import vllm_pod

CHART: Final = Path(__file__).parents[2] / "charts" / "tunegate"
NAME: Final = "tunegate"
NAMESPACE: Final = "tunegate"
_CALL_SECONDS: Final = 180.0
_POLL_SECONDS: Final = 0.2


@dataclass(slots=True)
class Release:
    """A chart's archive and the cluster it goes to."""

    cluster: Cluster
    archive: Path
    _ensured: tuple[int, Object] | None = None

    @classmethod
    def packed(cls, cluster: Cluster) -> "Release":
        """Pack the chart with `helm package`."""
        folder = cluster.lab_dir.path / "charts"
        cluster.helm("package", str(CHART), "--destination", str(folder))
        (archive,) = folder.glob("tunegate-*.tgz")
        return cls(cluster, archive)

    def load_images(self, *names: str) -> None:
        """Give every node the images of "agent", "webhook" and "vllm", or those that are named."""
        with ThreadPoolExecutor() as pool:
            archives = map(images.image, names or ("agent", "webhook", "vllm"))
            list(pool.map(self.cluster.load_image, archives))

    def ensure(self, *, version: int = 3, **values: Object) -> None:
        """Have it installed with these values, by that Helm, and ready on every node.

        An installation like that, which nobody has upgraded since, is taken as it is.
        """
        if self._ensured != (version, values) or not self._is_first_revision():
            self.uninstall(version=version)
            self.install(version=version, options=(), **values)
        self.await_webhook()
        for name in self.cluster.nodes:
            self.await_tuned(name)
        self._ensured = (version, values)

    def install(self, *, version: int = 3, options: Sequence[str] = (), **values: Object) -> None:
        """Install it, without waiting; `values` are those of the chart, by block."""
        self._run("install", version, values, "--create-namespace", *options)

    def upgrade(self, *, version: int = 3, **values: Object) -> None:
        """Upgrade it to these values; what is not named has the chart's own again."""
        self._run("upgrade", version, values)

    def uninstall(self, *, version: int = 3) -> None:
        """Uninstall it; does nothing where it is not installed."""
        self._ensured = None
        self.cluster.helm(
            *("uninstall", NAME, "--namespace", NAMESPACE, "--ignore-not-found"),
            version=version,
        )

    def await_webhook(self) -> None:
        """Wait until the webhook's replicas are ready and the API server calls them."""
        rollout = ("rollout", "status", "deployment/tunegate-webhook", "--timeout=240s")
        self.cluster.kubectl("-n", NAMESPACE, *rollout, timeout_seconds=270.0)
        path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
        self.cluster.api.wait_for(f"{path}/tunegate-webhook", _has_bundle, 180.0)
        # the API server and the proxy beside it hear of configuration and replicas a moment later
        deadline = time.monotonic() + _CALL_SECONDS
        while not self._injects():
            if time.monotonic() > deadline:
                raise TimeoutError("the API server does not call the webhook")
            time.sleep(_POLL_SECONDS)

    def await_agents(self) -> None:
        """Wait until every agent is ready."""
        rollout = ("rollout", "status", "daemonset/tunegate-agent", "--timeout=240s")
        self.cluster.kubectl("-n", NAMESPACE, *rollout, timeout_seconds=270.0)

    def await_tuned(self, node: str) -> Object:
        """Wait until a node is labelled tuned and has no gate taint; return its Node."""
        return self.cluster.api.wait_for(f"/api/v1/nodes/{node}", is_open, 300.0)

    def _injects(self) -> bool:
        """Return whether a pod that is created, which is not done, comes out injected."""
        path = "/api/v1/namespaces/default/pods?dryRun=All"
        made = self.cluster.api.post(path, vllm_pod("asked"))
        return names.POD_ANNOTATION_INJECTED in made["metadata"].get("annotations", {})

    def _is_first_revision(self) -> bool:
        listed = self.cluster.helm("list", "--namespace", NAMESPACE, "--output", "json")
        states = [
            (one["name"], one["revision"], one["status"]) for one in json.loads(listed.stdout)
        ]
        return states == [(NAME, "1", "deployed")]

    def _run(self, command: str, version: int, values: Object, *options: str) -> None:
        file = self.archive.with_suffix(".values.json")
        file.write_text(json.dumps(with_test_images(values)), encoding="utf-8")
        words = [command, NAME, str(self.archive), "--namespace", NAMESPACE, "--values", str(file)]
        self.cluster.helm(*words, *options, version=version)


def with_test_images(values: Object) -> Object:
    """Return values in which agent and webhook run the images that every node has."""
    mine = dict(values)
    for component in ("agent", "webhook"):
        repository, tag = images.tag(component).rsplit(":", 1)
        image = {"repository": repository, "tag": tag, "pullPolicy": "Never"}
        mine[component] = {"image": image} | mine.get(component, {})
    return mine


def is_open(node: Object) -> bool:
    """Tell whether a Node says that it is tuned and no taint of the gate is left on it."""
    labels = node.get("metadata", {}).get("labels", {})
    keys = {taint["key"] for taint in node.get("spec", {}).get("taints", [])}
    return labels.get(names.LABEL_NETWORK) == "tuned" and not keys & set(names.GATE_TAINTS)


def _has_bundle(configuration: Object) -> bool:
    hooks = configuration.get("webhooks", [])
    return bool(hooks) and all(one["clientConfig"].get("caBundle") for one in hooks)
