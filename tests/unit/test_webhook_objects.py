"""
The admission configurations keep to what Kubernetes and its platforms ask of a good neighbour.

Source: Kubernetes, "Admission Webhook Good Practices". What clouds check stands in
tests/chart/test_provider_rules.py.
"""

import pytest

from common import names
from tests.lab import webhook_objects
from tests.lab.api import Object
from webhook.hooks import PATHS
from webhook.schema import SETTINGS

GATED = {"pool": "gpu"}
CONFIGURATIONS = (
    webhook_objects.mutating_configuration(),
    webhook_objects.volume_configuration(),
    webhook_objects.node_configuration(GATED),
    webhook_objects.warning_configuration(),
)
HOOKS = [hook for one in CONFIGURATIONS for hook in one["webhooks"]]
NAMESPACED = [hook for hook in HOOKS if hook["rules"][0]["scope"] == "Namespaced"]
EACH = pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["name"])


@EACH
def test_a_hook_never_stands_in_the_way(hook: Object) -> None:
    """It fails open, soon, and says of itself what a dry run and another version mean to it."""
    assert hook["failurePolicy"] == "Ignore"
    assert hook["timeoutSeconds"] <= 3
    assert hook["sideEffects"] == "NoneOnDryRun"
    assert hook["matchPolicy"] == "Equivalent"
    assert hook["admissionReviewVersions"] == ["v1"]


@EACH
def test_a_hook_asks_for_no_more_than_it_needs(hook: Object) -> None:
    """Resources by name, never a wildcard, never a subresource, a lease or a deletion."""
    for rule in hook["rules"]:
        assert set(rule["operations"]) <= {"CREATE", "UPDATE"}
        assert "*" not in rule["apiGroups"]
        assert not [name for name in rule["resources"] if "*" in name or "/" in name]
        assert "leases" not in rule["resources"]


@EACH
def test_a_hook_calls_a_path_that_is_served(hook: Object) -> None:
    """By its Service, on the port that the Service has."""
    called = hook["clientConfig"]["service"]
    assert called["path"] in PATHS
    assert called["port"] == webhook_objects.service(9443)["spec"]["ports"][0]["port"]


@pytest.mark.parametrize("hook", NAMESPACED, ids=lambda hook: hook["name"])
def test_the_system_and_the_webhook_itself_are_left_out(hook: Object) -> None:
    """A cluster whose nodes all restart must come up without it."""
    (by_name,) = [
        one
        for one in hook["namespaceSelector"]["matchExpressions"]
        if one["key"] == "kubernetes.io/metadata.name"
    ]
    assert by_name["operator"] == "NotIn"
    assert {"kube-system", "kube-node-lease", "tunegate"} <= set(by_name["values"])


def test_only_pods_that_are_made_are_changed() -> None:
    """A hook on updates makes old pods impossible to change or to collect."""
    pods = [hook for hook in HOOKS if hook["rules"][0]["resources"] == ["pods"]]
    assert [hook["rules"][0]["operations"] for hook in pods] == [["CREATE"]] * 2
    assert {hook["reinvocationPolicy"] for hook in pods} == {"IfNeeded"}


def test_nodes_are_no_business_of_it_unless_asked_for() -> None:
    """And then of those alone that are selected."""
    every = [one for one in HOOKS if one["rules"][0]["resources"] != ["nodes"]]
    assert len(every) == len(HOOKS) - 1
    (nodes,) = [hook for hook in HOOKS if hook["rules"][0]["resources"] == ["nodes"]]
    assert nodes["objectSelector"] == {"matchLabels": GATED}


def test_names_are_those_of_the_settings() -> None:
    """A name that differs between the two fails silently."""
    defaults = {row.path: row.default for row in SETTINGS}
    assert defaults["certificates.secret"] == webhook_objects.SERVING_SECRET
    assert defaults["certificates.service"] == webhook_objects.NAME
    assert defaults["certificates.mutatingConfigurations"] == (
        *(webhook_objects.NAME, webhook_objects.VOLUMES_NAME),
        webhook_objects.NODES_NAME,
    )
    assert defaults["certificates.validatingConfigurations"] == (webhook_objects.NAME,)
    assert f"{names.WEBHOOK_COMMAND}.{webhook_objects.NAMESPACE}.svc" == webhook_objects.DNS_NAME


def test_its_rights_name_what_they_can() -> None:
    """No wildcard, no deletion; what it writes, but for Events, are objects of one name."""
    for rule in (*webhook_objects.OWN_RULES, *webhook_objects.CLUSTER_RULES):
        assert not {"*", "delete", "deletecollection"} & set(rule.verbs)
        assert "*" not in (rule.group, rule.resource)
        if {"update", "patch"} & set(rule.verbs) and rule.resource != "events":
            assert rule.names


FOLLOWED = {
    "secrets": {"get", "list", "watch"},
    "mutatingwebhookconfigurations": {"get", "list", "watch"},
    "validatingwebhookconfigurations": {"get", "list", "watch"},
    "namespaces": {"get", "list", "watch"},
    "storageclasses": {"get", "list", "watch"},
    "persistentvolumes": {"list", "watch"},
    "pods": {"list", "watch"},
}
"""What webhook/serving.py, namespaces.py, storage_part.py and audit_part.py follow and ask for."""


@pytest.mark.parametrize("resource", sorted(FOLLOWED))
def test_what_is_followed_may_be_read(resource: str) -> None:
    """A right that lacks is a cache that never hears, and nobody notices."""
    rules = (*webhook_objects.OWN_RULES, *webhook_objects.CLUSTER_RULES)
    verbs = {verb for rule in rules if rule.resource == resource for verb in rule.verbs}
    assert verbs >= FOLLOWED[resource]
