"""
A cluster with the webhook in it: control plane, kube-proxy, and replicas behind their Service.

::

    with closing(WebhookLab.up()) as lab:
        lab.start_replicas(3)
        lab.admin.post("/api/v1/namespaces/default/pods", pod)
"""

import os
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from tests.lab import binaries, control_plane, services, webhook_objects
from tests.lab.api import ApiError, Object, object_path
from tests.lab.control_plane import ControlPlane
from tests.lab.netns import Namespace
from tests.lab.pki import Authority, KeyPair
from tests.lab.process import LabDir
from tests.lab.services import KubeProxy, PodNetwork
from tests.lab.webhook_objects import DNS_NAME, NAMESPACE
from tests.lab.webhook_pods import SERVING_PORT, Replica, WebhookPods

PROGRAMS: Final = (*control_plane.PROGRAMS, *services.PROGRAMS)
GATED: Final = {"pool": "gated"}
"""Labels of the Nodes that get the gate taint where the Node hook is configured."""
_CONFLICT = 409


class WebhookLab:
    """Everything running; `close` ends it."""

    def __init__(self, lab_dir: LabDir) -> None:
        """Start all but the webhook; `up` is the way to a running lab."""
        self.lab_dir = lab_dir
        self.network = PodNetwork(lab_dir)
        self.control_plane = ControlPlane(lab_dir, self.network.cp.name, [services.API_ADDRESS])
        self.authority = Authority.create(lab_dir.path / "serving")
        self.serving: KeyPair = self.authority.server("serving", [DNS_NAME])
        self.control_plane.start()
        self.admin = self.control_plane.admin
        self.admin.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        )
        self.admin.create(*webhook_objects.identity(), webhook_objects.service(SERVING_PORT))
        self.pods = WebhookPods(lab_dir, self.network, self.control_plane)
        self._proxy = KubeProxy(lab_dir, self.control_plane, self.cp).start()

    @classmethod
    def up(cls) -> "WebhookLab":
        """
        Start a lab, about 8 seconds.

        Raises:
            ControlPlaneError, TimeoutError, MissingBinaryError: A part did not come up; nothing is
                left behind.
        """
        lab_dir = LabDir.create()
        try:
            return cls(lab_dir)
        except BaseException:
            lab_dir.close()
            raise

    @property
    def cp(self) -> Namespace:
        """Return the control plane's network namespace."""
        return self.network.cp

    @property
    def ca_bundle(self) -> bytes:
        """Return the CA of the serving certificate that comes as files, PEM."""
        return self.authority.file.read_bytes()

    def environment(self, **settings: object) -> dict[str, str]:
        """Return what `tunegate-webhook run` needs, with its certificate as files."""
        mine: dict[str, object] = {
            "tls_certificate_file": self.serving.certificate,
            "tls_key_file": self.serving.key,
            "nodes_selector": ",".join(f"{key}={value}" for key, value in GATED.items()),
        }
        return {
            f"TUNEGATE_WEBHOOK_{key.upper()}": str(value)
            for key, value in (mine | settings).items()
        }

    def start_replicas(self, count: int, **settings: object) -> list[Replica]:
        """Start so many with these settings; back when the Service has them."""
        made = [self.pods.start(self.environment(**settings)) for _ in range(count)]
        self.pods.await_ready(*made)
        return made

    def configure(self, *configurations: Object) -> None:
        """Create or replace admission configurations."""
        for one in configurations:
            try:
                self.admin.create(one)
            except ApiError as error:
                if error.status != _CONFLICT:
                    raise
                self.admin.patch(object_path(one), one)

    def namespace(self, name: str, labels: Mapping[str, str] | None = None) -> str:
        """Create a namespace that pods can be created in, and return its name."""
        metadata = {"name": name, "labels": dict(labels or {})}
        self.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        self.admin.wait_for(account, bool)
        return name

    @contextmanager
    def late_proxy(self) -> Iterator[None]:
        """Keep kube-proxy from learning anything: new connections go where they went before."""
        self._proxy.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._proxy.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it all."""
        self.pods.close()
        self.control_plane.kill()
        self.lab_dir.close()


def missing_programs(names: Sequence[str] = PROGRAMS) -> list[str]:
    """Return what this machine lacks for a lab, each as a few words; empty when nothing."""
    lacking = [] if os.geteuid() == 0 else ["root, for network namespaces"]
    lacking += [f"the program {name}" for name in ("ip", "nft") if shutil.which(name) is None]
    for name in names:
        try:
            binaries.find(name)
        except binaries.MissingBinaryError:
            lacking.append(f"the lab's program {name}")
    return lacking
