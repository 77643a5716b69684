"""What the chart makes of the webhook, promise by promise."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from common.names import SYSTEM_NAMESPACES
from tests.lab import chart
from tests.lab.api import Object
from webhook import config
from webhook.config import WebhookConfig

NAME = "tunegate-webhook"
MIB = 2**20
SELECTOR = {
    "app.kubernetes.io/name": "tunegate",
    "app.kubernetes.io/instance": "tunegate",
    "app.kubernetes.io/component": "webhook",
}
CONFIGURATIONS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


def render(**webhook: object) -> list[Object]:
    """Return the chart with these values of the webhook."""
    return chart.render({"webhook": webhook})


def deployment(objects: list[Object] | None = None) -> Object:
    """Return the Deployment, of the shipped values unless objects are given."""
    return chart.one(objects or chart.shipped(), "Deployment", NAME)


def settings(objects: list[Object] | None = None) -> WebhookConfig:
    """Return the settings file as the webhook reads it."""
    text = chart.one(objects or chart.shipped(), "ConfigMap", NAME)["data"]["webhook.yaml"]
    return config.decode(text, "webhook.yaml", {})


def hooks(objects: list[Object]) -> dict[str, Object]:
    """Return every entry of every webhook configuration by its name."""
    return {
        hook["name"]: hook
        for kind in CONFIGURATIONS
        for one in chart.select(objects, kind)
        for hook in one["webhooks"]
    }


def test_it_has_no_right_on_its_node() -> None:
    """No user of its own kind, no capability, nothing that can be written."""
    spec, container = chart.pod_spec(deployment()), chart.container(deployment())
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 65532
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert not [one for one in spec["volumes"] if "hostPath" in one]


def test_its_token_is_mounted_by_name() -> None:
    """Nothing is mounted unasked, and the token ends with the pod."""
    spec, container = chart.pod_spec(deployment()), chart.container(deployment())
    assert spec["automountServiceAccountToken"] is False
    account = chart.one(chart.shipped(), "ServiceAccount", NAME)
    assert account["automountServiceAccountToken"] is False
    (volume,) = [one for one in spec["volumes"] if "projected" in one]
    sources = [next(iter(one)) for one in volume["projected"]["sources"]]
    assert sources == ["serviceAccountToken", "configMap", "downwardAPI"]
    (mount,) = [one for one in container["volumeMounts"] if one["name"] == volume["name"]]
    assert mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    assert mount["readOnly"] is True


def test_there_is_always_one_that_answers() -> None:
    """Two replicas, apart where possible, replaced one after another, never drained together."""
    spec = deployment()["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    pod = chart.pod_spec(deployment())
    apart = pod["affinity"]["podAntiAffinity"]
    (term,) = apart["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    spread = {one["topologyKey"]: one for one in pod["topologySpreadConstraints"]}
    assert spread.keys() == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    for one in spread.values():
        assert one["whenUnsatisfiable"] == "ScheduleAnyway"
        assert one["labelSelector"]["matchLabels"] == SELECTOR
    budget = chart.one(chart.shipped(), "PodDisruptionBudget", NAME)["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["selector"]["matchLabels"] == SELECTOR
    assert pod["priorityClassName"] == "system-cluster-critical"


def test_it_needs_no_gpu_node() -> None:
    """It must run while every GPU node is closed, and should not keep one from being removed."""
    spec = chart.pod_spec(deployment())
    assert "tolerations" not in spec
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    preferred = spec["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    keys = {one["key"]: one for one in preferred[0]["preference"]["matchExpressions"]}
    assert keys["doks.digitalocean.com/gpu-brand"]["operator"] == "DoesNotExist"


def test_memory_is_enough_for_the_largest_review() -> None:
    """And the CPU is not limited: a throttled webhook holds up every pod."""
    limits = chart.container(deployment())["resources"]["limits"]
    assert limits == {"memory": "256Mi"}


def test_probes_ask_the_plain_port() -> None:
    """The serving port wants a certificate that may not be there yet."""
    container = chart.container(deployment())
    paths = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for kind, path in paths.items():
        assert container[kind]["httpGet"] == {"path": path, "port": "metrics"}
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports == {"https": settings().server_port, "metrics": settings().status_port}


@pytest.mark.parametrize(
    ("webhook", "sleep", "least"),
    [
        ({}, {"seconds": 5}, 20),
        ({"preStopSleepSeconds": 0}, None, 15),
        (
            {"config": {"drain": {"propagationSeconds": 20.5, "stopSeconds": 30}}},
            {"seconds": 5},
            56,
        ),
    ],
)
def test_a_replica_has_time_to_end(
    webhook: Mapping[str, Any], sleep: Mapping[str, int] | None, least: int
) -> None:
    """The kubelet sleeps first, without a shell; then the webhook drains; then there is room."""
    made = deployment(render(**webhook))
    handlers = chart.container(made).get("lifecycle", {"preStop": {}})
    assert handlers["preStop"].get("sleep") == sleep
    assert chart.pod_spec(made)["terminationGracePeriodSeconds"] > least


def test_settings_restart_replicas_and_policy_does_not() -> None:
    """The policy file is read again while running; the other one is not."""

    def checksum(**webhook: object) -> str:
        metadata = deployment(render(**webhook))["spec"]["template"]["metadata"]
        found: str = metadata["annotations"]["checksum/config"]
        return found

    assert checksum(config={"log": {"format": "text"}}) != checksum()
    assert checksum(policy={"drainTimeout": "5m"}) == checksum()


def test_the_service_leads_to_the_replicas() -> None:
    """By labels that are theirs alone, on the port that is dialled."""
    service = chart.one(chart.shipped(), "Service", NAME)["spec"]
    assert service["selector"] == SELECTOR
    assert {one["name"]: one["port"] for one in service["ports"]} == {"https": 443, "metrics": 9470}
    called = {
        (*sorted((key, hook["clientConfig"]["service"][key]) for key in ("name", "namespace")),)
        for hook in hooks(chart.shipped()).values()
    }
    assert called == {(("name", NAME), ("namespace", chart.NAMESPACE))}


def test_no_hook_can_stop_a_cluster() -> None:
    """Each fails open and soon, and leaves Kubernetes' namespaces and its own alone."""
    objects = render(hooks={"nodes": {"enabled": True, "selector": {"pool": "gpu"}}})
    found = hooks(objects)
    assert found.keys() == {
        *("pods.tunegate.io", "opted-in-pods.tunegate.io", "volumes.tunegate.io"),
        *("nodes.tunegate.io", "workloads.tunegate.io"),
    }
    for hook in found.values():
        assert hook["failurePolicy"] == "Ignore"
        assert 2 <= hook["timeoutSeconds"] <= 3
        assert hook["matchPolicy"] == "Equivalent"
        assert hook["sideEffects"] == "NoneOnDryRun"
        assert hook.get("reinvocationPolicy", "IfNeeded") == "IfNeeded"
        assert "caBundle" not in hook["clientConfig"], "the webhook's own, or Helm writes over it"
        if hook["rules"][0]["scope"] == "Namespaced":
            left_out = hook["namespaceSelector"]["matchExpressions"][0]
            assert {*SYSTEM_NAMESPACES, chart.NAMESPACE} == set(left_out["values"])


@pytest.mark.parametrize(
    ("switched", "left"),
    [
        ({"pods": False}, {f"{NAME}-volumes", f"{NAME}/warnings"}),
        ({"volumes": False}, {NAME, f"{NAME}/warnings"}),
        ({"warnings": False}, {NAME, f"{NAME}-volumes"}),
        (
            {"nodes": {"enabled": True, "selector": {"a": "b"}}},
            {NAME, f"{NAME}-volumes", f"{NAME}-nodes", f"{NAME}/warnings"},
        ),
    ],
)
def test_a_hook_that_can_be_switched_has_a_configuration_of_its_own(
    switched: Mapping[str, Any], left: set[str]
) -> None:
    """Server-side apply could not take an entry out whose bundle the webhook has applied."""
    objects = render(hooks=switched)
    names = {one["metadata"]["name"] for one in chart.select(objects, CONFIGURATIONS[0])}
    names |= {
        f"{one['metadata']['name']}/warnings" for one in chart.select(objects, CONFIGURATIONS[1])
    }
    assert names == left


def test_every_configuration_is_one_whose_bundle_is_kept() -> None:
    """The settings name them, and the rights do, whatever the release is called."""
    objects = chart.render(
        {"webhook": {"hooks": {"nodes": {"enabled": True, "selector": {"a": "b"}}}}},
        release="other",
    )
    name = "other-tunegate-webhook"
    text = chart.one(objects, "ConfigMap", name)["data"]["webhook.yaml"]
    said = config.decode(text, "webhook.yaml", {})
    mutating, validating = (
        {one["metadata"]["name"] for one in chart.select(objects, kind)} for kind in CONFIGURATIONS
    )
    assert set(said.certificates_mutating_configurations) == mutating
    assert set(said.certificates_validating_configurations) == validating
    assert said.certificates_service == name
    role = chart.one(objects, "ClusterRole", name)
    allowed = {rule["resources"][0]: set(rule.get("resourceNames", ())) for rule in role["rules"]}
    assert allowed["mutatingwebhookconfigurations"] == mutating
    assert allowed["validatingwebhookconfigurations"] == validating


def test_names_of_the_charts_objects_stay() -> None:
    """A setting that names others would leave the hooks without a bundle, and pods as they are."""
    theirs = {"service": "other", "mutatingConfigurations": ["other"]}
    ran = chart.rendered({"webhook": {"config": {"certificates": theirs}}})
    assert ran.returncode
    for name in theirs:
        assert name in ran.stderr
    own = render(config={"certificates": {"secret": "own-ca", "settleSeconds": 5}})
    assert settings(own).certificates_secret == "own-ca"  # noqa: S105 - a name
    assert settings(own).certificates_service == NAME
    (named,) = [
        rule["resourceNames"]
        for rule in chart.one(own, "Role", NAME)["rules"]
        if rule["resources"] == ["secrets"] and "resourceNames" in rule
    ]
    assert named == ["own-ca"]


def test_the_node_hook_wants_a_selector() -> None:
    """Without one it would close every Node, the control plane's too."""
    ran = chart.rendered({"webhook": {"hooks": {"nodes": {"enabled": True}}}})
    assert ran.returncode
    assert "webhook.hooks.nodes.selector" in ran.stderr


def test_the_webhook_selects_the_nodes_that_are_sent() -> None:
    """Both sides have the same labels, or the hook does nothing."""
    objects = render(hooks={"nodes": {"enabled": True, "selector": {"pool": "gpu", "b.c/d": "e"}}})
    labels = hooks(objects)["nodes.tunegate.io"]["objectSelector"]["matchLabels"]
    assert settings(objects).nodes_selector.selects(labels)
    assert not settings(objects).nodes_selector.selects({"pool": "gpu"})


def test_namespaces_can_be_left_out() -> None:
    """Beside the system's own, each once."""
    objects = render(excludedNamespaces=["builds", "kube-system"])
    values = hooks(objects)["pods.tunegate.io"]["namespaceSelector"]["matchExpressions"][0][
        "values"
    ]
    assert values == [*SYSTEM_NAMESPACES, chart.NAMESPACE, "builds"]


def test_replicas_can_be_many() -> None:
    """The autoscaler owns the number then; the Deployment does not name one."""
    assert chart.select(chart.shipped(), "HorizontalPodAutoscaler") == []
    objects = render(replicas=3, autoscaling={"enabled": True, "maxReplicas": 2})
    assert "replicas" not in deployment(objects)["spec"]
    scaler = chart.one(objects, "HorizontalPodAutoscaler", NAME)["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 3)
    assert scaler["scaleTargetRef"]["name"] == NAME
    assert "cpu" in chart.container(deployment(objects))["resources"]["requests"]


def test_the_nodes_network_can_be_used() -> None:
    """Where the control plane reaches no pods; two generations cannot share a node's ports."""
    objects = render(hostNetwork=True, config={"server": {"port": 10443}})
    spec = chart.pod_spec(deployment(objects))
    assert (spec["hostNetwork"], spec["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    rolling = deployment(objects)["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxSurge": 0, "maxUnavailable": 1}
    ports = {
        one["name"]: one["containerPort"] for one in chart.container(deployment(objects))["ports"]
    }
    assert ports["https"] == settings(objects).server_port == 10443


def test_the_network_policy_lets_through_what_has_to_be() -> None:
    """API servers are no pods; replicas verify each other; metrics may be narrowed down."""
    assert chart.select(chart.shipped(), "NetworkPolicy") == []
    metrics = [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]
    objects = chart.render({"networkPolicy": {"enabled": True, "metricsFrom": metrics}})
    spec = chart.one(objects, "NetworkPolicy", NAME)["spec"]
    assert spec["podSelector"]["matchLabels"] == SELECTOR
    serving, plain = spec["ingress"]
    assert serving == {"ports": [{"port": "https", "protocol": "TCP"}]}
    assert plain == {"ports": [{"port": "metrics", "protocol": "TCP"}], "from": metrics}
    to_server, to_replicas = spec["egress"]
    assert [one["port"] for one in to_server["ports"]] == [443, 6443]
    assert "to" not in to_server
    assert to_replicas["to"] == [{"podSelector": {"matchLabels": SELECTOR}}]
    assert to_replicas["ports"] == [{"port": "https", "protocol": "TCP"}]
    on_nodes = {"networkPolicy": {"enabled": True}, "webhook": {"hostNetwork": True}}
    assert chart.select(chart.render(on_nodes), "NetworkPolicy") == []


def test_a_quota_admits_critical_pods_where_that_is_needed() -> None:
    """GKE refuses them elsewhere; it names the class that the pods have."""
    objects = render(criticalPodsQuota={"enabled": True})
    quota = chart.one(objects, "ResourceQuota", NAME)["spec"]
    (scope,) = quota["scopeSelector"]["matchExpressions"]
    assert scope["values"] == [chart.pod_spec(deployment(objects))["priorityClassName"]]


def test_without_the_webhook_nothing_of_it_is_left() -> None:
    """Not even a policy that stands in for it."""
    objects = render(enabled=False)
    assert not [one for one in objects if NAME in one["metadata"]["name"]]
    assert yaml.safe_dump(objects).count("tunegate.io/inject") == 0
