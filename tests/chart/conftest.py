"""API servers without controllers, on the oldest and the newest Kubernetes, for the chart."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.chart.servers import api_server
from tests.lab import binaries, chart, oldest
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
    plane = server.control_plane
    home = plane.folder / f"helm{version}"
    folders = {f"HELM_{name}_HOME": str(home / name) for name in ("CACHE", "CONFIG", "DATA")}
    argv = ["nsenter", f"--net=/var/run/netns/{plane.endpoint.netns}"]
    argv += [str(binaries.find(f"helm{version}")), f"--kubeconfig={plane.kubeconfig}"]
    return subprocess.run(
        [*argv, *args, f"--namespace={namespace or f'helm{version}'}"],
        env={"HOME": str(home), **folders},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )


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
