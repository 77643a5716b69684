"""Mounts named as people find them."""

import pytest

from agent.places import PodVolume, listed, named, places, pod_volume
from tests.fakes import mounted

PODS = "/var/lib/kubelet/pods"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{PODS}/1a2b/volumes/kubernetes.io~nfs/pv-models", PodVolume("1a2b", "pv-models")),
        (f"{PODS}/1a2b/volumes/kubernetes.io~csi/pv-a/mount", PodVolume("1a2b", "pv-a")),
        (f"{PODS}/1a2b/volume-subpaths/pv-a/vllm/0", PodVolume("1a2b", "pv-a")),
        ("/srv/kubelet/pods/1/volumes/kubernetes.io~nfs/a", PodVolume("1", "a")),
        ("/var/lib/kubelet/plugins/kubernetes.io/csi/nfs/7f/globalmount", None),
        (f"{PODS}/1a2b/containers/vllm/3", None),
        ("/pods/1/volumes/nfs/a", None),
        ("/mnt/models", None),
        ("/", None),
    ],
)
def test_a_pods_volume_is_told_by_its_path(path: str, expected: PodVolume | None) -> None:
    """In-tree, CSI and subPath, wherever kubelet's root is."""
    assert pod_volume(path) == expected


def test_places_are_grouped_by_version() -> None:
    """Transports are shared by server and version, so that is what must be unmounted together."""
    mounts = (
        mounted("/mnt/b", options="vers=4.2,hard", device="0:51"),
        mounted(f"{PODS}/1/volumes/kubernetes.io~nfs/a", options="vers=3,hard", device="0:52"),
        mounted("/mnt/c", options="vers=4.2,hard", device="0:53"),
    )
    assert places(mounts) == "version 3 at volume a of pod 1; version 4.2 at /mnt/b, /mnt/c"


def test_a_crowd_is_counted() -> None:
    """A message stays readable with 200 mounts; what stands twice is named once."""
    assert listed(["/a", "/a", "/b"]) == "/a, /b"
    assert listed(str(number) for number in range(200)) == "0, 1, 2, 3, 4 and 195 more"


def test_a_plain_path_names_itself() -> None:
    """Where kubelet did not make it."""
    assert named("/mnt/models") == "/mnt/models"
