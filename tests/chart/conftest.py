"""API servers without controllers, on the oldest and the newest Kubernetes, for the chart."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.lab import chart, oldest
from tests.lab.api import ApiClient
from tests.lab.control_plane import ControlPlane
from tests.lab.lab import missing_programs
from tests.lab.netns import Namespace
from tests.lab.process import LabDir

APISERVERS = {chart.OLDEST: oldest.APISERVER, chart.NEWEST: "kube-apiserver"}
_ADDRESS = "10.60.0.10"


@contextmanager
def api_server(program: str) -> Iterator[ControlPlane]:
    """Give an API server on an empty etcd, in a namespace of its own; it ends after."""
    lab_dir = LabDir.create()
    try:
        namespace = Namespace(lab_dir, "cp")
        namespace.script(["ip link set lo up", f"ip address add {_ADDRESS}/32 dev lo"])
        made = ControlPlane(lab_dir, namespace.name, [_ADDRESS], program)
        made.start_alone()
        place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": chart.NAMESPACE}}
        made.admin.create(place)
        yield made
        made.kill()
    finally:
        lab_dir.close()


@dataclass(frozen=True, slots=True)
class Server:
    """One API server; `version` is its Kubernetes."""

    version: str
    control_plane: ControlPlane

    @property
    def admin(self) -> ApiClient:
        """Return its administrator."""
        return self.control_plane.admin

    @property
    def is_oldest(self) -> bool:
        """Return whether it is the oldest that the chart installs on."""
        return self.version == chart.OLDEST


@pytest.fixture(scope="module", params=list(APISERVERS))
def bare_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Give an API server, once the oldest and once the newest."""
    lacking = missing_programs(control_plane=True)
    if lacking:
        pytest.skip(f"an API server needs {', '.join(lacking)}: run `make setup` as root")
    with api_server(APISERVERS[request.param]) as made:
        yield Server(request.param, made)
