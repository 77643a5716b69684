"""API servers without controllers, for what the chart renders."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab import binaries, chart
from tests.lab.control_plane import ControlPlane
from tests.lab.lab import missing_programs
from tests.lab.netns import Namespace
from tests.lab.process import LabDir

_ADDRESS = "10.60.0.10"


@contextmanager
def api_server(program: str) -> Iterator[ControlPlane]:
    """Give an API server on an empty etcd, in a namespace of its own; it ends after."""
    with placed_server(program) as (_, made):
        yield made


@contextmanager
def placed_server(program: str) -> Iterator[tuple[Namespace, ControlPlane]]:
    """Give the same with its namespace, for what else is to run in there."""
    lacking = missing_programs(control_plane=True)
    if lacking:
        pytest.skip(f"an API server needs {', '.join(lacking)}: run `make setup` as root")
    lab_dir = LabDir.create()
    try:
        namespace = Namespace(lab_dir, "cp")
        namespace.script(["ip link set lo up", f"ip address add {_ADDRESS}/32 dev lo"])
        made = ControlPlane(lab_dir, namespace.name, [_ADDRESS], program)
        made.start_alone()
        place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": chart.NAMESPACE}}
        made.admin.create(place)
        yield namespace, made
        made.kill()
    finally:
        lab_dir.close()


def helm(
    plane: ControlPlane, *args: str, version: int, namespace: str = chart.NAMESPACE
) -> subprocess.CompletedProcess[str]:
    """Run Helm where an API server is; the caller looks at `returncode`."""
    home = plane.folder / f"helm{version}"
    folders = {f"HELM_{name}_HOME": str(home / name) for name in ("CACHE", "CONFIG", "DATA")}
    argv = ["nsenter", f"--net=/var/run/netns/{plane.endpoint.netns}"]
    argv += [str(binaries.find(f"helm{version}")), f"--kubeconfig={plane.kubeconfig}"]
    return subprocess.run(
        [*argv, *args, f"--namespace={namespace}"],
        env={"HOME": str(home), **folders},
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
