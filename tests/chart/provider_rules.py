"""
What clouds and platforms check of other people's admission webhooks, as they wrote it. Pure.

A finding is a sentence that names the rule and the entry; no finding means that the platform leaves
the configuration alone. Sources, as of 2026-11:

- Gardener rewrites what it calls problematic and marks the cluster: gardenlet, shoot care,
  IsProblematicWebhook and WebhookConstraintMatchers
  (https://github.com/gardener/gardener, pkg/gardenlet/operation/botanist/matchers/matcher.go,
  pkg/gardenlet/controller/shoot/care/constraints.go).
- GKE lists unsafe webhooks, insight K8S_ADMISSION_WEBHOOK_UNSAFE
  (https://cloud.google.com/kubernetes-engine/docs/how-to/optimize-webhooks).
- AKS adds namespace selectors to what does not bear `admissions.enforcer/disabled`, and owns them
  from then on, so that Helm 4 stops at a conflict
  (https://learn.microsoft.com/azure/aks/faq, "Can admission controller webhooks impact
  kube-system"; https://github.com/Azure/AKS/issues/4002).
- DigitalOcean refuses to upgrade a cluster with webhooks or policies that clusterlint reports
  (https://github.com/digitalocean/clusterlint, checks/doks).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.lab import chart
from tests.lab.api import Object

GARDENER_SECONDS: Final = 15
GARDENER_LEASE_SECONDS: Final = 3
DIGITALOCEAN_SECONDS: Final = 30
AKS_OPT_OUT: Final = "admissions.enforcer/disabled"
AKS_SELECTORS: Final = (("control-plane", "true"), ("kubernetes.azure.com/managedby", "aks"))
KUBE_SYSTEM: Final[Mapping[str, str]] = {
    "kubernetes.io/metadata.name": "kube-system",
    "gardener.cloud/purpose": "kube-system",
    "shoot.gardener.cloud/no-cleanup": "true",
}
DEFAULT: Final[Mapping[str, str]] = {"kubernetes.io/metadata.name": "default"}
NODE_LEASES: Final[Mapping[str, str]] = {"kubernetes.io/metadata.name": "kube-node-lease"}
_CONFIGURATIONS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_COORDINATION = "coordination.k8s.io"


@dataclass(frozen=True, slots=True)
class Target:
    """
    Objects that a platform does not want to be intercepted.

    Attributes:
        namespace: labels of their namespace; None stands for any, and for cluster-wide objects.
        labels: their own labels; None stands for any.
    """

    group: str
    resource: str
    namespace: Mapping[str, str] | None = None
    is_namespaced: bool = True
    labels: Mapping[str, str] | None = None


_GARDENER_PODS = {
    "shoot.gardener.cloud/no-cleanup": "true",
    "resources.gardener.cloud/managed-by": "gardener",
}


def _in_kube_system(group: str, *resources: str) -> tuple[Target, ...]:
    return tuple(Target(group, resource, KUBE_SYSTEM) for resource in resources)


def _cluster_wide(group: str, *resources: str) -> tuple[Target, ...]:
    return tuple(Target(group, resource, is_namespaced=False) for resource in resources)


GARDENER: Final = (
    Target("", "pods", KUBE_SYSTEM, labels=_GARDENER_PODS),
    *_in_kube_system("", "configmaps", "endpoints", "secrets", "serviceaccounts", "services"),
    Target("", "endpoints", DEFAULT),
    Target("", "services", DEFAULT),
    *_cluster_wide("", "nodes", "nodes/status", "namespaces"),
    *_in_kube_system("apps", "controllerrevisions", "daemonsets", "deployments", "replicasets"),
    Target(_COORDINATION, "leases"),
    *_in_kube_system("networking.k8s.io", "networkpolicies"),
    *_cluster_wide("rbac.authorization.k8s.io", "clusterroles", "clusterrolebindings"),
    *_in_kube_system("rbac.authorization.k8s.io", "roles", "rolebindings"),
    *_cluster_wide("apiextensions.k8s.io", "customresourcedefinitions"),
    *_cluster_wide("apiregistration.k8s.io", "apiservices"),
    *_cluster_wide("certificates.k8s.io", "certificatesigningrequests"),
    *_cluster_wide("scheduling.k8s.io", "priorityclasses"),
)
GARDENER_LEASES: Final = (Target(_COORDINATION, "leases", KUBE_SYSTEM),)
GKE: Final = (
    Target("", "pods", KUBE_SYSTEM),
    Target(_COORDINATION, "leases", KUBE_SYSTEM),
    Target(_COORDINATION, "leases", NODE_LEASES),
    *_cluster_wide("", "nodes"),
    *_cluster_wide("authentication.k8s.io", "tokenreviews"),
    *_cluster_wide("authorization.k8s.io", "subjectaccessreviews"),
    *_cluster_wide("certificates.k8s.io", "certificatesigningrequests"),
)


def findings(objects: Sequence[Object]) -> Iterator[str]:
    """Yield what any platform has to say of a rendering."""
    for kind in _CONFIGURATIONS:
        for one in chart.select(objects, kind):
            for hook in one["webhooks"]:
                for rule in HOOK_RULES:
                    if what := rule(one, hook):
                        yield f"{rule.__name__}: {kind} {one['metadata']['name']}: {what}"
    yield from digitalocean_policies(objects)


def gardener(_: Object, hook: Object) -> str:
    """Return why Gardener would rewrite an entry, or ""."""
    seconds = hook.get("timeoutSeconds")
    if (seconds or 99) > GARDENER_LEASE_SECONDS and _takes(hook, GARDENER_LEASES):
        return f"{hook['name']} holds up leases of kube-system"
    is_soft = hook.get("failurePolicy", "Fail") != "Fail"
    if is_soft and seconds is not None and seconds <= GARDENER_SECONDS:
        return ""
    caught = _takes(hook, GARDENER)
    return f"{hook['name']} can keep nodes from joining: {caught}" if caught else ""


def gke(_: Object, hook: Object) -> str:
    """Return why GKE would call an entry unsafe, or ""."""
    caught = _takes(hook, GKE)
    return f"{hook['name']} is unsafe: it intercepts {caught}" if caught else ""


def aks(configuration: Object, hook: Object) -> str:
    """Return what AKS would change, or ""."""
    metadata = configuration["metadata"]
    marks = metadata.get("labels", {}) | metadata.get("annotations", {})
    if marks.get(AKS_OPT_OUT) == "true":
        return ""
    selector = hook.get("namespaceSelector", {}).get("matchExpressions", [])
    has = {(one["key"], *one.get("values", ())) for one in selector if one["operator"] == "NotIn"}
    return "" if set(AKS_SELECTORS) <= has else f"{hook['name']} gets selectors of AKS's own"


def digitalocean(_: Object, hook: Object) -> str:
    """Return why clusterlint would report an entry, or ""."""
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds < DIGITALOCEAN_SECONDS:
        return f"{hook['name']} has a timeout of {seconds} s"
    if hook.get("failurePolicy", "Fail") == "Ignore":
        return ""
    takes_system = selects(hook.get("namespaceSelector"), KUBE_SYSTEM)
    return f"{hook['name']} applies to kube-system" if takes_system else ""


def digitalocean_policies(objects: Sequence[Object]) -> Iterator[str]:
    """Yield each ValidatingAdmissionPolicy that clusterlint would report."""
    bindings = chart.select(objects, "ValidatingAdmissionPolicyBinding")
    for policy in chart.select(objects, "ValidatingAdmissionPolicy"):
        name, matched = policy["metadata"]["name"], policy["spec"]["matchConstraints"]
        denies = any(
            one["spec"]["policyName"] == name and "Deny" in one["spec"]["validationActions"]
            for one in bindings
        )
        is_core = any({"", "apps", "*"} & {*rule["apiGroups"]} for rule in matched["resourceRules"])
        if denies and is_core and selects(matched.get("namespaceSelector"), KUBE_SYSTEM):
            yield f"digitalocean_policies: {name} may deny in kube-system"


HOOK_RULES: Final[tuple[Callable[[Object, Object], str], ...]] = (gardener, gke, aks, digitalocean)


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Return whether a label selector takes these labels; an empty one takes all."""
    found = selector or {}
    by_value = found.get("matchLabels", {}).items() <= labels.items()
    return by_value and all(_holds(one, labels) for one in found.get("matchExpressions", ()))


def _holds(one: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(one["key"])
    match one["operator"]:
        case "In":
            return value in one["values"]
        case "NotIn":
            return value not in one["values"]
        case "Exists":
            return value is not None
        case _:
            return value is None


def _takes(hook: Object, targets: Sequence[Target]) -> str:
    """Return the first of these that an entry intercepts, or ""."""
    for target in targets:
        is_here = not target.is_namespaced or target.namespace is None
        is_here = is_here or selects(hook.get("namespaceSelector"), target.namespace or {})
        is_meant = target.labels is None or selects(hook.get("objectSelector"), target.labels)
        if is_here and is_meant and any(_names(rule, target) for rule in hook["rules"]):
            place = (target.namespace or {}).get("kubernetes.io/metadata.name", "")
            return f"{target.resource} {place}".strip()
    return ""


def _names(rule: Mapping[str, Any], target: Target) -> bool:
    """Return whether a rule names a resource; versions do not count, as `Equivalent` finds all."""
    scope = rule.get("scope", "*")
    fits = scope == "*" or (scope == "Namespaced") == target.is_namespaced
    groups, resources = set(rule["apiGroups"]), set(rule["resources"])
    plain = target.resource.partition("/")[0]
    return (
        fits
        and bool(groups & {"*", target.group})
        and bool(resources & {"*", "*/*", target.resource, f"{plain}/*"})
    )
