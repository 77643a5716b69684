"""Fixtures of the tests on the real cluster: images that every node has, the chart, a namespace."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import image_archive
from tests.lab.api import Object
from tests.lab.cluster import Cluster
from tests.lab.release import Release
from tests.lab.world import NFS_ADDRESS

BOOT_ID = "/proc/sys/kernel/random/boot_id"
AGENT: Object = {
    "config": {"storage": {"endpoints": [NFS_ADDRESS]}},
    # a container's /proc has the machine's boot ID: the lab's nodes have one of their own each
    "extraEnv": [{"name": "TUNEGATE_BOOT_ID_FILE", "value": "/host/boot_id"}],
    "extraVolumes": [{"name": "boot-id", "hostPath": {"path": BOOT_ID, "type": "File"}}],
    "extraVolumeMounts": [{"name": "boot-id", "mountPath": "/host/boot_id", "readOnly": True}],
}
"""Values of the chart's agent: the lab's NFS server is the storage."""
PATIENT: Object = {"timeoutSeconds": 10}
"""A machine that is busy with other tests may take long over a review; that is not looked at."""
USUAL: Object = {"agent": AGENT, "webhook": PATIENT, "networkPolicy": {"enabled": True}}
"""Values of the chart, where a file of tests names no others; no plug-in enforces the policy."""


@pytest.fixture(scope="session")
def busybox(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give every node an image of busybox and return its name."""
    folder: Path = tmp_path_factory.mktemp("images")
    cluster.load_image(image_archive.pack_busybox(folder / "busybox.tar"))
    return image_archive.BUSYBOX


@pytest.fixture(scope="session")
def release(cluster: Cluster) -> Release:
    """Give the packed chart, not installed; every node has all images."""
    packed = Release.packed(cluster)
    packed.load_images()
    return packed


@pytest.fixture(scope="module")
def installed(release: Release, request: pytest.FixtureRequest) -> Release:
    """
    Give the chart installed, the webhook ready and both nodes tuned.

    It stays for the next file that wants the same. A file may say by HELM which version of it
    installs, and by VALUES what differs from USUAL.
    """
    version = getattr(request.module, "HELM", 3)
    release.ensure(version=version, **USUAL | getattr(request.module, "VALUES", {}))
    return release


@pytest.fixture(scope="module")
def absent(release: Release) -> Release:
    """Give the chart when it is not installed."""
    release.uninstall()
    return release


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give a namespace for one test, deleted afterwards with all that is in it."""
    words = request.node.name.removeprefix("test_").replace("_", "-")
    name = "".join(one for one in words if one.isalnum() or one == "-")[:60].strip("-")
    cluster.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    cluster.api.wait_for(account, bool)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
