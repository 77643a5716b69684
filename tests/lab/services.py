"""
Services as a real cluster has them: kube-proxy where the API server is, pods with own addresses.

::

    cp   10.60.0.10 (loopback), 10.62.0.1 (bridge `pods`) --+-- pod 10.62.0.2
         etcd, kube-apiserver, kube-proxy (nftables)         +-- pod 10.62.0.3 ...

The API server calls a webhook at its Service's ClusterIP; kube-proxy sends each connection to one
of the pods that are ready. What the kubelet would do for those pods, `tests.lab.webhook_pods` does.
"""

import json
import time
from typing import Final

from tests.lab import binaries
from tests.lab.control_plane import ControlPlane
from tests.lab.netns import Namespace
from tests.lab.process import LabDir, LabProcess

PROGRAMS = ("kube-proxy",)
API_ADDRESS: Final = "10.60.0.10"
POD_GATEWAY: Final = "10.62.0.1"
NODE: Final = "cp-0"
_START_SECONDS = 180.0
_POLL_SECONDS = 0.05
# https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/
_CONFIG: Final = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "nftables",
    "nftables": {"minSyncPeriod": "100ms"},
    "healthzBindAddress": "127.0.0.1:10256",
    "metricsBindAddress": "127.0.0.1:10249",
    # the machine's own limits are none of the lab's
    "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    "oomScoreAdj": 0,
}


class PodNetwork:
    """The namespace of a control plane, and a bridge that pods are joined to."""

    def __init__(self, lab_dir: LabDir) -> None:
        """Make the namespace and the bridge."""
        self._lab_dir = lab_dir
        self._pods = 0
        self.cp = Namespace(lab_dir, "cp")
        self.cp.script(
            [
                "ip link set lo up",
                f"ip address add {API_ADDRESS}/32 dev lo",
                # by itself a bridge has the least address of its ports, and changes it with them
                "ip link add pods address 02:00:00:62:00:01 type bridge",
                f"ip address add {POD_GATEWAY}/24 dev pods",
                "ip link set pods up",
                # without a route every ClusterIP is unreachable before nftables sees it
                "ip route add default dev pods",
            ]
        )

    def pod(self) -> tuple[Namespace, str]:
        """Make a namespace for one pod; return it with its address, which no other has or had."""
        self._pods += 1
        address = f"10.62.0.{self._pods + 1}"
        namespace, port = Namespace(self._lab_dir, f"pod-{self._pods}"), f"pod-{self._pods}"
        # the indices differ, or linkwatch may tell of the carrier a second late
        pair = (
            f"ip link add {port} index {1000 + self._pods} type veth"
            f" peer name eth0 index {2000 + self._pods} netns {namespace.name}"
        )
        self.cp.script([pair, f"ip link set {port} master pods up"])
        namespace.script(
            [
                "ip link set lo up",
                f"ip address add {address}/24 dev eth0",
                "ip link set eth0 up",
                f"ip route add default via {POD_GATEWAY}",
            ]
        )
        return namespace, address


class KubeProxy:
    """kube-proxy beside the API server, with a Node object for it to belong to."""

    def __init__(
        self,
        lab_dir: LabDir,
        control_plane: ControlPlane,
        namespace: Namespace,
        node: str = NODE,
    ) -> None:
        """Prepare; nothing runs yet. A Node of that name has to be there, or it waits for one."""
        self._node = node
        self._lab_dir = lab_dir
        self._control_plane = control_plane
        self._namespace = namespace

    def start(self) -> LabProcess:
        """
        Start it; back when it has read all Services once.

        Raises:
            TimeoutError: It has not within three minutes; the message ends with its log.
        """
        name = f"kube-proxy-{self._namespace.role}"
        kubeconfig = self._control_plane.client_kubeconfig(name, ["system:masters"])
        file = kubeconfig.with_suffix(".config")
        mine = {
            "hostnameOverride": self._node,
            "clientConnection": {"kubeconfig": str(kubeconfig)},
        }
        file.write_text(json.dumps(_CONFIG | mine))
        argv = [str(binaries.find("kube-proxy")), f"--config={file}"]
        process = self._lab_dir.spawn(name, argv, netns=self._namespace.name)
        deadline = time.monotonic() + _START_SECONDS
        while not self._has_synced():
            if process.poll() is not None or time.monotonic() > deadline:
                tail = "\n".join(process.log_text().splitlines()[-15:])
                raise TimeoutError(f"kube-proxy is not ready; the end of its log:\n{tail}")
            time.sleep(_POLL_SECONDS)
        return process

    def _has_synced(self) -> bool:
        """Return whether its table is there: it is made with the first pass over all Services."""
        listed = self._namespace.run(["nft", "list", "tables"], check=False)
        return "kube-proxy" in listed.stdout
