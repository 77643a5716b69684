"""The examples before real API servers: every field is known, nothing is refused, nobody warns."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cli.main import main
from tests.chart.servers import api_server
from tests.lab import binaries, oldest
from tests.lab.api import is_established
from tests.lab.control_plane import ControlPlane

pytestmark = [pytest.mark.api, pytest.mark.timeout(900)]

FOLDER = Path("examples")
FILES = sorted(FOLDER.glob("*.yaml"))
APISERVERS = (oldest.APISERVER, "kube-apiserver")
DEFINITIONS = ("keda-crds", "prometheus-operator-crds")
"""The real ones, from the modules of KEDA and of the Prometheus operator."""
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WAIT_SECONDS = 240
DRY_RUN = ("apply", "--dry-run=server", "--validate=strict", "--output=name")


@pytest.fixture(scope="module", params=APISERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """Give an API server with the kinds and the namespaces of the examples."""
    with api_server(request.param) as made:
        for name in DEFINITIONS:
            done(made, "create", "-f", str(binaries.find(name)))
        admin = made.client("lab-admin", ["system:masters"])
        for name in done(made, "get", "crd", "--output=name").split():  # KIND/NAME
            admin.wait_for(f"{CRDS}/{name.partition('/')[2]}", is_established, WAIT_SECONDS)
        for name in namespaces():
            done(made, "create", "--save-config", "namespace", name)
            done(made, "-n", name, "create", "serviceaccount", "default")
        yield made


def done(server: ControlPlane, *arguments: str) -> str:
    """Run kubectl, which must neither fail nor warn; return what it printed."""
    ran = server.kubectl(*arguments, timeout_seconds=300)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def namespaces() -> set[str]:
    """Return the namespaces that the examples speak of."""
    texts = [path.read_text() for path in FILES]
    return {
        name for text in texts for name in re.findall(r"^  namespace: (\S+)$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_api_server_takes_it(server: ControlPlane, path: Path) -> None:
    """All its objects, by what people type; unknown and doubled fields would be errors."""
    objects = [each for each in yaml.safe_load_all(path.read_text()) if each]
    printed = done(server, *DRY_RUN, "-f", str(path)).split()
    assert [name.rpartition("/")[2] for name in printed] == [
        each["metadata"]["name"] for each in objects
    ]


def test_the_api_server_takes_the_pods_as_they_are_injected(
    server: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `tunegate explain` shows is a pod that can be made."""
    assert main(["explain", "-f", str(FOLDER), "-o", "json"]) == 0
    pods = [judged["pod"] for judged in json.loads(capsys.readouterr().out)]
    for number, pod in enumerate(pods):
        pod["metadata"] |= {"name": f"pod-{number}"}
        del pod["metadata"]["generateName"], pod["metadata"]["ownerReferences"]
    file = tmp_path / "pods.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}))
    assert done(server, *DRY_RUN, "-f", str(file)).count("pod/") == len(pods) == 7


def test_a_field_that_nobody_knows_is_refused(server: ControlPlane, tmp_path: Path) -> None:
    """The tests above can fail, for custom kinds as well."""
    for name, field in (("server.yaml", "maxSurge"), ("keda-queue.yaml", "cooldownPeriod")):
        text = (
            (FOLDER / name)
            .read_text()
            .replace(field, f"{field}s")
            .replace("  minReplicaCount: 1", "  minReplicaCounts: 1")
        )
        file = tmp_path / name
        file.write_text(text)
        ran = server.kubectl(*DRY_RUN, "-f", str(file))
        assert ran.returncode != 0
        assert "unknown field" in ran.stderr
