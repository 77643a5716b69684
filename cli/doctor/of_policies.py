"""Admission configurations and policies of tunegate's, and NodeReadinessRules. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final

from cli.doctor.facts import Hook, Rule, Taint
from webhook import pods
from webhook.decisions import Json

HOOK_KINDS: Final = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_DOMAIN = ".tunegate.io"
_PART_OF = "app.kubernetes.io/part-of"


def hooks_of(raw: Json) -> Iterator[Hook]:
    """Yield our webhooks of one configuration, mutating or validating."""
    for one in pods.objects(raw.get("webhooks")):
        name = pods.text(one.get("name"))
        if name.endswith(_DOMAIN):
            client = pods.mapping(one.get("clientConfig"))
            service = pods.mapping(client.get("service"))
            yield Hook(
                configuration=pods.name(raw),
                name=name,
                failure_policy=pods.text(one.get("failurePolicy")) or "Fail",
                has_bundle=bool(pods.text(client.get("caBundle"))),
                service=(pods.text(service.get("namespace")), pods.text(service.get("name")))
                if service
                else None,
            )


def has_own_node_policy(policies: Iterable[Json], bindings: Iterable[Json]) -> bool:
    """Return whether a policy that ties agents to their own Node is there and bound to Deny."""
    ours = {
        pods.name(one)
        for one in policies
        if "tunegate" in pods.name(one) or pods.labels(one).get(_PART_OF) == "tunegate"
        if "node-name" in str(pods.spec(one))
    }
    return any(
        pods.text(pods.spec(one).get("policyName")) in ours
        and "Deny" in pods.texts(pods.spec(one).get("validationActions"))
        for one in bindings
    )


def ready_endpoints(raw: Json) -> tuple[tuple[str, str], int]:
    """Return one EndpointSlice's Service and how many ready endpoints it has there."""
    namespace = pods.text(pods.metadata(raw).get("namespace"))
    service = pods.labels(raw).get("kubernetes.io/service-name", "")
    ready = sum(
        pods.mapping(one.get("conditions")).get("ready") is not False
        for one in pods.objects(raw.get("endpoints"))
    )
    return (namespace, service), ready


def rule_of(raw: Json) -> Rule:
    """Return one NodeReadinessRule (readiness.node.x-k8s.io/v1alpha1)."""
    spec = pods.spec(raw)
    taint = pods.mapping(spec.get("taint"))
    return Rule(
        name=pods.name(raw),
        taint=Taint(pods.text(taint.get("key")), pods.text(taint.get("effect"))),
        conditions=tuple(
            (pods.text(one.get("type")), pods.text(one.get("requiredStatus")))
            for one in pods.objects(spec.get("conditions"))
        ),
        mode=pods.text(spec.get("enforcementMode")),
        is_dry_run=spec.get("dryRun") is True,
    )
