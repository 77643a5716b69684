"""The whole lab holds together: nodes join, the agent's settings work on them, labs coexist."""

import json
import sys
from contextlib import closing

import pytest

from tests.lab import objects
from tests.lab.api import Object, object_path
from tests.lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.api]

READ_OWN_NODE = """
import json, os, ssl, urllib.request
request = urllib.request.Request(
    os.environ["TUNEGATE_API_SERVER"] + "/api/v1/nodes/" + os.environ["TUNEGATE_NODE_NAME"],
    headers={"Authorization": "Bearer " + open(os.environ["TUNEGATE_TOKEN_FILE"]).read()},
)
trust = ssl.create_default_context(cafile=os.environ["TUNEGATE_CA_FILE"])
print(urllib.request.urlopen(request, context=trust).read().decode())
"""


def test_a_node_joins_closed_and_leaves(lab: Lab) -> None:
    """It is Ready with the gate taint; after `leave` the same name may join again."""
    path = object_path(objects.gpu_node("gpu-0"))
    uids = set()
    for _ in range(2):
        lab.join("gpu-0")
        ready = lab.control_plane.admin.wait_for(path, _is_ready)
        assert dict(objects.GATE).items() <= ready["spec"]["taints"][0].items()
        uids.add(ready["metadata"]["uid"])
        lab.leave("gpu-0")
    assert len(uids) == 2


@pytest.mark.parametrize("node", ["gpu-0", "solo-0"])
def test_the_agents_settings_work_on_a_node(lab: Lab, node: str) -> None:
    """With the environment alone a process in the node's namespace reads its own Node."""
    lab.join(node)
    environment = lab.agent_environment(node)
    assert environment["TUNEGATE_SERVER_PORT"] == "0"
    script = [sys.executable, "-c", READ_OWN_NODE]
    found = json.loads(lab.nodes[node].run(script, env=environment).stdout)
    assert found["metadata"]["name"] == node
    again = lab.agent_environment(node, server_port=9469)
    assert again["TUNEGATE_STATE_DIR"] == environment["TUNEGATE_STATE_DIR"]
    assert again["TUNEGATE_SERVER_PORT"] == "9469"
    lab.leave(node)


def test_each_node_has_a_state_folder_of_its_own(lab: Lab) -> None:
    """Two agents on one machine share no journal, and all of it goes with the lab."""
    folders = {lab.agent_folder(node) for node in lab.nodes}
    assert len(folders) == 2
    assert all(folder.is_relative_to(lab.lab_dir.path) for folder in folders)


def test_two_whole_labs_run_side_by_side(lab: Lab) -> None:
    """Same addresses, ports and node names: the end of one is not felt in the other."""
    said: list[str] = []
    with closing(Lab.up(progress=said.append)) as other:
        other.join("only-there")
        names = lab.control_plane.kubectl("get", "nodes", "-o", "name").stdout
        assert "only-there" not in names
    assert not other.lab_dir.path.exists()
    assert [line.partition(":")[0] for line in said][-1] == "control plane"
    assert lab.control_plane.admin.get("/readyz")["text"] == "ok"
    assert lab.nfs.answers()


def test_a_part_that_was_not_started_says_so(nfs_world: Lab) -> None:
    """A test that forgot to ask for the control plane is told."""
    with pytest.raises(LookupError, match="without a control plane"):
        nfs_world.join("gpu-0")


def _is_ready(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
