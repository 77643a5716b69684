"""API servers without controllers, for what the chart renders."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab import chart
from tests.lab.control_plane import ControlPlane
from tests.lab.lab import missing_programs
from tests.lab.netns import Namespace
from tests.lab.process import LabDir

_ADDRESS = "10.60.0.10"


@contextmanager
def api_server(program: str) -> Iterator[ControlPlane]:
    """Give an API server on an empty etcd, in a namespace of its own; it ends after."""
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
        yield made
        made.kill()
    finally:
        lab_dir.close()
