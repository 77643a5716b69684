"""
A pool that Karpenter scales from nothing, and agents on the Nodes it makes.

::

    scaler.offer(node_pool("gpu", startup_taints=[GATE]))
    scaler.ask("vllm")
    claim = scaler.await_claim(lambda claim: is_gated(claim))
    agent = scaler.join(node_of(claim))
"""

import time
from collections.abc import Callable, Mapping, Sequence

from common.names import GATE_TAINTS, TAINT_EFFECT
from tests.e2e.harness import PROGRAM, Agent, await_, taints
from tests.lab.api import JSON_PATCH, MERGE_PATCH, ApiError, Object, object_path
from tests.lab.karpenter import CLAIMS, POOL_LABEL, PROVIDER_PREFIX, Karpenter, condition
from tests.lab.lab import Lab
from tests.lab.objects import GPU, KWOK_ANNOTATION, vllm_pod
from tests.lab.world import NFS_ADDRESS
from webhook.mutate import mutate
from webhook.policy import Policy

HOST = "gpu-0"
GPU_TAINT = {"key": GPU, "value": "present", "effect": "NoSchedule"}
WAIT_SECONDS = 240.0
_POLL_SECONDS = 0.05
_NODES = "/api/v1/nodes"
_PODS = "/api/v1/namespaces/default/pods"
_POOLS = "/apis/karpenter.sh/v1/nodepools"
_CLASSES = "/apis/karpenter.kwok.sh/v1alpha1/kwoknodeclasses"
_STALE = (409, 422)


def injected_pod(name: str) -> Object:
    """Return a vLLM pod as the webhook leaves it: it tolerates the GPU's taint, never the gate."""
    return mutate(bare_pod(name), Policy()).pod


def bare_pod(name: str) -> Object:
    """Return a vLLM pod as people write it, with no toleration at all."""
    pod = vllm_pod(name)
    del pod["spec"]["tolerations"]
    return pod


def node_of(claim: Object) -> str:
    """Return the name of a NodeClaim's Node: the provider names it before it is there."""
    return str(claim["status"]["providerID"]).removeprefix(PROVIDER_PREFIX)


def is_launched(claim: Object) -> bool:
    """Return whether the cloud has been asked for the machine."""
    return condition(claim, "Launched")[0] == "True"


def is_gated(claim: Object) -> bool:
    """Return whether all that Karpenter waits for is the startup taint."""
    return condition(claim, "Initialized") == ("Unknown", "StartupTaintsExist")


def is_initialized(claim: Object) -> bool:
    """Return whether Karpenter takes the node as its own."""
    return condition(claim, "Initialized")[0] == "True"


def gate_keys(node: Object) -> set[str]:
    """Return the gate's keys that stand on a Node."""
    return {key for key, effect in taints(node) if key in GATE_TAINTS and effect == TAINT_EFFECT}


class Scaler:
    """One lab's Karpenter and its pools, empty again after each test."""

    def __init__(self, lab: Lab, karpenter: Karpenter) -> None:
        """Take both, running."""
        self.lab = lab
        self.karpenter = karpenter
        self.admin = lab.control_plane.admin
        self._agents: list[Agent] = []

    def offer(self, *objects: Object) -> None:
        """Create node classes and pools."""
        self.admin.create(*objects)

    def ask(self, name: str) -> str:
        """Create an injected vLLM pod and return its path."""
        pod = injected_pod(name)
        self.admin.create(pod)
        return object_path(pod)

    def claims(self) -> list[Object]:
        """Return every NodeClaim."""
        return list(self.admin.get(CLAIMS)["items"])

    def nodes(self) -> list[Object]:
        """Return every Node that Karpenter has."""
        return [n for n in self.admin.get(_NODES)["items"] if POOL_LABEL in n["metadata"]["labels"]]

    def node(self, name: str) -> Object:
        """Return one Node."""
        return self.admin.get(f"{_NODES}/{name}")

    def await_claim(self, predicate: Callable[[Object], bool], what: str) -> Object:
        """Wait until a NodeClaim is so, and return it."""
        return await_(
            lambda: next((one for one in self.claims() if predicate(one)), None), what, WAIT_SECONDS
        )

    def await_node(self, name: str, predicate: Callable[[Object], bool]) -> Object:
        """Wait until a Node exists and is so, and return it."""
        return self.admin.wait_for(
            f"{_NODES}/{name}", lambda node: bool(node) and predicate(node), WAIT_SECONDS
        )

    def await_bound(self, pod_path: str, node: str) -> None:
        """Wait until a pod runs on this Node."""
        self.admin.wait_for(
            pod_path,
            lambda pod: bool(pod) and pod["spec"].get("nodeName") == node,
            WAIT_SECONDS,
        )

    def await_event(self, pod: str, text: str) -> Object:
        """Wait for an event about a pod that holds this text."""

        def found() -> Object | None:
            listed = self.admin.get("/api/v1/namespaces/default/events")["items"]
            about = (one for one in listed if one["involvedObject"]["name"] == pod)
            return next((one for one in about if text in one["message"]), None)

        return await_(found, f"an event about {pod}: {text}", WAIT_SECONDS)

    def register(
        self,
        claim: Object,
        node_taints: Sequence[Mapping[str, str]],
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """
        Do what a kubelet does on a machine that the cloud has made: create the Node.

        The claim's class must delay registration, or the provider does it too. Returns the name.
        """
        name = node_of(claim)
        own = {"kubernetes.io/hostname": name, **claim["metadata"]["labels"], **(labels or {})}
        status = claim["status"]
        self.admin.create(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": name,
                    "labels": own,
                    "annotations": {KWOK_ANNOTATION: "fake"},
                },
                "spec": {"providerID": status["providerID"], "taints": [*map(dict, node_taints)]},
                "status": {key: status[key] for key in ("capacity", "allocatable")},
            }
        )
        return name

    def join(self, node: str, *, pod_name: str = "", **settings: object) -> Agent:
        """Start `tunegate-agent run` for this Node, on the lab's GPU host, as its agent's pod."""
        mine = {"storage_endpoints": NFS_ADDRESS, "log_format": "json"} | settings
        environment = {f"TUNEGATE_{key.upper()}": str(value) for key, value in mine.items()}
        environment = self.lab.agent_environment(node, pod_name=pod_name) | environment
        log = self.lab.lab_dir.path / "logs" / "agent.log"
        size = log.stat().st_size if log.exists() else 0
        process = self.lab.nodes[HOST].spawn("agent", [PROGRAM, "run"], environment)
        agent = Agent(process, size)
        self._agents.append(agent)
        return agent

    def await_opened(self, agent: Agent, times: int) -> None:
        """Wait until an agent has opened the gate so often."""
        await_(lambda: opened(agent) >= times, f"the gate opened {times} times", WAIT_SECONDS)

    def put_gate_back(self, node: str, key: str) -> None:
        """Add the gate's taint as another program does."""
        while True:
            seen = self.node(node)
            metadata, have = seen["metadata"], seen["spec"].get("taints", [])
            wanted = [*have, {"key": key, "effect": TAINT_EFFECT}]
            version = {"path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
            write = {"op": "add", "path": "/spec/taints", "value": wanted}
            try:
                self.admin.patch(f"{_NODES}/{node}", [{"op": "test", **version}, write], JSON_PATCH)
            except ApiError as error:
                if error.status not in _STALE:
                    raise
            else:
                return

    def drop(self, path: str) -> None:
        """Delete one object whoever holds on to it, and wait until it is gone."""
        self.admin.request(
            "PATCH", path, {"metadata": {"finalizers": None}}, content_type=MERGE_PATCH
        )
        self.admin.request("DELETE", path + "?gracePeriodSeconds=0")

    def reset(self) -> None:
        """End the agents and take away all that a test made."""
        for agent in self._agents:
            agent.process.kill()
        self._agents.clear()
        self.karpenter.resume()
        kinds = (_PODS, _POOLS, CLAIMS, _NODES, _CLASSES, "/api/v1/namespaces/default/events")
        deadline = time.monotonic() + WAIT_SECONDS
        while left := [path for kind in kinds for path in self._paths(kind)]:
            assert time.monotonic() < deadline, f"not gone: {left}"
            for path in left:
                self.drop(path)
            time.sleep(_POLL_SECONDS)
        self.lab.world.restore()

    def _paths(self, kind: str) -> list[str]:
        return [f"{kind}/{one['metadata']['name']}" for one in self.admin.get(kind)["items"]]


def opened(agent: Agent) -> int:
    """Return how often an agent has opened the gate."""
    return sum(line["message"] == "Opened the gate" for line in agent.lines())
