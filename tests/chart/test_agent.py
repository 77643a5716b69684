"""The agent's side of the chart: rights, privileges, where it runs, when it is restarted."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.config import decode
from tests.chart.options import all_on
from tests.lab import chart
from tests.lab.api import Object

AGENT = "tunegate-agent"


def daemon_set(values: Mapping[str, Any] | None = None) -> Object:
    """Return the DaemonSet that these values make."""
    objects = chart.render(values) if values else chart.shipped()
    return chart.select(objects, "DaemonSet")[0]


def test_it_has_no_privilege_but_the_one_it_needs() -> None:
    """User 0 with NET_ADMIN alone, in the node's network namespace and in no other of its."""
    pod = chart.pod_spec(daemon_set())
    container = chart.container(daemon_set())
    assert pod["hostNetwork"] is True
    assert not {"hostPID", "hostIPC", "shareProcessNamespace"} & pod.keys()
    assert pod["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsUser": 0,
        "runAsGroup": 0,
        "runAsNonRoot": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
    }
    assert len(pod["containers"]) == 1
    assert "initContainers" not in pod


def test_it_sees_little_of_the_host() -> None:
    """Three folders it may write, two files it may read; nothing above them."""
    pod = chart.pod_spec(daemon_set())
    paths = {one["name"]: one["hostPath"]["path"] for one in pod["volumes"] if "hostPath" in one}
    assert paths == {
        "proc-sys-net": "/proc/sys/net",
        "mountinfo": "/proc/1/mountinfo",
        "mountstats": "/proc/1/mountstats",
        "bdi": "/sys/devices/virtual/bdi",
        "state": "/run/tunegate",
    }
    mounts = {one["name"]: one for one in chart.container(daemon_set())["volumeMounts"]}
    read_only = {name for name in paths if mounts[name].get("readOnly")}
    assert read_only == {"mountinfo", "mountstats"}
    for name in ("proc-sys-net", "mountinfo", "mountstats", "bdi"):
        assert mounts[name]["mountPath"].startswith("/host/")


def test_files_that_change_are_mounted_as_folders() -> None:
    """A subPath is a copy: changed settings and storage servers would never arrive."""
    for mount in chart.container(daemon_set())["volumeMounts"]:
        assert "subPath" not in mount


def test_its_token_is_the_one_bound_to_its_pod() -> None:
    """Only such a token says which node its pod is on, which the policy asks for."""
    pod = chart.pod_spec(daemon_set())
    assert pod["automountServiceAccountToken"] is False
    access = next(one for one in pod["volumes"] if one["name"] == "api-access")
    sources = [key for one in access["projected"]["sources"] for key in one]
    assert sources == ["serviceAccountToken", "configMap", "downwardAPI"]
    account = chart.one(chart.shipped(), "ServiceAccount", AGENT)
    assert account["automountServiceAccountToken"] is False


def test_its_rights_are_these() -> None:
    """No list, no update, no delete; no secrets, no pods."""
    role = chart.one(chart.shipped(), "ClusterRole", AGENT)
    core = [""]
    assert role["rules"] == [
        {"apiGroups": core, "resources": ["nodes"], "verbs": ["get", "watch", "patch"]},
        {"apiGroups": core, "resources": ["nodes/status"], "verbs": ["patch"]},
    ]
    events = chart.one(chart.shipped(), "Role", AGENT)
    assert events["metadata"]["namespace"] == "default"
    assert events["rules"] == [{"apiGroups": core, "resources": ["events"], "verbs": ["create"]}]


@pytest.mark.parametrize(
    "config",
    [
        {"nfs": {"persistentVolumes": True}},
        {
            "profiles": [
                {"name": "a", "match": {}, "settings": {"nfs": {"persistentVolumes": True}}}
            ]
        },
    ],
    ids=["everywhere", "in a profile"],
)
def test_it_may_read_volumes_where_a_setting_asks_for_them(config: Mapping[str, Any]) -> None:
    """One more right, get alone, and only then."""
    role = chart.one(chart.render({"agent": {"config": config}}), "ClusterRole", AGENT)
    volumes = {"apiGroups": [""], "resources": ["persistentvolumes"], "verbs": ["get"]}
    assert role["rules"][2:] == [volumes]


def test_it_runs_before_everything_else_and_on_every_gpu_node() -> None:
    """Every taint is tolerated, the gate's too; nobody evicts it; no DNS of pods is needed."""
    pod = chart.pod_spec(daemon_set())
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["priorityClassName"] == "system-node-critical"
    assert pod["dnsPolicy"] == "Default"
    assert pod["enableServiceLinks"] is False
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux"}


def terms(values: Mapping[str, Any] | None = None) -> list[list[Object]]:
    """Return the ORed terms of node affinity, each a list of expressions."""
    affinity = chart.pod_spec(daemon_set(values))["affinity"]["nodeAffinity"]
    required = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
    return [one["matchExpressions"] for one in required["nodeSelectorTerms"]]


def test_one_gpu_label_is_enough() -> None:
    """Terms are ORed, and each asks for one label."""
    found = terms()
    assert len(found) == 8
    assert [{"key": "doks.digitalocean.com/gpu-brand", "operator": "Exists"}] in found
    keys = {one[0]["key"] for one in found}
    late = ("nvidia.com/", "feature.node.kubernetes.io/", "amd.com/")
    assert not [key for key in keys if key.startswith(late)], "labels that come after the gate"


@pytest.mark.parametrize("version", chart.VERSIONS)
def test_gpu_labels_can_be_added_and_taken_away(version: int) -> None:
    """A list is one of these values, null takes a default away."""
    labels = {"example.com/gpu": ["h100", "h200"], "k8s.amazonaws.com/accelerator": None}
    objects = chart.render({"agent": {"gpuLabels": labels}}, version=version)
    pod = chart.pod_spec(chart.one(objects, "DaemonSet", AGENT))
    required = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    found = [one["matchExpressions"][0] for one in required["nodeSelectorTerms"]]
    assert {"key": "example.com/gpu", "operator": "In", "values": ["h100", "h200"]} in found
    assert "k8s.amazonaws.com/accelerator" not in {one["key"] for one in found}
    assert len(found) == 8


def test_a_selector_that_names_linux_itself_names_it_once() -> None:
    """A key that stands twice is refused by kustomize and by strict readers."""
    values = {"agent": {"nodeSelector": {"kubernetes.io/os": "linux", "pool": "gpu"}}}
    documents = chart.rendered(values).stdout.split("\n---\n")
    (found,) = [one for one in documents if "kind: DaemonSet" in one]
    assert found.count("kubernetes.io/os:") == 1


def test_a_selector_or_affinity_of_ones_own_replaces_gpu_labels() -> None:
    """Nobody has to know the list to get around it."""
    pod = chart.pod_spec(daemon_set({"agent": {"nodeSelector": {"pool": "gpu"}}}))
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "gpu"}
    assert "affinity" not in pod
    mine: Object = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
    assert chart.pod_spec(daemon_set({"agent": {"affinity": mine}}))["affinity"] == mine


def test_a_change_that_running_agents_take_up_restarts_none() -> None:
    """The template of the pods stays the same, so no upgrade of the DaemonSet begins."""
    template = daemon_set()["spec"]["template"]
    changed = {"mtu": 8896, "gate": {"onFailed": "open"}, "storage": {"endpoints": ["10.0.0.5"]}}
    assert daemon_set({"agent": {"config": changed}})["spec"]["template"] == template
    other = {"image": {"tag": "0.1.0"}}
    assert daemon_set({"webhook": other})["spec"]["template"] == template


@pytest.mark.parametrize("config", [{"log": {"format": "text"}}, {"server": {"port": 9999}}])
def test_a_change_that_needs_a_restart_causes_one(config: Mapping[str, Any]) -> None:
    """Else the settings in force would not be those that were applied."""
    key = "checksum/config"
    annotations = daemon_set({"agent": {"config": config}})["spec"]["template"]["metadata"]
    before = daemon_set()["spec"]["template"]["metadata"]["annotations"][key]
    assert annotations["annotations"][key] != before


def test_probes_ask_where_the_agent_listens() -> None:
    """On another port, on one address, or not at all where the server is switched off."""
    made = chart.container(daemon_set(all_on()))
    assert made["ports"] == [{"name": "metrics", "containerPort": 9999, "protocol": "TCP"}]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert made[probe]["httpGet"]["host"] == "127.0.0.1"
        assert made[probe]["httpGet"]["port"] == "metrics"
    silent = daemon_set({"agent": {"config": {"server": {"port": 0}}}})
    assert (
        not {"ports", "startupProbe", "livenessProbe", "readinessProbe"}
        & chart.container(silent).keys()
    )
    assert "prometheus.io/scrape" not in silent["spec"]["template"]["metadata"]["annotations"]


def test_it_can_be_kept_to_the_address_that_probes_ask() -> None:
    """As docs/chart.md says for nodes with a public address as well."""
    page = Path("docs/chart.md").read_text()
    (block,) = re.findall(r"```yaml\n(agent:\n  extraEnv:.*?)```", page, re.DOTALL)
    made = chart.container(daemon_set(yaml.safe_load(block)))
    (given,) = [one for one in made["env"] if one["name"] == "TUNEGATE_SERVER_ADDRESS"]
    assert given["valueFrom"]["fieldRef"]["fieldPath"] == "status.hostIP"
    assert "host" not in made["livenessProbe"]["httpGet"]
    data = chart.one(chart.shipped(), "ConfigMap", AGENT)["data"]
    assert decode(data["agent.json"], "", {given["name"]: "10.0.0.7"}).server_address == "10.0.0.7"


def test_it_listens_where_kubelets_of_either_family_ask() -> None:
    """On a cluster of IPv6 alone a server on 0.0.0.0 would fail every probe."""
    data = chart.one(chart.shipped(), "ConfigMap", AGENT)["data"]
    assert json.loads(data["agent.json"])["server"] == {"address": ""}
    assert "host" not in chart.container(daemon_set())["startupProbe"]["httpGet"]


def test_without_the_agent_nothing_of_it_is_left() -> None:
    """No account, no right, no policy."""
    objects = chart.render({"agent": {"enabled": False}})
    assert not [one for one in objects if one["metadata"]["name"].startswith(AGENT)]


def test_the_policy_can_be_switched_off() -> None:
    """For clusters whose administrators have one of their own."""
    objects = chart.render({"agent": {"ownNodePolicy": {"enabled": False}}})
    assert not [one for one in objects if one["kind"].startswith("ValidatingAdmissionPolicy")]
