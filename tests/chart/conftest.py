"""API servers without controllers, on the oldest and the newest Kubernetes, for the chart."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

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


@pytest.fixture(scope="module", params=list(APISERVERS))
def bare_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Give an API server, once the oldest and once the newest."""
    with api_server(APISERVERS[request.param]) as made:
        yield Server(request.param, made)
