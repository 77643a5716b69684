"""API servers without controllers, on the oldest and the newest Kubernetes, for the chart."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.chart import servers
from tests.chart.servers import api_server
from tests.lab import chart, oldest
from tests.lab.api import ApiClient
from tests.lab.control_plane import ControlPlane

APISERVERS = {chart.OLDEST: oldest.APISERVER, chart.NEWEST: "kube-apiserver"}


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


def helm(
    server: Server, *args: str, version: int, namespace: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run Helm where the API server is, in a namespace of its own unless it is named."""
    place = namespace or f"helm{version}"
    return servers.helm(server.control_plane, *args, version=version, namespace=place)


@pytest.fixture(scope="module", params=list(APISERVERS))
def bare_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Give an API server, once the oldest and once the newest."""
    with api_server(APISERVERS[request.param]) as made:
        yield Server(request.param, made)


@pytest.fixture(scope="module")
def newest_server() -> Iterator[Server]:
    """Give the newest API server alone."""
    with api_server(APISERVERS[chart.NEWEST]) as made:
        yield Server(chart.NEWEST, made)
