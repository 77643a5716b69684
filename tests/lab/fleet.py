"""Nodes as a fleet has them: each outcome, each sign of staleness, and a thousand at once."""

import contextlib
import http.client
import json
import ssl
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from common import names
from tests.lab.api import ApiClient, Object, connect_in
from tests.lab.objects import GATE

BOOT = "0b7a9c1e-8d6f-4a21-9c34-5e6f70819203"
BORN = "2026-11-01T10:00:00Z"
SINCE = "2026-11-21T10:00:00Z"
_WRITERS = 4


def fleet_node(  # noqa: PLR0913 - a Node has many sides, and a test wants one of them
    name: str,
    outcome: str | None = "tuned",
    *,
    status: str = "True",
    reason: str = "Tuned",
    message: str = "eth1 carries 9000-byte packets to 10.0.0.9.",
    mtu: int | None = 9000,
    is_gated: bool = False,
    ready: str = "True",
    boot: str = BOOT,
    since: str = SINCE,
    heartbeat: str = SINCE,
    state: Mapping[str, object] | None = None,
    labels: Mapping[str, str] | None = None,
    images: int = 0,
) -> Object:
    """
    Return a Node as an agent leaves it; ``outcome`` None: judged nothing, label and annotation off.

    ``status`` "" leaves the agent's condition out; ``state`` adds to the annotation's fields.
    """
    kubelet = {"type": "Ready", "status": ready, "reason": "KubeletReady"}
    ours = {
        "type": names.CONDITION,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": heartbeat,
        "lastTransitionTime": since,
    }
    said = {"boot": BOOT, "profile": "abc", "links": {"eth1": mtu or 1500}, "outcome": outcome}
    node: Object = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "creationTimestamp": BORN,
            "labels": {"kubernetes.io/hostname": name, **(labels or {})},
            "annotations": {},
        },
        "spec": {"taints": [dict(GATE)] if is_gated else []},
        "status": {
            "nodeInfo": _node_info(boot),
            "conditions": [kubelet, *([ours] if status else [])],
            "images": [_image(number) for number in range(images)],
        },
    }
    if outcome:
        node["metadata"]["labels"][names.LABEL_NETWORK] = outcome
        if mtu:
            node["metadata"]["labels"][names.LABEL_MTU] = str(mtu)
        text = json.dumps({**said, "when": since, **(state or {})}, separators=(",", ":"))
        node["metadata"]["annotations"][names.ANNOTATION_STATE] = text
    return node


def small_fleet() -> list[Object]:
    """Return ten nodes: one of each kind that a person can meet."""
    return [
        fleet_node("gpu-1"),
        fleet_node("gpu-2", boot="a-later-boot"),
        fleet_node("gpu-3", ready="Unknown"),
        fleet_node(
            "gpu-4",
            "degraded",
            status="False",
            reason="PathBelowTarget",
            message="The path to 10.0.0.9 over eth1 carries 1500 bytes, not 9000.",
            mtu=1500,
        ),
        fleet_node(
            "gpu-5",
            "failed",
            status="False",
            reason="BlackHole",
            message="Packets above 1500 bytes to 10.0.0.9 are lost without a word.",
            mtu=1500,
            is_gated=True,
        ),
        fleet_node(
            "gpu-6",
            None,
            status="Unknown",
            reason="EndpointSilent",
            message="10.0.0.9:2049 does not answer.",
            is_gated=True,
            since="2026-11-21T11:00:00Z",
        ),
        fleet_node(
            "gpu-7",
            None,
            status="Unknown",
            reason="Observing",
            message="Would set eth1 MTU 1500 -> 9000.",
            labels={names.LABEL_MODE: "observe"},
        ),
        fleet_node(
            "gpu-8",
            None,
            status="Unknown",
            reason="StandingBy",
            message="First values are back.",
            labels={names.LABEL_MODE: "off"},
        ),
        fleet_node("gpu-10", None, status="", is_gated=True),
        fleet_node("cpu-1", None, status=""),
    ]


def create_nodes(client: ApiClient, nodes: Sequence[Object]) -> None:
    """Create many Nodes with their status, over a few connections that stay open."""
    parts = [nodes[start::_WRITERS] for start in range(_WRITERS)]
    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(lambda part: _create(client, part), parts))


def _create(client: ApiClient, nodes: Iterable[Object]) -> None:
    end = client.endpoint
    assert client.certificate is not None
    context = ssl.create_default_context(cafile=str(end.ca_file))
    context.load_cert_chain(client.certificate.certificate, client.certificate.key)
    connection = http.client.HTTPSConnection(end.host, end.port, context=context)
    plain = connect_in(end.netns, end.host, end.port, 10.0)
    connection.sock = context.wrap_socket(plain, server_hostname=end.host)
    with contextlib.closing(connection):
        for node in nodes:
            connection.request(
                "POST", "/api/v1/nodes", json.dumps(node), {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == http.client.CREATED, body


def _node_info(boot: str) -> Object:
    keys = [
        *("machineID", "systemUUID", "kernelVersion", "osImage", "containerRuntimeVersion"),
        *("kubeletVersion", "kubeProxyVersion", "operatingSystem", "architecture"),
    ]
    return {**dict.fromkeys(keys, "lab"), "bootID": boot}


def _image(number: int) -> Object:
    """Return an image as kubelets list up to 50 of them, which is most of a Node's size."""
    repository = f"registry.example.com/team/inference/server-{number}"
    digest = f"{number:064x}"
    names_ = [f"{repository}@sha256:{digest}", f"{repository}:v0.{number}.0"]
    return {"names": names_, "sizeBytes": 8_000_000_000 + number}
