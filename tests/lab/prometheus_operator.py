"""
The real prometheus-operator in a lab: its CRDs, the program, and what it makes of monitors.

::

    operator = Operator(lab_dir, control_plane, namespace)
    operator.install()
    made = operator.generated("release: lab")
    server.start(made.configuration, seen={"/etc/prometheus": made.folder})
"""

import base64
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from tests.lab import binaries
from tests.lab.api import Object, is_established
from tests.lab.control_plane import ControlPlane
from tests.lab.netns import Namespace
from tests.lab.process import LabDir, LabProcess

CRDS: Final = ("prometheus-operator-crds", "prometheus-crds")
PROGRAMS: Final = ("prometheus-operator", "prometheus", *CRDS)
NAMESPACE: Final = "monitoring"
NAME: Final = "lab"
_GROUP = "/apis/monitoring.coreos.com/v1"
_PROMETHEUSES = f"{_GROUP}/namespaces/{NAMESPACE}/prometheuses"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_IN_ITS_POD: Final = {"SHARD": "0", "POD_NAME": f"prometheus-{NAME}-0"}
"""What the operator's side-car fills in, from the environment of the pod."""
_LISTENS = "127.0.0.1:9089"
_WAIT_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Generated:
    """What the operator gives to a Prometheus: its configuration, and the folder of its rules."""

    configuration: str
    folder: Path

    def jobs(self) -> list[str]:
        """Return the names of the scrape jobs."""
        decoded = yaml.safe_load(self.configuration)
        return [job["job_name"] for job in decoded["scrape_configs"]]

    def rules(self) -> list[Path]:
        """Return the files of rules."""
        return sorted(self.folder.rglob("*.yaml"))


class Operator:
    """One operator, and one Prometheus object that selects every monitor and every rule."""

    def __init__(self, lab_dir: LabDir, control_plane: ControlPlane, namespace: Namespace) -> None:
        """Prepare; nothing is there yet."""
        self._lab_dir = lab_dir
        self._control_plane = control_plane
        self._admin = control_plane.admin
        self._namespace = namespace
        self._process: LabProcess | None = None
        texts = [binaries.find(name).read_text(encoding="utf-8") for name in CRDS]
        self._crds: list[Object] = [
            one for text in texts for one in yaml.load_all(text, yaml.CSafeLoader) if one
        ]

    def install(self) -> None:
        """Create the CRDs and start the operator; back when the kinds are served."""
        self._admin.create(*self._crds)
        for crd in self._crds:
            self._admin.wait_for(
                f"{_CRDS}/{crd['metadata']['name']}", is_established, _WAIT_SECONDS
            )
        self._admin.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        )
        argv = [str(binaries.find("prometheus-operator")), "--kubelet-endpoints=false"]
        argv += [f"--web.listen-address={_LISTENS}", "--log-level=warn"]
        environment = {"KUBECONFIG": str(self._control_plane.kubeconfig)}
        self._process = self._namespace.spawn("prometheus-operator", argv, environment)

    def generated(self, jobs: int) -> Generated:
        """Return what it makes of the monitors that are there, once it has made so many jobs."""
        self._admin.post(_PROMETHEUSES, self._prometheus())
        where = f"/api/v1/namespaces/{NAMESPACE}"

        def has_jobs(secret: Object) -> bool:
            return len(_configuration(secret).jobs()) == jobs

        secret = self._admin.wait_for(f"{where}/secrets/prometheus-{NAME}", has_jobs, _WAIT_SECONDS)
        rules = f"prometheus-{NAME}-rulefiles-0"
        made = self._admin.wait_for(
            f"{where}/configmaps/{rules}", lambda one: bool(one.get("data")), _WAIT_SECONDS
        )
        folder = self._lab_dir.path / "operator"
        # where the operator mounts the ConfigMap in the pod that it would start
        mount = folder / "rules" / rules
        mount.mkdir(parents=True)
        for name, text in made["data"].items():
            (mount / name).write_text(text, encoding="utf-8")
        configuration = _configuration(secret).configuration
        for name, value in _IN_ITS_POD.items():
            configuration = configuration.replace(f"$({name})", value)
        return Generated(configuration, folder)

    def remove(self) -> None:
        """End it, and take away all that it has brought; back when its kinds are gone."""
        if self._process is not None:
            self._process.stop()
        place = f"/api/v1/namespaces/{NAMESPACE}"
        paths = [f"{_CRDS}/{crd['metadata']['name']}" for crd in self._crds]
        for path in (*paths, place):
            self._admin.request("DELETE", path)
        # whatever asks next which kinds there are must not be told of these
        for path in (*paths, place, _GROUP):
            self._admin.wait_for(path, lambda found: not found, _WAIT_SECONDS)

    def _prometheus(self) -> Object:
        endpoint = self._control_plane.client_certificate("prometheus", ["system:masters"])
        everything: Object = {
            f"{kind}{what}": {}
            for kind in ("podMonitor", "serviceMonitor", "rule")
            for what in ("Selector", "NamespaceSelector")
        }
        return {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "Prometheus",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {
                # its pod would pull an image; the lab runs the program itself
                "replicas": 0,
                "version": "v3.5.0",
                "evaluationInterval": "1s",
                "apiserverConfig": {
                    "host": self._control_plane.url,
                    "tlsConfig": {
                        "caFile": str(self._control_plane.ca_file),
                        "certFile": str(endpoint.certificate),
                        "keyFile": str(endpoint.key),
                    },
                },
                **everything,
            },
        }


def _configuration(secret: Object) -> Generated:
    packed = secret.get("data", {}).get("prometheus.yaml.gz")
    text = gzip.decompress(base64.b64decode(packed)).decode() if packed else "{scrape_configs: []}"
    return Generated(text, Path())
