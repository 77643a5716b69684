"""
The webhook lives behind its NetworkPolicy, and nothing else passes.

Enforced by tests/lab/policy_walls.py, which stands in for a network plug-in: so the policy is
judged by what it says, on real packets, and no particular plug-in is.
"""

import json
from collections.abc import Iterator

import pytest

from common import names
from tests.cluster import serving
from tests.lab import policy_walls
from tests.lab.api import Object
from tests.lab.cluster import Cluster
from tests.lab.release import NAMESPACE, Release
from tests.lab.world import NFS_ADDRESS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

METRICS_PORT, OTHER_PORT = 9470, 12345
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)"


def webhook_pods(cluster: Cluster) -> list[Object]:
    """Return the webhook's living pods."""
    selector = "labelSelector=app.kubernetes.io%2Fcomponent%3Dwebhook"
    found = cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/pods?{selector}")["items"]
    return [one for one in found if "deletionTimestamp" not in one["metadata"]]


@pytest.fixture(scope="module")
def walls(cluster: Cluster, installed: Release) -> Iterator[list[str]]:
    """Enforce the release's policy on the pods that there are."""
    try:
        yield policy_walls.enforce(cluster)
    finally:
        policy_walls.lift(cluster)


def reaches(cluster: Cluster, pod: Object, host: str, port: int) -> bool:
    """Tell whether a pod can open a connection."""
    argv = ["python3", "-c", CONNECT, host, str(port)]
    return cluster.node_of(pod).exec(pod, argv).returncode == 0


def test_the_webhook_injects_behind_its_policy(
    cluster: Cluster, installed: Release, walls: list[str], namespace: str
) -> None:
    """The API server reaches it by its Service, and a pod that is created comes out injected."""
    assert len(walls) > 2
    cluster.api.create(serving.deployment(namespace, "solo-0"))

    pod = serving.only_pod(cluster, namespace, ("PodScheduled", "True"))

    record = json.loads(pod["metadata"]["annotations"][names.POD_ANNOTATION_INJECTED])
    assert record["preStop"]["outcome"] == "injected"


def test_replicas_reach_each_other_the_api_server_and_nobody_else(
    cluster: Cluster, installed: Release, walls: list[str]
) -> None:
    """What the policy leaves out is closed, and open again without it."""
    first, second = webhook_pods(cluster)
    port = next(
        each["containerPort"]
        for each in second["spec"]["containers"][0]["ports"]
        if each["name"] == "https"
    )

    assert reaches(cluster, first, second["status"]["podIP"], port)
    assert reaches(cluster, first, "10.61.0.1", 443)
    assert not reaches(cluster, first, NFS_ADDRESS, 2049)

    policy_walls.lift(cluster)
    try:
        assert reaches(cluster, first, NFS_ADDRESS, 2049)
    finally:
        policy_walls.enforce(cluster)


def test_only_the_two_ports_of_the_webhook_can_be_reached(
    cluster: Cluster, installed: Release, walls: list[str]
) -> None:
    """Metrics are read from outside; the connection to another port never arrives."""
    pod = webhook_pods(cluster)[0]
    address = pod["status"]["podIP"]
    asked = ["curl", "--silent", "--max-time", "60", f"http://{address}:{METRICS_PORT}/metrics"]
    assert "tunegate_webhook_" in cluster.world.cp.run(asked).stdout

    # refused when nobody listens and nothing is in between; silence is the policy's
    closed = ["curl", "--silent", "--max-time", "10", f"http://{address}:{OTHER_PORT}/"]
    timed_out, refused = 28, 7  # curl(1), EXIT CODES
    assert cluster.world.cp.run(closed, check=False).returncode == timed_out
    policy_walls.lift(cluster)
    try:
        assert cluster.world.cp.run(closed, check=False).returncode == refused
    finally:
        policy_walls.enforce(cluster)
