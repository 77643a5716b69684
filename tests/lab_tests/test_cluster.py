"""A cluster ends completely, containers, mounts and control groups too, however its owner ended."""

import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.lab import cluster as real_cluster
from tests.lab import image_archive, sweep
from tests.lab.api import Object
from tests.lab.cluster import Cluster
from tests.lab.process import LabDir
from tests.lab.sweep import CGROUPS, NETNS, start_time

pytestmark = [pytest.mark.lab, pytest.mark.cluster, pytest.mark.timeout(900)]

REPOSITORY = Path(__file__).parents[2]
SECONDS = 120.0
OWNER = """
import sys, time
from pathlib import Path
from tests.lab_tests.test_cluster import run_a_pod
from tests.lab.cluster import Cluster
cluster = Cluster.up()
run_a_pod(cluster)
print(cluster.lab_dir.lab_id, flush=True)
time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep these labs apart from those of whoever else works on this machine."""
    lacking = real_cluster.missing_programs()
    if lacking:
        pytest.skip(f"a cluster needs {', '.join(lacking)}: run `make setup` as root")
    monkeypatch.setattr(sweep, "ROOT", tmp_path)
    monkeypatch.setenv("TUNEGATE_LAB_ROOT", str(tmp_path))


def run_a_pod(cluster: Cluster) -> None:
    """Have a container with a volume of its own running on every node."""
    archive = image_archive.pack_busybox(cluster.lab_dir.path / "busybox.tar")
    cluster.load_image(archive)
    for name in cluster.nodes:
        container = {
            "name": "sleeper",
            "image": image_archive.BUSYBOX,
            "imagePullPolicy": "Never",
            "args": ["sleep", "100000"],
            "volumeMounts": [{"name": "memory", "mountPath": "/memory"}],
        }
        volume = {"name": "memory", "emptyDir": {"medium": "Memory"}}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"on-{name}", "namespace": "default"},
            "spec": {"nodeName": name, "containers": [container], "volumes": [volume]},
        }
        cluster.api.create(pod)
        path = f"/api/v1/namespaces/default/pods/on-{name}"
        cluster.api.wait_for(path, is_running)


def is_running(pod: Object) -> bool:
    """Return whether a pod's containers run."""
    return bool(pod.get("status", {}).get("phase") == "Running")


def processes_below(path: Path) -> set[int]:
    """Return the processes that have their root, a file or an argument in a lab's folder."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes() + (folder / "cgroup").read_bytes()
            if str(path).encode() in words or f"/tg-{path.name}-".encode() in words:
                found.add(int(folder.name))
        except OSError:
            continue
    return {pid for pid in found if start_time(pid)}


def remains(path: Path) -> list[str]:
    """Return what a lab has left behind on this machine, each as a few words."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found = [f"process {pid}" for pid in sorted(processes_below(path))]
    found += [f"mount {line.split()[4]}" for line in mounts if str(path) in line]
    found += [f"control group {one}" for one in CGROUPS.glob(f"**/tg-{path.name}-*")]
    found += [f"namespace {one.name}" for one in NETNS.glob(f"tg-{path.name}-*")]
    return found + ([f"folder {path}"] if path.exists() else [])


def await_nothing(path: Path) -> None:
    """Wait until nothing of a lab is left; what was killed takes a moment to go."""
    deadline = time.monotonic() + SECONDS
    while remains(path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert remains(path) == []


def test_a_closed_cluster_leaves_nothing() -> None:
    """Kubelets, containers, their mounts and control groups end with `close`, twice or once."""
    made = Cluster.up()
    with closing(made):
        run_a_pod(made)
        path = made.lab_dir.path
        groups = [one for one in remains(path) if one.startswith("control group")]
        assert groups
        assert len(processes_below(path)) > len(made.nodes)
    made.close()

    await_nothing(path)


def test_a_killed_clusters_remains_are_swept_by_the_next_lab() -> None:
    """Its owner died by SIGKILL while containers ran: the next lab ends all of it."""
    argv = [sys.executable, "-c", OWNER]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        path = sweep.ROOT / owner.stdout.readline().strip()
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert processes_below(path)

    LabDir.create().close()

    await_nothing(path)
