"""A control plane by itself, for tests that need no network around it."""

import contextlib
import subprocess
from collections.abc import Iterator

from tests.lab.control_plane import ControlPlane
from tests.lab.kwok import Kwok
from tests.lab.process import LabDir

ADDRESS = "10.60.0.10"
ADDRESS_IPV6 = "fd60::10"


@contextlib.contextmanager
def control_plane(*, kwok: bool = False) -> Iterator[ControlPlane]:
    """Give a started control plane in a new namespace, with kwok when asked; end both after."""
    lab_dir = LabDir.create()
    try:
        netns = f"{lab_dir.lab_id}.cp"
        lab_dir.register_netns(netns)
        _make_namespace(netns)
        started = ControlPlane(lab_dir, netns, [ADDRESS, ADDRESS_IPV6])
        started.start()
        if kwok:
            Kwok(lab_dir, started, netns).start()
        yield started
    finally:
        lab_dir.close()


def _make_namespace(netns: str) -> None:
    """Make a namespace where the control plane's addresses are on loopback."""
    for command in (
        ["ip", "netns", "add", netns],
        ["ip", "-n", netns, "link", "set", "lo", "up"],
        ["ip", "-n", netns, "address", "add", f"{ADDRESS}/24", "dev", "lo"],
        ["ip", "-n", netns, "address", "add", f"{ADDRESS_IPV6}/64", "dev", "lo"],
    ):
        subprocess.run(command, check=True, capture_output=True)
