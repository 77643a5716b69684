"""No cloud rewrites, reports or refuses what the chart installs."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from tests.chart.options import PRESETS, all_on
from tests.chart.provider_rules import (
    aks,
    digitalocean,
    digitalocean_policies,
    findings,
    gardener,
    gke,
)
from tests.lab import chart
from tests.lab.api import Object

NODES_ON = {"webhook": {"hooks": {"nodes": {"enabled": True, "selector": {"pool": "gpu"}}}}}
CHOICES: Mapping[str, Mapping[str, Any]] = {
    "shipped": {},
    "longest timeout": {"webhook": {"timeoutSeconds": 10}},
    "pods by the API server": {"mutatingAdmissionPolicy": {"enabled": True}},
    **{path.stem: yaml.safe_load(path.read_text()) for path in PRESETS},
}
Rule = Callable[[Object, Object], str]


@pytest.mark.parametrize("values", CHOICES.values(), ids=CHOICES)
def test_no_platform_has_anything_to_say(values: Mapping[str, Any]) -> None:
    """Whatever is set, but for the one hook that is known to be reported."""
    assert list(findings(chart.render(values))) == []


def test_the_hook_on_nodes_is_the_one_that_is_reported() -> None:
    """By GKE alone, as the value's comment and docs/chart.md say; so it is off."""
    (only,) = findings(chart.render(NODES_ON))
    assert only.startswith("gke: MutatingWebhookConfiguration tunegate-webhook-nodes: ")


def test_with_everything_on_only_that_one_is_reported() -> None:
    """All options at once."""
    found = list(findings(chart.render(all_on())))
    assert [one for one in found if not one.startswith("gke: ") or "nodes" not in one] == []


def _pods() -> tuple[Object, Object]:
    found = chart.one(chart.shipped(), "MutatingWebhookConfiguration", "tunegate-webhook")
    configuration = copy.deepcopy(found)
    return configuration, configuration["webhooks"][0]


@pytest.mark.parametrize(
    ("rule", "changed", "words"),
    [
        (gardener, {"failurePolicy": "Fail", "namespaceSelector": {}}, "nodes from joining: pods"),
        (gardener, {"timeoutSeconds": 16, "namespaceSelector": {}}, "nodes from joining: pods"),
        (gardener, {"timeoutSeconds": None, "namespaceSelector": {}}, "from joining: pods"),
        (gke, {"namespaceSelector": {}}, "unsafe: it intercepts pods kube-system"),
        (digitalocean, {"failurePolicy": "Fail", "namespaceSelector": {}}, "kube-system"),
        (digitalocean, {"timeoutSeconds": 30}, "timeout of 30 s"),
    ],
)
def test_a_rule_finds_what_it_is_for(rule: Rule, changed: Object, words: str) -> None:
    """Else the silence above would say nothing."""
    configuration, hook = _pods()
    assert rule(configuration, hook) == ""
    assert words in rule(configuration, hook | changed)


def test_leases_of_the_system_are_found() -> None:
    """Gardener takes more than 3 s for too long there, whatever the failure policy."""
    configuration, hook = _pods()
    leases = hook["rules"][0] | {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    hook |= {"rules": [leases], "namespaceSelector": {}, "timeoutSeconds": 4}
    assert "leases" in gardener(configuration, hook)
    assert "leases" in gke(configuration, hook)


def test_selectors_that_aks_would_add_are_found() -> None:
    """Either the mark or the selectors keep it away; the chart has both."""
    configuration, hook = _pods()
    del configuration["metadata"]["annotations"]
    assert aks(configuration, hook) == ""
    assert "selectors" in aks(configuration, hook | {"namespaceSelector": {}})


def test_a_policy_that_may_deny_in_kube_system_is_found() -> None:
    """As an agent's own-node policy without a selector would be."""
    objects = copy.deepcopy(chart.shipped())
    (policy,) = chart.select(objects, "ValidatingAdmissionPolicy")
    del policy["spec"]["matchConstraints"]["namespaceSelector"]
    assert "may deny in kube-system" in "".join(digitalocean_policies(objects))
