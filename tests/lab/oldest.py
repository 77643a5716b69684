"""
The oldest supported Kubernetes with the webhook beside it: an API server, no controllers.

One process of the webhook listens where the Service's ClusterIP is, an address on loopback, so the
API server calls it by its Service without kube-proxy. It makes its own certificates.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.lab import webhook_objects
from tests.lab.api import ApiClient
from tests.lab.control_plane import ControlPlane
from tests.lab.netns import Namespace
from tests.lab.process import LabDir
from tests.lab.webhook_objects import NAMESPACE, SERVICE_PORT, USER, patient
from tests.lab.webhook_pods import PROGRAM

APISERVER: Final = "kube-apiserver-oldest"
PROGRAMS: Final = ("etcd", APISERVER)
_ADDRESS = "10.60.0.10"
_CLUSTER_IP = "10.61.0.50"


@contextmanager
def cluster() -> Iterator[ApiClient]:
    """Give its administrator, with the webhook configured; end all of it after."""
    lab_dir = LabDir.create()
    try:
        namespace = Namespace(lab_dir, "cp")
        addresses = (_ADDRESS, _CLUSTER_IP)
        namespace.script(
            ["ip link set lo up", *(f"ip address add {one}/32 dev lo" for one in addresses)]
        )
        control_plane = ControlPlane(lab_dir, namespace.name, [_ADDRESS], APISERVER)
        control_plane.start_alone()
        _install(lab_dir, namespace, control_plane)
        yield control_plane.admin
        control_plane.kill()
    finally:
        lab_dir.close()


def _install(lab_dir: LabDir, namespace: Namespace, control_plane: ControlPlane) -> None:
    control_plane.admin.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        *webhook_objects.identity(),
        webhook_objects.service(SERVICE_PORT, cluster_ip=_CLUSTER_IP),
        patient(webhook_objects.mutating_configuration()),
        patient(webhook_objects.volume_configuration()),
        patient(webhook_objects.warning_configuration()),
    )
    settings = {
        "TUNEGATE_WEBHOOK_SERVER_PORT": str(SERVICE_PORT),
        "TUNEGATE_WEBHOOK_CLUSTER_KUBECONFIG": str(control_plane.client_kubeconfig(USER)),
        "TUNEGATE_WEBHOOK_CLUSTER_NAMESPACE": NAMESPACE,
    }
    namespace.spawn("webhook", [PROGRAM, "run"], settings)
