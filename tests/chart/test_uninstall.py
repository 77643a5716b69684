"""The hook that runs before `helm uninstall`: what it is, and that it may no more than it does."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from common import names
from tests.lab import chart
from tests.lab.api import Object

NAME = "tunegate-uninstall"
EVERYWHERE = {("", "nodes", "get"), ("", "nodes", "list"), ("", "nodes", "patch")} | {
    ("", "nodes/status", "patch"),
    ("", "events", "list"),
    ("", "events", "deletecollection"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "list"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", "list"),
}
"""What it may do to any object of a kind in the whole cluster."""


def hooks(objects: list[Object]) -> list[Object]:
    """Return the objects that exist during an uninstall alone."""
    key = "helm.sh/hook"
    return [
        one for one in objects if one["metadata"].get("annotations", {}).get(key) == "pre-delete"
    ]


def arguments(values: dict[str, Any] | None = None, **more: Any) -> list[str]:  # noqa: ANN401
    """Return the Job's arguments."""
    job = chart.one(
        chart.render(values, **more), "Job", f"{more.get('release', 'tunegate')}-uninstall"
    )
    given: list[str] = chart.container(job)["args"]
    return given


def unnamed(role: Object) -> set[tuple[str, str, str]]:
    """Return what a role allows on any object of a kind."""
    return {
        (group, resource, verb)
        for rule in role["rules"]
        if "resourceNames" not in rule
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_all_of_it_goes_when_it_has_succeeded() -> None:
    """Accounts and rules come before the Job; a Job of before is no obstacle."""
    found = hooks(chart.shipped())
    weights = {
        one["kind"]: int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for one in found
    }
    job = weights.pop("Job")
    assert weights.keys() == {
        *("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    }
    assert all(weight < job for weight in weights.values())
    policies = {one["metadata"]["annotations"]["helm.sh/hook-delete-policy"] for one in found}
    assert policies == {"before-hook-creation,hook-succeeded"}


def test_its_rights_are_few_and_named() -> None:
    """What can be named is named; what cannot, is read, or is what it is for."""
    shipped = chart.shipped()
    assert unnamed(chart.one(shipped, "ClusterRole", NAME)) == EVERYWHERE
    inside = unnamed(chart.one(shipped, "Role", NAME))
    assert {verb for _, _, verb in inside} == {"list"}
    assert not {resource for _, resource, _ in inside} & {"secrets", "configmaps"}


def test_it_may_delete_every_configuration_that_the_chart_makes() -> None:
    """All hooks on: none of them is forgotten."""
    nodes = {"enabled": True, "selector": {"pool": "gpu"}}
    objects = chart.render({"webhook": {"hooks": {"nodes": nodes}}})
    rules = chart.one(objects, "ClusterRole", NAME)["rules"]
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        named = [
            name
            for rule in rules
            if f"{kind.lower()}s" in rule["resources"] and "delete" in rule["verbs"]
            for name in rule["resourceNames"]
        ]
        made = {one["metadata"]["name"] for one in chart.select(objects, kind)}
        assert made
        assert made <= set(named)


def test_it_is_told_what_the_release_calls_things() -> None:
    """Names, taints and secrets that were set are the ones that go."""
    given = arguments(
        {
            "gate": {"taints": ["example.com/gate"]},
            "webhook": {"config": {"certificates": {"secret": "mine"}}},
            "uninstall": {"revertHosts": True, "timeoutSeconds": 60},
        },
        release="prod-tunegate",
    )
    assert f"--namespace={chart.NAMESPACE}" in given
    assert "--release=prod-tunegate" in given
    assert "--gate-taint=example.com/gate" in given
    assert "--secret=mine" in given
    assert "--config-map=prod-tunegate-storage-endpoints" in given
    assert "--timeout=60s" in given
    assert "--revert-hosts" in given
    shipped = arguments()
    assert "--revert-hosts" not in shipped
    assert [f"--gate-taint={key}" in shipped for key in names.GATE_TAINTS] == [True] * 5


def test_it_ends_before_helm_stops_waiting() -> None:
    """Helm waits five minutes by itself; the command ends before the Job does."""
    job = chart.one(chart.shipped(), "Job", NAME)["spec"]
    assert 240 < job["activeDeadlineSeconds"] < 300
    (rule,) = job["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [1, 2])


def tolerates(taint: Mapping[str, str], tolerations: Sequence[Mapping[str, str]]) -> bool:
    """Tell whether the scheduler lets a pod with these run beside a taint that has no value."""
    return any(
        one.get("key", taint["key"]) == taint["key"]
        and one.get("effect", taint["effect"]) == taint["effect"]
        for one in tolerations
        if one.get("operator") == "Exists"
    )


@pytest.mark.parametrize("key", [*names.GATE_TAINTS, "nvidia.com/gpu", "example.com/own"])
def test_it_runs_where_every_node_is_closed(key: str) -> None:
    """Behind the gate, among GPUs, and wherever the webhook runs."""
    own = {"key": "example.com/own", "operator": "Exists"}
    objects = chart.render({"webhook": {"tolerations": [own]}})
    tolerations = chart.pod_spec(chart.one(objects, "Job", NAME))["tolerations"]
    assert tolerates({"key": key, "effect": "NoSchedule"}, tolerations)


@pytest.mark.parametrize("key", ["not-ready", "unreachable"])
def test_it_is_never_bound_to_a_node_whose_kubelet_is_dead(key: str) -> None:
    """An empty dead node has most room, so the scheduler would like it best; nothing runs there."""
    spec = chart.pod_spec(chart.one(chart.shipped(), "Job", NAME))
    taint = {"key": f"node.kubernetes.io/{key}", "effect": "NoSchedule"}
    assert not tolerates(taint, spec["tolerations"])


def test_it_is_bound_to_linux_and_has_no_privileges() -> None:
    """Nodes with Windows have no taint of their own, and cannot run its image."""
    spec = chart.pod_spec(chart.one(chart.shipped(), "Job", NAME))
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert spec["securityContext"]["runAsNonRoot"]
    container = spec["containers"][0]["securityContext"]
    assert (container["readOnlyRootFilesystem"], container["allowPrivilegeEscalation"]) == (
        True,
        False,
    )
    assert container["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("version", chart.VERSIONS)
def test_it_can_be_switched_off(version: int) -> None:
    """Then nothing of it is made."""
    assert hooks(chart.render({"uninstall": {"enabled": False}}, version=version)) == []


@pytest.mark.parametrize("version", chart.VERSIONS)
def test_whoever_applies_the_chart_without_helm_starts_no_uninstall(version: int) -> None:
    """To kubectl a hook is a Job like any other: each command that a page pipes leaves them out."""
    pages = "\n".join(one.read_text() for one in [Path("README.md"), *Path("docs").rglob("*.md")])
    commands = re.findall(r"helm template tunegate .*kubectl apply.*", pages)
    assert commands
    assert all(" --no-hooks " in one for one in commands)
    objects = chart.render({}, "--no-hooks", version=version)
    assert not [one for one in objects if "helm.sh/hook" in one["metadata"].get("annotations", {})]
    assert chart.one(objects, "DaemonSet", "tunegate-agent")
