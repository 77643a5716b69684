"""A control plane by itself, for tests that need no network around it."""

import contextlib
from collections.abc import Iterator

from tests.lab.control_plane import ControlPlane
from tests.lab.kwok import Kwok
from tests.lab.netns import Namespace
from tests.lab.process import LabDir

ADDRESS = "10.60.0.10"
ADDRESS_IPV6 = "fd60::10"


@contextlib.contextmanager
def control_plane(*, kwok: bool = False, alone: bool = False) -> Iterator[ControlPlane]:
    """
    Give a started control plane in a new namespace, with kwok when asked; end both after.

    `alone`: the API server and etcd only, so that nothing moves by itself.
    """
    lab_dir = LabDir.create()
    try:
        namespace = _namespace(lab_dir)
        started = ControlPlane(lab_dir, namespace.name, [ADDRESS, ADDRESS_IPV6])
        if alone:
            started.start_alone()
        else:
            started.start()
        if kwok:
            Kwok(lab_dir, started, namespace.name).start()
        yield started
        started.kill()
    finally:
        lab_dir.close()


def _namespace(lab_dir: LabDir) -> Namespace:
    """Make a namespace where the control plane's addresses are on loopback."""
    namespace = Namespace(lab_dir, "cp")
    namespace.script(
        [
            "ip link set lo up",
            f"ip address add {ADDRESS}/24 dev lo",
            f"ip address add {ADDRESS_IPV6}/64 dev lo",
        ]
    )
    return namespace
