"""README's quick start, followed word by word on a cluster that has never heard of tunegate."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import names
from tests.cluster.hosts import LINKS, TUNED_MTU_BYTES, eventually, set_back
from tests.lab import binaries, images
from tests.lab.api import Object
from tests.lab.cluster import Cluster
from tests.lab.listing import node_marks
from tests.lab.node import Node, is_ready
from tests.lab.release import Release
from tests.lab.world import NFS_ADDRESS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
VOLUME: Object = {
    "apiVersion": "v1",
    "kind": "PersistentVolume",
    "metadata": {"name": "quick-start-weights"},
    "spec": {
        "capacity": {"storage": "1Ti"},
        "accessModes": ["ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "nfs": {"server": NFS_ADDRESS, "path": "/weights"},
    },
}


def quick_start() -> str:
    """Return the section's text."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.split("\n## Quick start\n")[1].split("\n## ")[0]


def commands() -> list[str]:
    """Return what a reader types, in its order."""
    blocks = re.findall(r"```console\n(.*?)```", quick_start(), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def last_command() -> str:
    """Return how it says that all of it is removed again."""
    (found,) = re.findall(r"`(helm uninstall [^`]+)`", quick_start())
    return str(found)


@pytest.fixture
def reader(cluster: Cluster, absent: Release, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Give the environment of a reader: helm, kubectl, a cluster with an NFS volume and images."""
    for node in cluster.nodes.values():
        for component in ("agent", "webhook"):
            shipped = f"ghcr.io/tunegate/tunegate-{component}:{app_version()}"
            node.ctr("images", "tag", "--force", images.tag(component), shipped)
        take_machines_boot_id(node, cluster)
    set_back(cluster)
    # the lab's node was born with it; on the reader's cluster nobody knows of it yet
    cluster.kubectl("taint", "node", "gpu-0", f"{names.STARTUP_TAINT}-", check=False)
    for program, name in (("helm", "helm3"), ("kubectl", "kubectl")):
        (tmp_path / program).symlink_to(binaries.find(name))
    cluster.api.create(VOLUME)
    yield {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "KUBECONFIG": str(cluster.control_plane.kubeconfig),
    }
    absent.uninstall()
    cluster.api.delete("/api/v1/persistentvolumes/quick-start-weights")


def take_machines_boot_id(node: Node, cluster: Cluster) -> None:
    """Have a node's kubelet report the boot ID that a container sees: the chart is as shipped."""
    file = "/proc/sys/kernel/random/boot_id"
    node.run(["umount", file])
    node.boot_id = node.run(["cat", file]).stdout.strip()
    node.stop_kubelet()
    node.start_kubelet()
    cluster.api.wait_for(f"/api/v1/nodes/{node.name}", lambda one: is_ready(one, node.boot_id))


def app_version() -> str:
    """Return the tag that the chart takes where none is given."""
    chart = (ROOT / "charts" / "tunegate" / "Chart.yaml").read_text(encoding="utf-8")
    (found,) = re.findall(r'(?m)^appVersion: "?([^"\n]+)"?$', chart)
    return str(found)


def type_in(cluster: Cluster, reader: dict[str, str], command: str) -> str:
    """Run a line as typed into a shell and return what it shows; fails where it fails."""
    done = subprocess.run(
        ["nsenter", f"--net={cluster.world.cp.path}", "sh", "-c", command],
        cwd=ROOT,
        env=reader,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def rows(table: str) -> dict[str, list[str]]:
    """Return the lines of a table of kubectl by their first word."""
    return {line.split()[0]: line.split() for line in table.splitlines()[1:]}


def test_the_quick_start_does_what_it_says(cluster: Cluster, reader: dict[str, str]) -> None:
    """Install, taint, look: nodes are tuned and open; and nothing is left on them at its end."""
    marks = node_marks(cluster.api)
    install, taint, look, *others = commands()
    assert install.startswith("helm install ")
    assert " taint " in taint
    type_in(cluster, reader, install)
    type_in(cluster, reader, taint)

    def shows_tuned_nodes() -> bool:
        shown = rows(type_in(cluster, reader, look))
        return all(shown[name][-2:] == ["tuned", str(TUNED_MTU_BYTES)] for name in LINKS)

    eventually(shows_tuned_nodes, 300.0)
    for one in others:
        type_in(cluster, reader, one)
    taints = [one["key"] for mark in node_marks(cluster.api).values() for one in mark["taints"]]
    assert not set(taints) & set(names.GATE_TAINTS)
    type_in(cluster, reader, last_command())
    ungated = {
        name: {**mark, "taints": [t for t in mark["taints"] if t["key"] not in names.GATE_TAINTS]}
        for name, mark in marks.items()
    }
    assert node_marks(cluster.api) == ungated
