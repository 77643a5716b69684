"""
The lines that cure what the doctor finds, for each place where a pool is defined. Pure.

docs/clouds has the same with reasons; a test holds the pages to these lines.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from cli.doctor.facts import Daemon, Place
from common import names

EXACTLY: Final = f"{names.STARTUP_TAINT}=true:{names.TAINT_EFFECT}"
SHORT_KEY: Final = "startup-taint.cluster-autoscaler.kubernetes.io/net-not-tuned"
"""As the recommended key, within the 63 characters that EKS' API takes."""

_KARPENTER: Final = f"""\
spec:
  template:
    spec:
      startupTaints:
        - key: {names.STARTUP_TAINT}
          effect: {names.TAINT_EFFECT}"""
_BARE: Final = f"""\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
registerWithTaints:
  - key: {names.STARTUP_TAINT}
    effect: {names.TAINT_EFFECT}"""
_EKS: Final = f"""\
managedNodeGroups:
  - name: POOL
    amiFamily: AmazonLinux2023
    overrideBootstrapCommand: |
      apiVersion: node.eks.aws/v1alpha1
      kind: NodeConfig
      spec:
        kubelet:
          flags:
            - --register-with-taints={EXACTLY}"""
_AKS: Final = f"""\
resource pool 'Microsoft.ContainerService/managedClusters/agentPools@API-VERSION' = {{
  name: 'CLUSTER/POOL'
  properties: {{
    nodeInitializationTaints: [
      '{EXACTLY}'
    ]
  }}
}}"""
_GATES: Final[Mapping[Place, str]] = {
    Place.DOKS: f"doctl kubernetes cluster node-pool update CLUSTER POOL \\\n  --taint {EXACTLY}",
    Place.EKS: _EKS,
    Place.GKE: "gcloud container node-pools update POOL --cluster CLUSTER \\\n"
    f"  --node-taints {EXACTLY}",
    Place.AKS: _AKS,
    Place.KARPENTER: _KARPENTER,
    Place.BARE: _BARE,
}
_SHOWN: Final[Mapping[Place, str]] = {
    Place.DOKS: "doctl kubernetes cluster node-pool list CLUSTER -o json",
    Place.EKS: "aws eks describe-nodegroup --cluster-name CLUSTER \\\n  --nodegroup-name POOL",
    Place.GKE: "gcloud container node-pools list --cluster CLUSTER --format json",
    Place.AKS: "az aks nodepool list --resource-group GROUP --cluster-name CLUSTER",
    Place.KARPENTER: "kubectl get nodepools.karpenter.sh -o yaml",
    Place.BARE: "kubectl get configmap -n kube-system kubelet-config \\\n"
    "  -o jsonpath={.data.kubelet}",
}
_OPERATOR_PARTS: Final = (
    *("nvidia-driver", "nvidia-container-toolkit", "nvidia-device-plugin", "nvidia-dcgm"),
    *("nvidia-mig-manager", "nvidia-operator-validator", "gpu-feature-discovery"),
)


def gate(place: Place, pool: str = "") -> str:
    """Return what puts the recommended gate on a pool."""
    return _GATES[place].replace("POOL", pool or "POOL")


def show_pool(place: Place, pool: str = "") -> str:
    """Return the command that prints a pool's definition for `tunegate doctor -f -`."""
    return f"{_SHOWN[place].replace('POOL', pool or 'POOL')} |\n  tunegate doctor --cluster -f -"


def tolerations(keys: Iterable[str], indent: str = "") -> str:
    """Return the tolerations that let a pod pass these gates, as YAML."""
    return "\n".join(
        f"{indent}- key: {key}\n{indent}  operator: Exists\n{indent}  effect: {names.TAINT_EFFECT}"
        for key in keys
    )


def daemon(one: Daemon, keys: Iterable[str]) -> tuple[str, str]:
    """Return where a DaemonSet's tolerations are set, in words, and the lines for it."""
    if is_of_gpu_operator(one):
        lines = f"daemonsets:\n  tolerations:\n{_GPU}\n{tolerations(keys, '    ')}"
        return "in the GPU operator's Helm values (the list replaces its default)", lines
    if is_discovery(one):
        lines = "node-feature-discovery:\n  worker:\n    tolerations:\n"
        lines += f"{_GPU.replace('    - ', '      - ').replace('      o', '        o')}\n"
        lines = lines.replace("\n      effect", "\n        effect")
        lines += tolerations(keys, "      ")
        return "in the GPU operator's Helm values (worker: alone in NFD's own chart)", lines
    if "NicClusterPolicy" in one.owners:
        lines = f"spec:\n  tolerations:\n{tolerations(keys, '    ')}"
        return "in the NicClusterPolicy of the network operator", lines
    lines = f"tolerations:\n{tolerations(keys, '  ')}"
    return "in its chart's or manifest's tolerations", lines


_GPU: Final = """\
    - key: nvidia.com/gpu
      operator: Exists
      effect: NoSchedule"""


def is_of_gpu_operator(one: Daemon) -> bool:
    """Return whether the NVIDIA GPU operator makes it."""
    managed = one.labels.get("app.kubernetes.io/managed-by") == "gpu-operator"
    return managed or "ClusterPolicy" in one.owners or "NVIDIADriver" in one.owners


def is_discovery(one: Daemon) -> bool:
    """Return whether it is Node Feature Discovery's worker."""
    return "node-feature-discovery" in one.name or any(
        "node-feature-discovery" in image for image in one.images
    )
