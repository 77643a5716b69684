"""
How long a node waits: install to first node tuned, and a new node's kubelet Ready to gate open.

On the lab's real cluster: kubelet, containerd and the real images, which are on the node already.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Final

from tests.lab.api import Object
from tests.lab.audit import AuditEntry
from tests.lab.cluster import Cluster
from tests.lab.objects import AGENT_USER, nfs_volume
from tests.lab.release import NAMESPACE, Release, is_open
from tests.lab.world import NFS_ADDRESS

NODE: Final = "gpu-0"
_AGENT: Final[Object] = {"config": {"storage": {"endpoints": [NFS_ADDRESS]}}}
_WATCH_SECONDS = 120.0

Row = Callable[[str, Sequence[float], str], None]


@dataclass(slots=True)
class Moments:
    """When something was first seen of a Node, in seconds since 1970; 0: not yet."""

    registered: float = 0.0
    ready: float = 0.0
    opened: float = 0.0


@dataclass(slots=True)
class Figures:
    """Seconds, one value a run."""

    helm: list[float] = field(default_factory=list)
    install: list[float] = field(default_factory=list)
    install_by_volume: list[float] = field(default_factory=list)
    register_to_ready: list[float] = field(default_factory=list)
    ready_to_open: list[float] = field(default_factory=list)
    ready_to_exec: list[float] = field(default_factory=list)
    agent: list[float] = field(default_factory=list)
    api: list[float] = field(default_factory=list)


def run(times: int, say: Callable[[str], None], row: Row) -> None:
    """Measure so many installs and so many joins, and print them."""
    say(f"a real cluster: {times} installs of the chart, {times} new nodes; images are there")
    figures = Figures()
    with closing(Cluster.up()) as cluster:
        release = Release.packed(cluster)
        release.load_images("agent", "webhook")
        cluster.api.create(nfs_volume("models", NFS_ADDRESS))
        for _ in range(times):
            figures.install_by_volume.append(_install(cluster, release, {}))
            _start_over(cluster, release)
        for number in range(times):
            if number:
                _start_over(cluster, release)
            figures.install.append(_install(cluster, release, _AGENT, figures.helm))
        for _ in range(times):
            _join(cluster, release, figures)
    row("helm install to first node tuned and open", figures.install, "s ")
    row("  where only a PersistentVolume names the server", figures.install_by_volume, "s ")
    row("  of this, helm itself", figures.helm, "s ")
    row("Node registered to kubelet Ready", figures.register_to_ready, "s ")
    row("kubelet Ready to gate open", figures.ready_to_open, "s ")
    row("  Ready to exec: pod, scheduler, container", figures.ready_to_exec, "s ")
    row("  the agent: start, tuning, proof", figures.agent, "s ")
    row("  the API server: the agent's requests", figures.api, "s ")


def _start_over(cluster: Cluster, release: Release) -> None:
    release.uninstall()
    cluster.replace(NODE)


def _install(
    cluster: Cluster, release: Release, agent: Object, helm: list[float] | None = None
) -> float:
    """Return how long it took until the node was open; `helm` takes helm's own part of it."""
    with _watched(cluster, not_uid="") as moments:
        began = time.time()
        release.install(agent=agent)
        if helm is not None:
            helm.append(time.time() - began)
        release.await_tuned(NODE)
    release.await_webhook()
    return moments.opened - began


def _join(cluster: Cluster, release: Release, figures: Figures) -> None:
    old = cluster.api.get(f"/api/v1/nodes/{NODE}")["metadata"]["uid"]
    with _watched(cluster, not_uid=old) as moments:
        cluster.replace(NODE)
        release.await_tuned(NODE)
    executed = _agent_started(cluster)
    requests = [
        one
        for one in cluster.control_plane.requests(AGENT_USER)
        if executed < one.received < moments.opened and one.verb != "watch"
    ]
    api = sum(_seconds(one) for one in requests)
    figures.register_to_ready.append(moments.ready - moments.registered)
    figures.ready_to_open.append(moments.opened - moments.ready)
    figures.ready_to_exec.append(executed - moments.ready)
    figures.agent.append(moments.opened - executed - api)
    figures.api.append(api)


@contextmanager
def _watched(cluster: Cluster, not_uid: str) -> Iterator[Moments]:
    """Give what a watch sees of the node, complete when the gate has been seen open."""
    moments = Moments()
    path = "/api/v1/nodes"

    def look() -> None:
        with cluster.api.watch(path, NODE, _WATCH_SECONDS) as states:
            started.set()
            for state in states:
                if state["metadata"]["uid"] != not_uid and _note(moments, state):
                    return

    started = threading.Event()
    thread = threading.Thread(target=look)
    thread.start()
    started.wait(_WATCH_SECONDS)
    yield moments
    thread.join()


def _note(moments: Moments, node: Object) -> bool:
    """Write down what a state shows for the first time; return whether it is the last one."""
    now = time.time()
    moments.registered = moments.registered or now
    conditions = node.get("status", {}).get("conditions", [])
    if any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
        moments.ready = moments.ready or now
    if is_open(node):
        moments.opened = now
    return bool(moments.opened)


def _agent_started(cluster: Cluster) -> float:
    """Return when the agent's process on the node was started, to 10 ms, in seconds since 1970."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods?fieldSelector=spec.nodeName%3D{NODE}"
    selector = "labelSelector=app.kubernetes.io%2Fcomponent%3Dagent"

    def runs(answer: Object) -> bool:
        pods = answer.get("items", [])
        return len(pods) == 1 and bool(pods[0]["status"].get("containerStatuses"))

    (pod,) = cluster.api.wait_for(f"{path}&{selector}", runs)["items"]
    node = cluster.nodes[NODE]
    pid = node.container_pid(pod["status"]["containerStatuses"][0]["containerID"])
    stat = node.run(["cat", f"/proc/{pid}/stat"]).stdout
    ticks = int(stat.rpartition(")")[2].split()[19])
    since_boot = ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot)


def _seconds(entry: AuditEntry) -> float:
    return entry.answered - entry.received
