"""What PersistentVolumes ask of mounts: read from real objects' shapes, matched, and wanted."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from agent.host.mounts import parse_mountinfo
from agent.mount_judge import MountJudge
from agent.state import Reason
from agent.volumes import Volume, names_of, volume_of, wishes_of
from tests.fakes import mounted
from tests.unit.agent.nodes import SERVER, Node

DATA = Path(__file__).parents[2] / "data" / "nfs"
PODS = "/var/lib/kubelet/pods/0b1f/volumes"


def persistent_volume(spec: Mapping[str, object], name: str = "models") -> dict[str, object]:
    """Return an object as the API server gives it."""
    return {"kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


IN_TREE = {"nfs": {"server": "10.1.0.10", "path": "/models"}, "mountOptions": ["nconnect=8", "ro"]}
CSI = {
    "csi": {
        "driver": "nfs.csi.k8s.io",
        "volumeHandle": "x",
        "volumeAttributes": {"server": "nfs.example.com", "share": "/data", "subDir": "pvc-1"},
    },
    "mountOptions": ["vers=4.1,hard"],
}


def test_volumes_of_both_kinds_are_read() -> None:
    """In-tree, and a CSI driver's attributes."""
    assert volume_of(persistent_volume(IN_TREE)) == Volume(
        "models", "10.1.0.10", "/models", ("nconnect=8", "ro")
    )
    assert volume_of(persistent_volume(CSI, "pvc-1")) == Volume(
        "pvc-1", "nfs.example.com", "/data", ("vers=4.1", "hard")
    )


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {},
        persistent_volume({"hostPath": {"path": "/x"}}),
        {"metadata": {}, "spec": IN_TREE},
        {"metadata": {"name": 1}, "spec": IN_TREE},
    ],
)
def test_what_is_no_nfs_volume_is_none(raw: object) -> None:
    """Whatever the API server says."""
    assert volume_of(raw) is None


def test_odd_shapes_are_survived() -> None:
    """An object is somebody else's data."""
    odd = persistent_volume({"nfs": "x", "mountOptions": "ro"})
    assert volume_of(odd) == Volume("models", "", "", ())


def test_the_kubelets_folders_name_the_volume() -> None:
    """Recorded mounts of an in-tree and a CSI volume, the second by its bind mount."""
    text = (DATA / "6.12" / "kubelet-layout" / "mountinfo").read_text()
    assert [names_of(mount) for mount in parse_mountinfo(text).mounts] == [("models",), ("pvc-1",)]
    assert names_of(mounted("/mnt/models")) == ()
    assert names_of(mounted(f"{PODS}/kubernetes.io~nfs")) == ()


@pytest.mark.parametrize(
    ("path", "source", "is_its"),
    [
        ("kubernetes.io~nfs/models", "10.1.0.10:/models", True),
        ("kubernetes.io~csi/models/mount", "10.1.0.10:/models/llama", True),
        ("kubernetes.io~nfs/models", "10.1.0.10:/models2", False),
        ("kubernetes.io~nfs/models", "10.9.9.9:/models", False),
        ("kubernetes.io~nfs/other", "10.1.0.10:/models", False),
    ],
)
def test_a_name_alone_is_not_enough(path: str, source: str, *, is_its: bool) -> None:
    """A pod's inline volume may have any name."""
    volume = Volume("models", "10.1.0.10", "/models", ())
    assert volume.is_of(mounted(f"{PODS}/{path}", source)) is is_its


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("nconnect=8",), {"nconnect": "nconnect at least 8 (PersistentVolume v)"}),
        (("nfsvers=4.1",), {"vers": "vers 4.1 (PersistentVolume v)"}),
        (("vers=4", "minorversion=2"), {"vers": "vers 4.2 (PersistentVolume v)"}),
        (("vers=4.2", "minorversion=1"), {"vers": "vers 4.2 (PersistentVolume v)"}),
        (("soft",), {"hard": "not hard (PersistentVolume v)"}),
        (("soft", "hard"), {"hard": "hard (PersistentVolume v)"}),
        (("ro",), {"ro": "ro (PersistentVolume v)"}),
        (("rw",), {"ro": "None"}),
        (("noac",), {"noac": "None"}),
        (("actimeo=600",), {"actimeo": "actimeo at least 600 (PersistentVolume v)"}),
        (("nconnect=many", "nolock", "timeo=600", "_netdev"), {}),
    ],
)
def test_mount_options_become_wishes(options: tuple[str, ...], expected: dict[str, str]) -> None:
    """In all their spellings; what is not looked at is nobody's wish."""
    wishes = wishes_of(Volume("v", "", "", options))
    assert {name: str(wish) for name, wish in wishes.items()} == expected


@dataclass(slots=True)
class FakeVolumes:
    """Volumes that are known at once, implementing ports.Volumes."""

    volumes: dict[str, Volume]
    problem: str = ""
    asked: list[str] = field(default_factory=list)

    def known(self, names: Collection[str]) -> tuple[dict[str, Volume], str]:
        """Return those that were put there."""
        self.asked += sorted(names)
        return {name: self.volumes[name] for name in names if name in self.volumes}, self.problem


def judge(node: Node, volumes: FakeVolumes, *, reads: bool = True) -> MountJudge:
    """Return a judge that may read volumes."""
    config = replace(node.config, nfs_persistent_volumes=reads)
    return MountJudge(config, node.storage, node.prober, volumes)


def test_a_volume_has_the_last_word(node: Node) -> None:
    """What it asks for and did not get is said in its name; what it does not mind is fine."""
    volumes = FakeVolumes({"models": Volume("models", SERVER, "/m", ("nconnect=16", "rw"))})
    path = f"{PODS}/kubernetes.io~nfs/models"
    options = "vers=4.2,hard,nconnect=8,acregmin=30,acdirmin=30"
    node.host.mounts = (mounted(path, f"{SERVER}:/m", options),)
    (finding,) = judge(node, volumes).findings(node.host.observe(()))
    assert finding.reason is Reason.NCONNECT_BELOW_WANTED
    assert "wanted: nconnect at least 16 (PersistentVolume models)" in finding.message
    assert volumes.asked == ["models"]
    (finding,) = judge(node, volumes, reads=False).findings(node.host.observe(()))
    assert finding.reason is Reason.NOT_READ_ONLY
    assert volumes.asked == ["models"]


def test_volumes_that_cannot_be_read_are_a_note(node: Node) -> None:
    """Mounts are judged all the same."""
    node.host.mounts = (mounted(f"{PODS}/kubernetes.io~nfs/models"),)
    (finding,) = judge(node, FakeVolumes({}, "forbidden")).findings(node.host.observe(()))
    assert finding.reason is Reason.NOT_CHECKABLE_HERE
    assert "not known: forbidden; grant get on persistentvolumes" in finding.message
