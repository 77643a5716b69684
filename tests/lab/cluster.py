"""
A real cluster: the lab's network and control plane, two nodes with kubelets, an NFS server, helm.

::

    gpu-0   storage over eth1, with a GPU, born behind the gate taint
    solo-0  one link for everything, with a GPU, without the taint: the cluster's own pods run here

Pods have addresses of their own and reach each other through the router; nobody resolves names.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.lab import binaries, control_plane, node
from tests.lab.api import ApiClient, Object
from tests.lab.control_plane import ControlPlane
from tests.lab.lab import NETWORK_TOOLS, NFS_TOOLS, NODE_ADDRESSES
from tests.lab.nfs_server import NfsServer
from tests.lab.node import Node
from tests.lab.objects import GATE, GPU
from tests.lab.process import LabDir
from tests.lab.services import KubeProxy
from tests.lab.world import API_ADDRESSES, World

PROGRAMS: Final = (*control_plane.PROGRAMS, *node.PROGRAMS, "helm3", "helm4")
TOOLS: Final = (*NETWORK_TOOLS, *NFS_TOOLS, *node.TOOLS)
POD_RANGES: Final = {"gpu-0": "10.63.0.0/24", "solo-0": "10.63.1.0/24"}
GPU_LABELS: Final = {"doks.digitalocean.com/gpu-brand": "nvidia"}
"""As DigitalOcean's GPU nodes have it when they register."""
_HELM_SECONDS = 360.0


class Cluster:
    """Everything running; `close` ends it, and one whose owner died is swept by the next lab."""

    def __init__(self, lab_dir: LabDir) -> None:
        """Start all of it; `up` is the way to a running cluster."""
        self.lab_dir = lab_dir
        self.world = World(lab_dir)
        self.nfs = NfsServer(self.world.nfs, lab_dir)
        self.control_plane = ControlPlane(lab_dir, self.world.cp.name, API_ADDRESSES[:1])
        self.nodes: dict[str, Node] = {name: self._node(name) for name in NODE_ADDRESSES}
        self.nodes["gpu-0"].taints = [GATE]
        self._route_pods()
        with ThreadPoolExecutor() as pool:
            starts = [self.nfs.start, self.control_plane.start]
            starts += [one.boot for one in self.nodes.values()]
            for done in [pool.submit(start) for start in starts]:
                done.result()
            for joined in [pool.submit(one.join) for one in self.nodes.values()]:
                joined.result()
        for name in self.nodes:
            self.give_gpus(name)
        # for the API server's calls to webhooks; it needs some Node's name
        KubeProxy(lab_dir, self.control_plane, self.world.cp, "solo-0").start()

    @classmethod
    def up(cls) -> "Cluster":
        """
        Start one; both nodes are Ready.

        Raises:
            ControlPlaneError, NodeError, NfsServerError, TimeoutError, MissingBinaryError: A part
                did not come up; nothing is left behind.
        """
        lab_dir = LabDir.create()
        try:
            return cls(lab_dir)
        except BaseException:
            lab_dir.close()
            raise

    @property
    def api(self) -> ApiClient:
        """Return the administrator's client."""
        return self.control_plane.admin

    def kubectl(
        self, *args: str, check: bool = True, timeout_seconds: float = 180.0
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as administrator; raises with its error output unless told not to."""
        done = self.control_plane.kubectl(*args, timeout_seconds=timeout_seconds)
        return _checked(done, check=check)

    def helm(
        self, *args: str, version: int = 3, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run helm 3 or 4 as administrator; raises with its error output unless told not to."""
        home = self.lab_dir.path / f"helm{version}"
        folders = {f"HELM_{name}_HOME": str(home / name) for name in ("CACHE", "CONFIG", "DATA")}
        argv = ["nsenter", f"--net={self.world.cp.path}", str(binaries.find(f"helm{version}"))]
        done = subprocess.run(
            [*argv, f"--kubeconfig={self.control_plane.kubeconfig}", *args],
            env={**os.environ, **folders},
            check=False,
            capture_output=True,
            text=True,
            timeout=_HELM_SECONDS,
        )
        return _checked(done, check=check)

    def load_image(self, archive: Path) -> None:
        """Give an image's archive to every node."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda one: one.load_image(archive), self.nodes.values()))

    def reboot(self, name: str) -> None:
        """Cut a node's power and boot it; its namespace, links and boot ID are new ones."""
        self.nodes[name].cut_power()
        self.world.remake(name)
        self.nodes[name].start()
        self.give_gpus(name)

    def replace(self, name: str) -> None:
        """Take a node away, then boot it as a new one: it registers again, with its taints."""
        self.nodes[name].cut_power()
        self.api.delete(f"/api/v1/nodes/{name}")
        self.world.remake(name)
        self.nodes[name].start()
        self.give_gpus(name)

    def give_gpus(self, name: str, count: int = 8) -> None:
        """Say that a node has GPUs, in the place of a device plug-in."""
        body = {"status": {"capacity": {GPU: str(count)}, "allocatable": {GPU: str(count)}}}
        self.api.patch(f"/api/v1/nodes/{name}/status", body)

    def node_of(self, pod: Object) -> Node:
        """Return the node that a pod is bound to."""
        return self.nodes[pod["spec"]["nodeName"]]

    def close(self) -> None:
        """End it all; twice does no harm."""
        for one in self.nodes.values():
            one.cut_power()
        self.control_plane.kill()
        self.lab_dir.close()

    def _node(self, name: str) -> Node:
        made = Node(
            self.lab_dir,
            self.world.namespaces[name],
            self.control_plane,
            address=NODE_ADDRESSES[name],
            pod_range=POD_RANGES[name],
        )
        made.labels = dict(GPU_LABELS)
        return made

    def _route_pods(self) -> None:
        """Tell the routers where each node's pods are."""
        near, far = self.world.router.near, self.world.router.far
        near.script([f"ip route add {POD_RANGES[n]} via {NODE_ADDRESSES[n]}" for n in self.nodes])
        far.script([f"ip route add {pods} via 10.81.0.1" for pods in POD_RANGES.values()])


def missing_programs(names: Sequence[str] = PROGRAMS, tools: Sequence[str] = TOOLS) -> list[str]:
    """Return what this machine lacks for a cluster, each as a few words; empty when nothing."""
    lacking = [] if os.geteuid() == 0 else ["root, for network namespaces"]
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    lacking += [f"the program {name}" for name in tools if shutil.which(name, path=path) is None]
    lacking += node.missing_parts()
    for name in names:
        try:
            binaries.find(name)
        except binaries.MissingBinaryError:
            lacking.append(f"the lab's program {name}")
    return lacking


def _checked(
    done: subprocess.CompletedProcess[str], *, check: bool
) -> subprocess.CompletedProcess[str]:
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, done.args))}: {done.stderr or done.stdout}")
    return done
