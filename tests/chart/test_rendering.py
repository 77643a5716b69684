"""What Helm 3 and Helm 4 make of the chart."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.config import decode as decode_agent
from agent.host.paths import ENVIRONMENT
from common import names
from tests.chart.options import OVERRIDING, PRESETS, all_on
from tests.lab import chart
from tests.lab.api import Object
from webhook.config import decode as decode_webhook
from webhook.settings import decode as decode_policy

CHOICES: Mapping[str, Mapping[str, Any]] = {
    "shipped": {},
    "all on": all_on(),
    "all on that others override": all_on(OVERRIDING),
}
NAMES = {"name", "namespace", "serviceAccountName", "priorityClassName", "policyName"}
TEMPLATES = sorted(Path("charts/tunegate/templates").glob("*"))


@pytest.mark.parametrize("values", CHOICES.values(), ids=CHOICES)
def test_helm_3_and_helm_4_make_the_same(values: Mapping[str, Any]) -> None:
    """The same objects; in which order kinds that Helm does not know come is its own affair."""
    three, four = (sorted(chart.render(values, version=one), key=str) for one in chart.VERSIONS)
    assert three == four


@pytest.mark.parametrize("values", CHOICES.values(), ids=CHOICES)
def test_a_rendering_is_the_same_each_time(values: Mapping[str, Any]) -> None:
    """Nothing random, no time, nothing looked up: Argo CD and Flux see no difference."""
    assert chart.rendered(values).stdout == chart.rendered(values).stdout


@pytest.mark.parametrize("version", chart.VERSIONS)
@pytest.mark.parametrize("preset", ["", *map(str, PRESETS)])
def test_lint_has_nothing_to_say(version: int, preset: str) -> None:
    """No error, no warning."""
    more = ("--values", preset) if preset else ()
    ran = chart.helm("lint", "--strict", str(chart.CHART), *more, version=version)
    assert ran.returncode == 0, ran.stdout
    assert "[WARNING]" not in ran.stdout
    assert "[ERROR]" not in ran.stdout


def test_no_object_is_made_twice() -> None:
    """Two of one name would overwrite each other."""
    objects = chart.render(all_on())
    ids = [
        (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in objects
    ]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("values", CHOICES.values(), ids=CHOICES)
def test_every_object_bears_the_labels_and_its_namespace(values: Mapping[str, Any]) -> None:
    """What a person lists by release is all there is; none lands in whatever namespace is set."""
    for one in chart.render(values):
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == chart.RELEASE, one
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["helm.sh/chart"].startswith("tunegate-")
        for key, value in (values.get("commonLabels") or {}).items():
            assert labels[key] == value, one


@pytest.mark.parametrize("kind", ["DaemonSet", "Deployment"])
def test_selectors_are_these_for_ever(kind: str) -> None:
    """A selector cannot be changed: an upgrade from any release would fail."""
    component = {"DaemonSet": "agent", "Deployment": "webhook"}[kind]
    workload = chart.one(chart.shipped(), kind, f"tunegate-{component}")
    assert workload["spec"]["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "tunegate",
        "app.kubernetes.io/instance": "tunegate",
        "app.kubernetes.io/component": component,
    }
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert "helm.sh/chart" not in labels


def test_names_are_those_of_the_code() -> None:
    """A key that differs from common/names.py would fail silently."""
    known = {value for name, value in vars(names).items() if isinstance(value, str)}
    hooks = {"pods", "opted-in-pods", "volumes", "nodes", "workloads"}
    known |= {f"{hook}.tunegate.io" for hook in hooks}
    for template in TEMPLATES:
        for word in re.findall(r"[a-z.-]*tunegate\.io/?[A-Za-z-]*", template.read_text()):
            assert word in known | {"tunegate.io/"}, f"{template.name}: {word}"
    agent = json.loads(settings_of_agent(chart.shipped()))
    assert tuple(agent["gate"]["taints"]) == names.GATE_TAINTS


def settings_of_agent(objects: list[Object]) -> str:
    """Return the agent's settings file."""
    daemon_set = chart.select(objects, "DaemonSet")[0]["metadata"]["name"]
    text: str = chart.one(objects, "ConfigMap", daemon_set)["data"]["agent.json"]
    return text


@pytest.mark.parametrize(
    "webhook", [{"enabled": False}, {"config": {"storage": {"enabled": False}}}]
)
def test_agents_wait_for_no_list_that_nobody_writes(webhook: Mapping[str, Any]) -> None:
    """A file that never comes would keep the gate closed for five minutes."""
    agent = json.loads(settings_of_agent(chart.render({"webhook": webhook})))
    assert "endpointsFile" not in agent.get("storage", {})


@pytest.mark.parametrize("values", CHOICES.values(), ids=CHOICES)
def test_the_programs_can_use_their_files(values: Mapping[str, Any]) -> None:
    """What is passed on is what the programs read, and nothing of it is refused."""
    objects = chart.render(values)
    read = decode_agent(settings_of_agent(objects), "agent.json", {})
    assert read.storage_endpoints_file == f"/etc/tunegate/storage/{names.STORAGE_ENDPOINTS_KEY}"
    assert read.gate_taints == tuple(values.get("gate", {}).get("taints", names.GATE_TAINTS))
    name = chart.select(objects, "Deployment")[0]["metadata"]["name"]
    data = chart.one(objects, "ConfigMap", name)["data"]
    settings = decode_webhook(data["webhook.yaml"], "webhook.yaml", {})
    assert settings.certificates_service == name
    configured = {
        one["metadata"]["name"] for one in chart.select(objects, "MutatingWebhookConfiguration")
    }
    assert configured <= set(settings.certificates_mutating_configurations)
    policy = decode_policy(data["policy.yaml"], "policy.yaml")
    assert set(policy.gate_taints) == set(read.gate_taints)
    volumes = chart.pod_spec(chart.select(objects, "DaemonSet")[0])["volumes"]
    storage = next(one for one in volumes if one["name"] == "storage-endpoints")
    assert storage["configMap"] == {"name": settings.storage_config_map, "optional": True}


def test_the_default_list_of_storage_servers_has_the_name_of_the_code() -> None:
    """Both sides' default, so that an agent by hand finds it, too."""
    data = chart.one(chart.shipped(), "ConfigMap", "tunegate-webhook")["data"]
    read = decode_webhook(data["webhook.yaml"], "webhook.yaml", {})
    assert read.storage_config_map == names.STORAGE_CONFIG_MAP


def test_each_variable_of_the_agent_is_one() -> None:
    """A misspelled variable would leave the agent looking at the container's own files."""
    container = chart.container(chart.one(chart.shipped(), "DaemonSet", "tunegate-agent"))
    given = {one["name"] for one in container["env"]}
    paths = given - {"TUNEGATE_CONFIG", "TUNEGATE_NODE_NAME"}
    assert paths <= set(ENVIRONMENT.values())
    mounts = {one["mountPath"] for one in container["volumeMounts"]}
    assert {one["value"] for one in container["env"] if one["name"] in paths} <= mounts


def test_names_fit_however_long_the_release_is() -> None:
    """A release's name may have 53 characters; labels and names hold 63."""
    long = "a" * 53
    for one in chart.render(all_on({"fullnameOverride": ""}), release=long):
        assert len(one["metadata"]["name"]) <= 63, one["metadata"]["name"]
        for value in one["metadata"]["labels"].values():
            assert len(value) <= 63


@pytest.mark.parametrize("version", chart.VERSIONS)
@pytest.mark.parametrize("word", ["123", "1e3", "true", "null"])
def test_a_name_that_yaml_takes_for_something_else_is_a_name(word: str, version: int) -> None:
    """A team's number, say: labels and namespaces are strings, or no API server takes them."""
    values = all_on(
        {
            "fullnameOverride": "tg",
            "agent": {"serviceAccount": {"name": word}, "priorityClassName": word},
            "webhook": {"serviceAccount": {"name": word}, "priorityClassName": word},
            "monitoring": {"dashboards": {"namespace": word}},
        }
    )
    objects = chart.render(values, "--namespace", word, version=version, release=word)
    for path, value in names_in(objects):
        assert isinstance(value, str), f"{path}: {value!r}"
    spec = chart.pod_spec(chart.one(objects, "DaemonSet", "tg-agent"))
    assert (spec["serviceAccountName"], spec["priorityClassName"]) == (word, word)


def test_a_checksum_of_digits_alone_is_a_text() -> None:
    """As one in a thousand is; the API server takes no number for an annotation."""
    values = {"agent": {"config": {"server": {"port": 1778}}}}
    workload = chart.one(chart.render(values), "DaemonSet", "tunegate-agent")
    annotations = workload["spec"]["template"]["metadata"]["annotations"]
    assert annotations["checksum/config"] == "9938323759181627"
    written = re.findall(r"checksum/config: (.*)", chart.rendered(values).stdout)
    assert len(written) == 2
    assert all(re.fullmatch(r'"[0-9a-f]{16}"', one) for one in written)


def names_in(tree: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Return what is a name or a label's value, wherever it stands."""
    if isinstance(tree, list):
        for one in tree:
            yield from names_in(one, path)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            is_label = path.endswith(("labels", "matchLabels", "selector", "annotations"))
            if key in NAMES or (is_label and not isinstance(value, dict | list)):
                yield f"{path}.{key}", value
            else:
                yield from names_in(value, f"{path}.{key}")


@pytest.mark.parametrize("version", chart.VERSIONS)
def test_a_release_with_dots_has_names_that_a_service_can_have(version: int) -> None:
    """Helm takes dots in a release's name, and no Service does."""
    objects = chart.render(release="gpu.v1", version=version)
    chart.one(objects, "Service", "gpu-v1-tunegate-webhook")
    labels = chart.one(objects, "DaemonSet", "gpu-v1-tunegate-agent")["metadata"]["labels"]
    assert labels["app.kubernetes.io/instance"] == "gpu.v1"


@pytest.mark.parametrize(
    ("release", "values"), [("7b", {}), ("tunegate", {"fullnameOverride": "Tunegate"})]
)
def test_a_name_that_no_service_can_have_is_refused(release: str, values: dict[str, str]) -> None:
    """Else Helm would stop half way through an install."""
    ran = chart.rendered(values, release=release)
    assert ran.returncode != 0
    assert "set fullnameOverride" in ran.stderr


def test_without_a_service_a_name_may_begin_with_a_digit() -> None:
    """Only a Service's may not: nobody is refused for what is not made."""
    objects = chart.render({"webhook": {"enabled": False}}, release="7b")
    chart.one(objects, "DaemonSet", "7b-tunegate-agent")


def test_no_key_stands_twice_whatever_is_asked_for() -> None:
    """Where a person's key is the chart's as well, theirs stands alone: kustomize refuses two."""
    labels = {"enabled": True, "labels": {"release": "stack", "app.kubernetes.io/part-of": "mine"}}
    kinds = ("podMonitor", "serviceMonitor", "prometheusRule", "dashboards")
    unscraped = {"podAnnotations": {"prometheus.io/scrape": "false", "prometheus.io/port": ""}}
    values = {
        "commonLabels": {"release": "team"},
        "agent": unscraped,
        "webhook": unscraped,
        "monitoring": {"annotations": True, **dict.fromkeys(kinds, labels)},
    }
    for document in chart.rendered(values).stdout.split("\n---\n"):
        assert twice(yaml.compose(document)) == [], document
    objects = chart.render(values)
    monitor = chart.one(objects, "PodMonitor", "tunegate-agent")["metadata"]["labels"]
    assert (monitor["release"], monitor["app.kubernetes.io/part-of"]) == ("stack", "mine")
    for kind in ("DaemonSet", "Deployment"):
        annotations = chart.select(objects, kind)[0]["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/scrape"] == "false"
        assert (annotations["prometheus.io/port"], annotations["prometheus.io/path"]) == (
            "",
            "/metrics",
        )


def twice(node: yaml.Node | None) -> list[str]:
    """Return the keys that stand more than once in one mapping, anywhere below a node."""
    if isinstance(node, yaml.SequenceNode):
        return [key for one in node.value for key in twice(one)]
    if not isinstance(node, yaml.MappingNode):
        return []
    keys = [key.value for key, _ in node.value]
    below = [key for _, one in node.value for key in twice(one)]
    return [key for key in keys if keys.count(key) > 1] + below
