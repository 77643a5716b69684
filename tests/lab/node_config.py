"""
The settings files of a node's container runtime, its pod network and its kubelet.

Sources: containerd's docs/cri/config.md, https://www.cni.dev/plugins/current/main/ptp/,
https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAUSE_IMAGE: Final = "localhost/pause:lab"
CONTAINERD_SOCKET: Final = "/run/containerd/containerd.sock"
CNI_PLUGINS: Final = Path("/usr/lib/cni")
KUBELET_PORT: Final = 10250

# restrict_oom_score_adj: without CAP_SYS_RESOURCE runc cannot lower a score, and every sandbox dies
_CONTAINERD: Final = """\
version = 3
root = '/var/lib/containerd'
state = '/run/containerd'
oom_score = 0
disabled_plugins = ['io.containerd.nri.v1.nri', 'io.containerd.tracing.processor.v1.otlp',
  'io.containerd.internal.v1.tracing', 'io.containerd.snapshotter.v1.blockfile',
  'io.containerd.snapshotter.v1.erofs']
[grpc]
address = '{socket}'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{pause}'
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
enable_cdi = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['{cni_plugins}']
conf_dir = '{folder}/cni'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
SystemdCgroup = false
"""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What makes a node this one; `folder` holds all that it writes."""

    name: str
    folder: Path
    address: str
    pod_range: str
    cgroup: str
    ca_file: Path
    taints: Sequence[Mapping[str, str]]


def write_all(settings: NodeSettings) -> None:
    """Write containerd.toml, cni/, kubelet.json and resolv.conf into the node's folder."""
    folder = settings.folder
    (folder / "cni").mkdir(parents=True, exist_ok=True)
    containerd = _CONTAINERD.format(
        socket=CONTAINERD_SOCKET, pause=PAUSE_IMAGE, cni_plugins=CNI_PLUGINS, folder=folder
    )
    (folder / "containerd.toml").write_text(containerd, encoding="ascii")
    network = json.dumps(_pod_network(settings.pod_range))
    (folder / "cni" / "10-ptp.conflist").write_text(network, encoding="ascii")
    (folder / "kubelet.json").write_text(json.dumps(_kubelet(settings)), encoding="ascii")
    # nobody resolves names in the lab
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n", encoding="ascii")


def _pod_network(pod_range: str) -> dict[str, object]:
    """Return a network in which a pod is joined to its node by a veth pair and routed."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": pod_range}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": ipam},
    ]
    return {"cniVersion": "1.0.0", "name": "lab", "plugins": plugins}


def _kubelet(settings: NodeSettings) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "0.0.0.0",
        "port": KUBELET_PORT,
        "readOnlyPort": 0,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(settings.ca_file)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{settings.cgroup}",
        # the machine of the tests may have version 1 still
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "resolvConf": str(settings.folder / "resolv.conf"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "registerWithTaints": [dict(taint) for taint in settings.taints],
        "makeIPTablesUtilChains": False,
        "oomScoreAdj": 0,
        "serializeImagePulls": False,
        # what else lies on the machine's disk is none of the lab's nodes' business
        "evictionHard": {"nodefs.available": "64Mi", "imagefs.available": "64Mi"},
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "5s",
        # a changed ConfigMap arrives in a volume with the next look at its pod; usual is 1 min
        "syncFrequency": "10s",
    }
