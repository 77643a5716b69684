"""
The webhook's Kubernetes objects as an installation has them, for labs without Helm.

Service, identity and rules, and the admission configurations. tests/chart/test_webhook_objects.py
holds them equal to what the chart renders. Why each value is as it is:
https://kubernetes.io/docs/concepts/cluster-administration/admission-webhooks-good-practices/
"""

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from common.names import LEADER_LEASE, POD_LABEL_INJECT, STORAGE_CONFIG_MAP, SYSTEM_NAMESPACES
from tests.lab.api import Object

NAMESPACE: Final = "tunegate"
NAME: Final = "tunegate-webhook"
VOLUMES_NAME: Final = f"{NAME}-volumes"
NODES_NAME: Final = f"{NAME}-nodes"
SERVING_SECRET: Final = "tunegate-webhook-serving"  # noqa: S105 - a name
LABELS: Final[Mapping[str, str]] = {
    "app.kubernetes.io/name": "tunegate",
    "app.kubernetes.io/instance": "tunegate",
    "app.kubernetes.io/component": "webhook",
}
"""What the Service selects its pods by."""
ANNOTATIONS: Final[Mapping[str, str]] = {"admissions.enforcer/disabled": "true"}
"""Keeps AKS from rewriting selectors: it owns them from then on, and Helm 4 cannot upgrade."""
USER: Final = f"system:serviceaccount:{NAMESPACE}:{NAME}"
DNS_NAME: Final = f"{NAME}.{NAMESPACE}.svc"
"""What the API server verifies in the served certificate (its client.go, `serverName`)."""

SERVICE_PORT: Final = 443
TIMEOUT_SECONDS: Final = 3
PATIENT_SECONDS: Final = 30
"""The longest timeout that Kubernetes takes: a machine that is slow for 3 s is no fault of ours."""
POD_HOOK: Final = "pods.tunegate.io"
OPTED_IN_HOOK: Final = "opted-in-pods.tunegate.io"
VOLUME_HOOK: Final = "volumes.tunegate.io"
NODE_HOOK: Final = "nodes.tunegate.io"
WARNING_HOOK: Final = "workloads.tunegate.io"

_NAMESPACE_NAME = "kubernetes.io/metadata.name"
_SYSTEM_NAMESPACES = (*SYSTEM_NAMESPACES, NAMESPACE)
_ADMISSION = "admissionregistration.k8s.io"

# what every form and image that webhook.forms and webhook.images know as a server holds
_SIGN = "matches('(?i)vllm|llm-d|kaito|sagemaker-entrypoint')"
# extended resources have a domain, the built-in ones have none
_DOMAIN = "r.contains('/')"
# CEL over one container `c`; each field is asked for before it is read, so that nothing errs
_CONTAINER_HINTS = (
    f"(has(c.image) && c.image.{_SIGN})",
    f"(has(c.command) && c.command.exists(w, w.{_SIGN}))",
    f"(has(c.args) && c.args.exists(w, w.{_SIGN}))",
    f"(has(c.env) && c.env.exists(e, e.name.{_SIGN} || (has(e.value) && e.value.{_SIGN})))",
    f"(has(c.resources) && has(c.resources.limits) && c.resources.limits.exists(r, {_DOMAIN}))",
)
_HINT = " || ".join(_CONTAINER_HINTS)


def _may_serve(pod: str) -> str:
    """Return CEL for: this pod, or template of one, shows a sign of vLLM or an accelerator."""
    labels = f"{pod}.metadata.labels"
    asked = f"'{POD_LABEL_INJECT}' in {labels} && {labels}['{POD_LABEL_INJECT}'] == 'enabled'"
    places = (f"{pod}.spec.containers", f"{pod}.spec.initContainers")
    return " || ".join(
        [
            f"has({pod}.spec.resourceClaims)",
            f"(has({labels}) && {asked})",
            *(f"(has({place}) && {place}.exists(c, {_HINT}))" for place in places),
        ]
    )


NOT_A_MIRROR_POD: Final = {
    "name": "not-a-mirror-pod",
    "expression": "!has(object.metadata.annotations)"
    " || !('kubernetes.io/config.mirror' in object.metadata.annotations)",
}
MAY_SERVE_VLLM: Final = {"name": "may-serve-vllm", "expression": _may_serve("object")}
"""
Keeps pods without any sign of vLLM or an accelerator in the API server.

It only has to let through all that `webhook.recognise` knows; what it lets through in vain costs
one call.
"""
MAY_BE_NFS: Final = {
    "name": "may-be-nfs",
    "expression": "has(object.spec.nfs) || has(object.spec.csi)",
}
ITS_SPEC_IS_NEW: Final = {
    "name": "its-spec-is-new",
    "expression": "request.operation != 'UPDATE' || !has(oldObject.spec)"
    " || object.spec != oldObject.spec",
}
"""Controllers write annotations of a Deployment all the time."""
TEMPLATE_MAY_SERVE_VLLM: Final = {
    "name": "may-serve-vllm",
    "expression": f"request.resource.group != 'apps' || {_may_serve('object.spec.template')}",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of a role: these verbs on this resource, of these names only when given."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()


OWN_RULES: Final[Sequence[Rule]] = (
    # a create cannot be restricted by name, so it stands apart
    Rule("", "secrets", ("create",)),
    Rule("", "secrets", ("get", "list", "watch", "update"), (SERVING_SECRET,)),
    Rule("", "configmaps", ("create",)),
    Rule("", "configmaps", ("get", "patch"), (STORAGE_CONFIG_MAP,)),
    Rule("coordination.k8s.io", "leases", ("create",)),
    Rule("coordination.k8s.io", "leases", ("get", "patch"), (LEADER_LEASE,)),
    Rule("discovery.k8s.io", "endpointslices", ("list",)),
)
"""In the webhook's own namespace: its certificates, its leader's Lease, its peers, its list."""

_KEPT: Final = ("get", "list", "watch", "patch")
"""List and watch fit a rule with names where the request selects one by metadata.name."""

CLUSTER_RULES: Final[Sequence[Rule]] = (
    Rule(_ADMISSION, "mutatingwebhookconfigurations", _KEPT, (NAME, VOLUMES_NAME, NODES_NAME)),
    Rule(_ADMISSION, "validatingwebhookconfigurations", _KEPT, (NAME,)),
    Rule("", "namespaces", ("get", "list", "watch")),
    Rule("", "pods", ("list", "watch")),
    Rule("", "persistentvolumes", ("list", "watch")),
    Rule("storage.k8s.io", "storageclasses", ("get", "list", "watch")),
    Rule("", "nodes", ("list",)),
    Rule("", "events", ("create", "get", "patch")),
    # whose a pod is: the owners of its owner
    Rule("apps", "replicasets", ("get",)),
    Rule("apps", "deployments", ("get",)),
    Rule("apps", "statefulsets", ("get",)),
    Rule("leaderworkerset.x-k8s.io", "leaderworkersets", ("get",)),
)
"""In the whole cluster: the bundle of its own configurations, what caches and auditor follow."""


def identity(
    namespace: str = NAMESPACE,
    own_rules: Sequence[Rule] = OWN_RULES,
    cluster_rules: Sequence[Rule] = CLUSTER_RULES,
) -> list[Object]:
    """Return the service account of the webhook with its roles and bindings."""
    account = {"name": NAME, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": dict(account)},
        _role("Role", dict(account), own_rules),
        _role("ClusterRole", {"name": NAME}, cluster_rules),
        _binding("Role", dict(account), namespace),
        _binding("ClusterRole", {"name": NAME}, namespace),
    ]


def service(serving_port: int, namespace: str = NAMESPACE, cluster_ip: str = "") -> Object:
    """Return the Service that the API server calls, on port 443 as is the default."""
    spec: Object = {
        "selector": dict(LABELS),
        "ports": [{"name": "https", "port": SERVICE_PORT, "targetPort": serving_port}],
    }
    if cluster_ip:
        spec["clusterIP"] = cluster_ip
    metadata = {"name": NAME, "namespace": namespace, "labels": dict(LABELS)}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def patient(configuration: Object, seconds: int = PATIENT_SECONDS) -> Object:
    """Return a configuration whose hooks all have this timeout."""
    hooks = [hook | {"timeoutSeconds": seconds} for hook in configuration["webhooks"]]
    return configuration | {"webhooks": hooks}


def mutating_configuration(
    ca_bundle: bytes = b"",
    namespace: str = NAMESPACE,
    *,
    opted_out: Sequence[str] = _SYSTEM_NAMESPACES,
) -> Object:
    """
    Return the configuration of what is injected: into pods.

    Args:
        ca_bundle: PEM; empty where the webhook itself is to write it.
        namespace: where the Service is.
        opted_out: namespaces whose pods never reach the webhook.
    """
    conditions = [dict(NOT_A_MIRROR_POD)]
    pods = _rule("", "v1", ["pods"], "Namespaced")
    hooks = [
        _hook(POD_HOOK, "/mutate", pods, ca_bundle, namespace)
        | {
            "namespaceSelector": _namespaces(opted_out, opted_in=False),
            "objectSelector": _not_opted_out(),
            "matchConditions": [*conditions, dict(MAY_SERVE_VLLM)],
            "reinvocationPolicy": "IfNeeded",
        },
        # CEL does not see the namespace, so a namespace that opts in has a hook of its own
        _hook(OPTED_IN_HOOK, "/mutate", pods, ca_bundle, namespace)
        | {
            "namespaceSelector": _namespaces(opted_out, opted_in=True),
            "objectSelector": _not_opted_out(),
            "matchConditions": conditions,
            "reinvocationPolicy": "IfNeeded",
        },
    ]
    return _configuration("MutatingWebhookConfiguration", hooks)


def volume_configuration(ca_bundle: bytes = b"", namespace: str = NAMESPACE) -> Object:
    """Return the configuration of the hook for PersistentVolumes."""
    volumes = _rule("", "v1", ["persistentvolumes"], "Cluster")
    hook = _hook(VOLUME_HOOK, "/volumes", volumes, ca_bundle, namespace) | {
        "matchConditions": [dict(MAY_BE_NFS)],
        "reinvocationPolicy": "IfNeeded",
    }
    return _configuration("MutatingWebhookConfiguration", [hook], VOLUMES_NAME)


def node_configuration(
    node_selector: Mapping[str, str], ca_bundle: bytes = b"", namespace: str = NAMESPACE
) -> Object:
    """
    Return the configuration of the hook for Nodes: those with these labels get the gate taint.

    A hook that can be switched off has an object of its own: an entry whose bundle the webhook has
    applied cannot be taken out of its configuration by server-side apply, which Helm 4 uses.
    """
    nodes = _rule("", "v1", ["nodes"], "Cluster")
    hook = _hook(NODE_HOOK, "/nodes", nodes, ca_bundle, namespace) | {
        "objectSelector": {"matchLabels": dict(node_selector)},
        "reinvocationPolicy": "IfNeeded",
    }
    return _configuration("MutatingWebhookConfiguration", [hook], NODES_NAME)


def warning_configuration(
    ca_bundle: bytes = b"",
    namespace: str = NAMESPACE,
    *,
    opted_out: Collection[str] = _SYSTEM_NAMESPACES,
) -> Object:
    """Return the configuration of the hook that warns on workload templates and never denies."""
    rules = [
        *_rule("apps", "v1", ["deployments", "statefulsets"], "Namespaced"),
        *_rule("leaderworkerset.x-k8s.io", "*", ["leaderworkersets"], "Namespaced"),
        *_rule(
            "serving.kserve.io", "*", ["inferenceservices", "llminferenceservices"], "Namespaced"
        ),
    ]
    for rule in rules:
        rule["operations"] = ["CREATE", "UPDATE"]
    hook = _hook(WARNING_HOOK, "/warn", rules, ca_bundle, namespace) | {
        "namespaceSelector": _namespaces(opted_out, opted_in=None),
        "objectSelector": _not_opted_out(),
        "matchConditions": [dict(ITS_SPEC_IS_NEW), dict(TEMPLATE_MAY_SERVE_VLLM)],
    }
    return _configuration("ValidatingWebhookConfiguration", [hook])


def _hook(
    name: str, path: str, rules: Sequence[Object], ca_bundle: bytes, namespace: str
) -> Object:
    client: Object = {
        "service": {"namespace": namespace, "name": NAME, "path": path, "port": SERVICE_PORT}
    }
    if ca_bundle:
        client["caBundle"] = base64.b64encode(ca_bundle).decode("ascii")
    return {
        "name": name,
        "clientConfig": client,
        "rules": list(rules),
        "failurePolicy": "Ignore",
        "matchPolicy": "Equivalent",
        "sideEffects": "NoneOnDryRun",
        "timeoutSeconds": TIMEOUT_SECONDS,
        "admissionReviewVersions": ["v1"],
    }


def _rule(group: str, version: str, resources: Sequence[str], scope: str) -> list[Object]:
    return [
        {
            "apiGroups": [group],
            "apiVersions": [version],
            "resources": list(resources),
            "operations": ["CREATE"],
            "scope": scope,
        }
    ]


def _namespaces(opted_out: Collection[str], *, opted_in: bool | None) -> Object:
    """Return the selector; None takes namespaces that opted in and those that said nothing."""
    by_name = {"key": _NAMESPACE_NAME, "operator": "NotIn", "values": list(opted_out)}
    refused = ["disabled"] if opted_in is None else ["disabled", "enabled"]
    by_label: Object = {"key": POD_LABEL_INJECT, "operator": "NotIn", "values": refused}
    if opted_in:
        by_label = {"key": POD_LABEL_INJECT, "operator": "In", "values": ["enabled"]}
    # what AKS marks its own namespaces by
    by_cloud = [
        {"key": "control-plane", "operator": "NotIn", "values": ["true"]},
        {"key": "kubernetes.azure.com/managedby", "operator": "NotIn", "values": ["aks"]},
    ]
    return {"matchExpressions": [by_name, by_label, *by_cloud]}


def _not_opted_out() -> Object:
    refused = {"key": POD_LABEL_INJECT, "operator": "NotIn", "values": ["disabled"]}
    return {"matchExpressions": [refused]}


def _configuration(kind: str, hooks: Sequence[Object], name: str = NAME) -> Object:
    metadata = {"name": name, "labels": dict(LABELS), "annotations": dict(ANNOTATIONS)}
    return {
        "apiVersion": f"{_ADMISSION}/v1",
        "kind": kind,
        "metadata": metadata,
        "webhooks": list(hooks),
    }


def _role(kind: str, metadata: Object, rules: Sequence[Rule]) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "rules": [
            {"apiGroups": [one.group], "resources": [one.resource], "verbs": list(one.verbs)}
            | ({"resourceNames": list(one.names)} if one.names else {})
            for one in rules
        ],
    }


def _binding(role_kind: str, metadata: Object, namespace: str) -> Object:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": f"{role_kind}Binding",
        "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": role_kind, "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}],
    }
