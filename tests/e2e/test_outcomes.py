"""Each outcome on the real parts: what the Node says, and whether its gate opens."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.names import ANNOTATION_STATE, LABEL_MTU, LABEL_NETWORK, STORAGE_ENDPOINTS_KEY
from tests.e2e.harness import (
    GATE,
    NODE,
    NODE_PATH,
    Stage,
    await_,
    condition,
    gates,
    label,
    verdict,
)
from tests.lab.api import MERGE_PATCH, Object
from tests.lab.objects import AGENT_NAME, AGENT_NAMESPACE
from tests.lab.world import NFS_ADDRESS

pytestmark = pytest.mark.api
READ_ONLY = """\
mount --make-rprivate /
for file in tcp_rmem tcp_mtu_probing; do
  mount --bind /proc/sys/net/ipv4/$file /proc/sys/net/ipv4/$file
  mount -o remount,bind,ro /proc/sys/net/ipv4/$file
done
exec "$@"
"""
SYSCTLS_READ_ONLY = ("unshare", "--mount", "sh", "-euc", READ_ONLY, "sh")


@pytest.fixture
def small_server(stage: Stage) -> Iterator[None]:
    """Give the NFS server a link of MTU 1500."""
    ends = ((stage.lab.world.nfs, "eth0"), (stage.lab.world.router.far, "st-nfs"))
    for namespace, link in ends:
        namespace.set_mtu(link, 1500)
    yield
    for namespace, link in ends:
        namespace.set_mtu(link, 9000)


def test_a_small_server_is_degraded_and_open(stage: Stage, small_server: None) -> None:
    """TCP agrees on the server's size, so it is safe; the label says that it is less."""
    stage.join()
    stage.start()
    node = stage.wait_verdict("degraded", "False", "ServerBelowTarget")
    assert gates(node) == set()
    assert "1500" in condition(node)["message"]
    assert stage.lab.nfs.read(stage.host, "10.71.0.2")
    (event,) = await_(stage.events, "the event")
    assert (event["type"], event["reason"]) == ("Warning", "ServerBelowTarget")


def test_degraded_can_hold_the_gate(stage: Stage, small_server: None) -> None:
    """gate.onDegraded=hold: everything is said, the taint stays, nothing is tried in vain."""
    stage.join()
    agent = stage.start(gate_on_degraded="hold")
    node = stage.wait_verdict("degraded", "False", "ServerBelowTarget")
    assert gates(node) == set(GATE)
    stage.quiet(1.0)
    assert gates(stage.node()) == set(GATE)
    assert not agent.said("Opened the gate")


def test_a_black_hole_falls_back_and_says_why(stage: Stage) -> None:
    """The link keeps what passes; `kubectl describe node` shows it in condition and event."""
    stage.lab.world.router.set_path_mtu(4000, icmp=False)
    stage.join()
    stage.start()
    node = stage.wait_verdict("degraded", "False", "BlackHole")
    assert gates(node) == set()
    mtu = stage.host.mtu("eth1")
    assert 1500 <= mtu <= 4000
    assert label(node, LABEL_MTU) == str(mtu)
    assert stage.lab.nfs.read(stage.host, "10.71.0.2")
    await_(lambda: stage.events("BlackHole"), "the event")
    described = stage.lab.control_plane.kubectl("describe", "node", NODE).stdout
    conditions, _, events = described.partition("Events:")
    assert "tunegate.io/NetworkTuned" in conditions
    assert "BlackHole" in conditions
    assert "BlackHole" in events
    assert f"eth1 has MTU {mtu}" in events


def test_failed_holds_the_gate_until_it_is_mended(stage: Stage) -> None:
    """A required sysctl that cannot be written: closed, with the reason and what is missing."""
    stage.join()
    agent = stage.start(around=SYSCTLS_READ_ONLY)
    node = stage.wait_verdict("failed", "False", "SysctlReadOnly")
    assert gates(node) == set(GATE)
    assert "net.ipv4.tcp_mtu_probing is '0' and read-only" in condition(node)["message"]
    agent.await_line("Found", reason="SysctlReadOnly", severity="failed")
    stage.quiet(1.0)
    for key, value in (("tcp_rmem", "4096 131072 33554432"), ("tcp_mtu_probing", "1")):
        stage.host.set_sysctl(f"net.ipv4.{key}", value)
    stage.wait_verdict("tuned", "True", "Tuned")
    stage.wait(lambda node: not gates(node))


def test_the_deadline_opens_a_failed_node(stage: Stage) -> None:
    """gate.deadlineSeconds: the label goes on saying failed."""
    stage.join()
    stage.start(around=SYSCTLS_READ_ONLY, gate_deadline_seconds=10)
    assert gates(stage.wait_verdict("failed", "False", "SysctlReadOnly")) == set(GATE)
    node = stage.wait(lambda node: not gates(node))
    assert verdict(node) == ("failed", "False", "SysctlReadOnly")


def test_a_silent_server_keeps_the_gate_closed_for_a_while_only(stage: Stage) -> None:
    """Unknown and closed, then degraded and open, then tuned once the server answers."""
    stage.lab.world.router.silence()
    stage.join()
    stage.start(probe_retry_seconds=8, watch_probe_seconds=2)
    node = stage.wait_verdict(None, "Unknown", "EndpointSilent")
    assert gates(node) == set(GATE)
    assert stage.host.mtu("eth1") == 1500, "nothing could prove a larger size"
    stage.wait_verdict("degraded", "False", "PathUnproven")
    stage.wait(lambda node: not gates(node))
    stage.lab.world.router.clear()
    stage.wait_verdict("tuned", "True", "Tuned")
    await_(lambda: stage.events("Tuned"), "the event")
    assert stage.host.mtu("eth1") == 9000
    assert gates(stage.node()) == set()


def test_a_server_that_answers_in_time_is_tuned_without_a_detour(stage: Stage) -> None:
    """Unknown while it is silent, then tuned; never a label in between."""
    stage.lab.nfs.stop()
    try:
        stage.join()
        agent = stage.start()
        stage.wait_verdict(None, "Unknown", "EndpointRefused")
        assert gates(stage.node()) == set(GATE)
    finally:
        stage.lab.nfs.start()
    stage.wait_verdict("tuned", "True", "Tuned")
    stage.wait(lambda node: not gates(node))
    judged = [one["outcome"] for one in agent.lines() if one["message"] == "Judged the node"]
    assert set(judged) == {"pending", "tuned"}


def test_no_endpoint_is_its_own_outcome(stage: Stage) -> None:
    """Sysctls only: degraded and open, no link touched, no MTU label."""
    stage.join()
    stage.start(storage_endpoints="")
    node = stage.wait_verdict("degraded", "False", "NoStorageEndpoint")
    assert gates(node) == set()
    assert label(node, LABEL_MTU) is None
    assert stage.host.mtu("eth1") == 1500
    assert stage.host.sysctl("net.ipv4.tcp_mtu_probing") == "1"


@pytest.fixture
def list_role(stage: Stage) -> Iterator[str]:
    """Let the agent read one ConfigMap of its namespace, as the chart does; give its name."""
    metadata = {"name": f"{AGENT_NAME}-storage", "namespace": AGENT_NAMESPACE}
    group, name = "rbac.authorization.k8s.io", "storage-endpoints"
    one = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
    account = {"kind": "ServiceAccount", "name": AGENT_NAME, "namespace": AGENT_NAMESPACE}
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata}
    binding = {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": metadata}
    reference = {"apiGroup": group, "kind": "Role", "name": metadata["name"]}
    stage.admin.create(
        role | {"rules": [one | {"resourceNames": [name]}]},
        binding | {"roleRef": reference, "subjects": [account]},
    )
    yield name
    for kind in ("roles", "rolebindings"):
        there = f"/apis/{group}/v1/namespaces/{AGENT_NAMESPACE}/{kind}/{metadata['name']}"
        stage.admin.delete(there)
    stage.admin.delete(f"/api/v1/namespaces/{AGENT_NAMESPACE}/configmaps/{name}")


def test_a_list_of_servers_counts_before_the_kubelet_brings_it(
    stage: Stage, list_role: str, tmp_path: Path
) -> None:
    """The gate waits for the list; written, it is read from the API server."""
    stage.join()
    stage.start(
        storage_endpoints="",
        storage_endpoints_file=tmp_path / "none",
        storage_endpoints_config_map=f"{AGENT_NAMESPACE}/{list_role}",
    )
    node = stage.wait_verdict(None, "Unknown", "EndpointsFileMissing")
    assert gates(node) == set(GATE)
    metadata = {"name": list_role, "namespace": AGENT_NAMESPACE}
    data = {STORAGE_ENDPOINTS_KEY: f"{NFS_ADDRESS}\n"}
    stage.admin.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    )
    stage.wait_verdict("tuned", "True", "Tuned")
    node = stage.wait(lambda node: not gates(node))
    assert stage.host.mtu("eth1") == 9000


def test_the_verdict_of_another_boot_is_taken_back_first(stage: Stage) -> None:
    """Before this boot has a verdict the Node says Unknown and no label; then it is judged."""
    stale = {"boot": "another", "profile": "0", "links": {"eth1": 9000}, "outcome": "tuned"}
    stage.join(annotations={ANNOTATION_STATE: json.dumps(stale)})
    labels = {LABEL_NETWORK: "tuned", LABEL_MTU: "9000"}
    stage.admin.patch(NODE_PATH, {"metadata": {"labels": labels}}, MERGE_PATCH)
    stage.lab.world.router.silence()  # the first pass takes a while
    stage.start()
    node = stage.wait_verdict(None, "Unknown", "NotJudgedYet")
    assert label(node, LABEL_MTU) is None
    assert ANNOTATION_STATE not in node["metadata"]["annotations"]
    assert gates(node) == set(GATE)
    stage.lab.world.router.clear()
    node = stage.wait_verdict("tuned", "True", "Tuned")
    assert state(node)["boot"] == boot_id()


@pytest.mark.parametrize("garbage", ["{nope", "[1]", '{"boot": 7}', "\u2603"])
def test_a_garbage_annotation_is_overwritten(stage: Stage, garbage: str) -> None:
    """Whatever stands there, the node is judged and says so."""
    stage.join(annotations={ANNOTATION_STATE: garbage})
    stage.start()
    node = stage.wait_verdict("tuned", "True", "Tuned")
    assert state(node)["outcome"] == "tuned"
    assert gates(node) == set()


def state(node: Object) -> Object:
    """Return the state annotation."""
    decoded: Object = json.loads(node["metadata"]["annotations"][ANNOTATION_STATE])
    return decoded


def boot_id() -> str:
    """Return this boot's ID."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
