"""
Nobody names the NFS server: the webhook finds it in a PersistentVolume, the agents read its list.

So a node that joins later is tuned before its gate opens, with no setting made by anybody.
"""

import json
import threading
from collections.abc import Iterator

import pytest

from common import names
from tests.cluster.serving import condition
from tests.lab.api import Object
from tests.lab.cluster import Cluster
from tests.lab.objects import nfs_volume
from tests.lab.release import NAMESPACE, Release
from tests.lab.world import NFS_ADDRESS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

VALUES: Object = {"agent": {}}
NODE = "gpu-0"


@pytest.fixture(scope="module")
def volume(cluster: Cluster, absent: Release) -> Iterator[None]:
    """Have a volume on the lab's NFS server in the cluster, and nodes that nobody has tuned yet."""
    cluster.api.create(nfs_volume("models", NFS_ADDRESS))
    for name in cluster.nodes:
        cluster.replace(name)
    yield
    cluster.api.delete("/api/v1/persistentvolumes/models")


def gate_keys(node: Object) -> set[str]:
    """Return the gate taints that stand on a Node."""
    keys = {taint["key"] for taint in node.get("spec", {}).get("taints", [])}
    return keys & set(names.GATE_TAINTS)


def test_the_server_of_a_volume_reaches_nodes_that_are_there(
    cluster: Cluster, volume: None, installed: Release
) -> None:
    """The list arrives in the running agents, which tune the link that leads to the server."""
    for name, link in (("gpu-0", "eth1"), ("solo-0", "eth0")):
        assert cluster.nodes[name].namespace.mtu(link) == 9000
    assert outcomes(cluster) == {"tuned"}, "a gate was opened before the list was there"


def outcomes(cluster: Cluster) -> set[str]:
    """Return all that the agents have ever judged their nodes to be, but for what waits."""
    chosen = "--selector=app.kubernetes.io/component=agent"
    said = cluster.kubectl("logs", f"--namespace={NAMESPACE}", chosen, "--tail=-1").stdout
    lines = [json.loads(line) for line in said.splitlines()]
    judged = {one["outcome"] for one in lines if one["message"] == "Judged the node"}
    return judged - {"pending"}


def test_a_node_that_joins_later_is_tuned_before_its_gate_opens(
    cluster: Cluster, volume: None, installed: Release
) -> None:
    """From its first state to the open gate a watch sees no state that is open and not tuned."""
    old = cluster.api.get(f"/api/v1/nodes/{NODE}")["metadata"]["uid"]
    states: list[Object] = []

    def look() -> None:
        with cluster.api.watch("/api/v1/nodes", NODE, 400.0) as seen:
            watching.set()
            for state in seen:
                if state["metadata"]["uid"] != old:
                    states.append(state)
                    if not gate_keys(state):
                        return

    watching = threading.Event()
    thread = threading.Thread(target=look)
    thread.start()
    assert watching.wait(120), "the watch is open"
    cluster.replace(NODE)
    installed.await_tuned(NODE)
    thread.join()

    assert gate_keys(states[0]) == {names.STARTUP_TAINT}
    opened = states[-1]
    assert opened["metadata"]["labels"][names.LABEL_NETWORK] == "tuned"
    assert opened["metadata"]["labels"][names.LABEL_MTU] == "9000"
    node = cluster.api.wait_for(
        f"/api/v1/nodes/{NODE}", lambda it: bool(condition(it, names.CONDITION))
    )
    assert condition(node, names.CONDITION)["reason"] == "Tuned"
