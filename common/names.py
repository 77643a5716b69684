"""
The names that agent, webhook, chart and people agree on; a test holds the chart to them.

A key that differs between two of them fails silently, so each is written once, here.
"""

from typing import Final

STARTUP_TAINT: Final = "startup-taint.cluster-autoscaler.kubernetes.io/network-not-tuned"
"""
Recommended gate taint key.

The prefix makes cluster-autoscaler treat the node as starting, not as unfit. Source:
cluster-autoscaler FAQ, "How can I prevent Cluster Autoscaler from scaling up ... startup taints".
"""

GATE_TAINTS: Final[tuple[str, ...]] = (
    STARTUP_TAINT,
    "node.digitalocean.com/network-not-tuned",
    "readiness.k8s.io/network-not-tuned",
    "llm-inference.net-ready",
    "inference.network-tuned",
)
"""Every gate taint key that is removed by default; the last two stand in published recipes."""

TAINT_EFFECT: Final = "NoSchedule"
"""Effect of a gate taint; a taint of the same key with another effect is somebody else's."""

LABEL_MODE: Final = "tunegate.io/mode"
LABEL_NETWORK: Final = "tunegate.io/network"
LABEL_MTU: Final = "tunegate.io/mtu"
CONDITION: Final = "tunegate.io/NetworkTuned"
ANNOTATION_STATE: Final = "tunegate.io/state"
ANNOTATION_MODE_BEFORE: Final = "tunegate.io/mode-before"
"""On a Node that `tunegate uninstall` has set to mode off: what the mode was, "" for no label."""
MODE_OFF: Final = "off"

POD_LABEL_INJECT: Final = "tunegate.io/inject"
POD_ANNOTATION_STARTUP_BUDGET: Final = "tunegate.io/startup-budget"
POD_ANNOTATION_DRAIN_TIMEOUT: Final = "tunegate.io/drain-timeout"
POD_ANNOTATION_SHM_SIZE: Final = "tunegate.io/shm-size"
POD_ANNOTATION_INJECTED: Final = "tunegate.io/injected"
POD_ANNOTATION_DISABLE: Final = "tunegate.io/disable"
"""On a pod or a namespace: features that are not injected, separated by commas."""

ANNOTATION_NFS_OPTIONS: Final = "tunegate.io/nfs-options"
"""On a PersistentVolume or a StorageClass: `enabled`, `enabled,ro` or `disabled`."""
ANNOTATION_STORAGE_ENDPOINT: Final = "tunegate.io/storage-endpoint"
"""On a PersistentVolume or a StorageClass: `ignored` keeps its server off the list for agents."""

LEADER_LEASE: Final = "tunegate-webhook"
STORAGE_CONFIG_MAP: Final = "tunegate-storage-endpoints"
STORAGE_ENDPOINTS_KEY: Final = "endpoints"
"""The ConfigMap that agents mount, and the name of the file in it."""

SECRET_LABEL: Final = "tunegate.io/secret"  # noqa: S105 - a label
"""Marks the Secrets that the webhook writes; one with content but without it is never touched."""
SECRET_SERVING: Final = "serving"  # noqa: S105 - its value

AGENT_COMMAND: Final = "tunegate-agent"
SYSTEM_NAMESPACES: Final = ("kube-system", "kube-public", "kube-node-lease")
"""Never injected into: a webhook that the control plane waits for can end a cluster."""

WEBHOOK_COMMAND: Final = "tunegate-webhook"
AGENT_METRIC_PREFIX: Final = "tunegate_agent"
WEBHOOK_METRIC_PREFIX: Final = "tunegate_webhook"
