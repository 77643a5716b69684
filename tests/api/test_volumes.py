"""PersistentVolumes read from a real API server, as it stores them."""

import contextlib
import time

import pytest
import yaml

from agent.cluster.client import ClusterClient
from agent.cluster.errors import ForbiddenError, NotFoundError
from agent.volumes import Volume
from tests.lab.api import object_path
from tests.lab.control_plane import ControlPlane
from tests.lab.objects import cluster_role

pytestmark = pytest.mark.api

VOLUMES = """
apiVersion: v1
kind: PersistentVolume
metadata: {name: models}
spec:
  capacity: {storage: 1Ti}
  accessModes: [ReadOnlyMany]
  mountOptions: [nconnect=8, ro]
  nfs: {server: 10.0.0.9, path: /models}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: pvc-1}
spec:
  capacity: {storage: 1Ti}
  accessModes: [ReadWriteMany]
  mountOptions: ["nfsvers=4.1,hard"]
  csi:
    driver: nfs.csi.k8s.io
    volumeHandle: nfs.example.com#data#pvc-1
    volumeAttributes: {server: nfs.example.com, share: /data, subdir: pvc-1}
"""


def test_volumes_are_read_where_that_is_allowed(
    control_plane: ControlPlane, client: ClusterClient
) -> None:
    """By name, with one right more than the agent has by itself; the missing one is named."""
    for volume in yaml.safe_load_all(VOLUMES):
        control_plane.admin.post("/api/v1/persistentvolumes", volume)
    with pytest.raises(ForbiddenError, match="persistentvolumes"):
        client.get_volume("models")
    role = cluster_role()
    role["rules"].append({"apiGroups": [""], "resources": ["persistentvolumes"], "verbs": ["get"]})
    control_plane.admin.put(object_path(role), role)
    while not _is_readable(client):
        time.sleep(0.05)
    assert client.get_volume("models") == Volume(
        "models", "10.0.0.9", "/models", ("nconnect=8", "ro")
    )
    assert client.get_volume("pvc-1") == Volume(
        "pvc-1", "nfs.example.com", "/data", ("nfsvers=4.1", "hard")
    )
    with pytest.raises(NotFoundError):
        client.get_volume("none")


def _is_readable(client: ClusterClient) -> bool:
    with contextlib.suppress(ForbiddenError):
        return client.get_volume("models") is not None
    return False
