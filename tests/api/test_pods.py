"""`tunegate pods` against a real API server, as a person with few rights."""

import json
from pathlib import Path

import pytest

from common import names
from tests.api.laptop import Laptop, laptop_of, stream
from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane
from tests.lab.objects import vllm_pod

pytestmark = pytest.mark.api

RECORD = json.dumps({"startupProbe": {"outcome": "injected", "reason": "added"}})
MAY_READ_PODS = [
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "pod-reader"},
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["pods", "namespaces"],
                "verbs": ["get", "list", "watch"],
            }
        ],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "pod-reader"},
        "subjects": [{"kind": "User", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {
            "kind": "ClusterRole",
            "name": "pod-reader",
            "apiGroup": "rbac.authorization.k8s.io",
        },
    },
]


@pytest.fixture(scope="module")
def laptop(control_plane: ControlPlane) -> Laptop:
    """Give a person who may read nodes only, and three pods."""
    made = laptop_of(control_plane)
    injected = vllm_pod("injected")
    injected["metadata"]["annotations"] = {names.POD_ANNOTATION_INJECTED: RECORD}
    web: Object = vllm_pod("web")
    web["spec"]["containers"] = [{"name": "web", "image": "nginx:1"}]
    missed = vllm_pod("missed")
    for pod in (injected, missed):
        pod["spec"]["nodeName"] = "gpu-1"  # or the scheduler would have its say
    control_plane.admin.create(missed, injected, web)
    for name in ("injected", "missed"):
        _schedule(control_plane, name)
    return made


def _schedule(control_plane: ControlPlane, name: str) -> None:
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:10Z"},
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:05:50Z"},
    ]
    path = f"/api/v1/namespaces/default/pods/{name}/status"
    control_plane.admin.patch(path, {"status": {"conditions": conditions}})


def test_a_right_that_lacks_is_named_with_its_cure(laptop: Laptop) -> None:
    """And given, it works."""
    refused = laptop.run("tunegate", "pods")
    assert refused.returncode == 1
    assert "not allowed to list namespaces (403)" in refused.stderr
    assert "--resource=nodes,pods,namespaces" in refused.stderr


def test_pods_are_listed_for_a_person(laptop: Laptop) -> None:
    """By kubectl as well; what was missed on top, with the command that helps."""
    laptop.control_plane.admin.create(*MAY_READ_PODS)
    for command in (("tunegate", "pods"), ("kubectl", "tunegate", "pods")):
        listed = laptop.run(*command)
        while "403" in listed.stderr:
            listed = laptop.run(*command)
        assert (listed.returncode, listed.stderr) == (0, "")
        _, first, second, *_ = listed.stdout.splitlines()
        assert first.split()[1:4] == ["missed", "Pod/missed", "missed"]
        assert second.split()[1:4] == ["injected", "Pod/injected", "injected"]
        assert "5m40s" in second
        assert "Pod/web" not in listed.stdout
        assert "kubectl delete pod missed -n default" in listed.stdout


def test_scripts_get_json_and_an_exit_code(laptop: Laptop) -> None:
    """In the namespace of their choice, by labels, by name."""
    shown = json.loads(laptop.run("tunegate", "pods", "-n", "default", "-o", "json").stdout)
    assert [(pod["name"], pod["secondsToReady"]) for pod in shown["pods"]] == [
        ("missed", 340),
        ("injected", 340),
    ]
    assert laptop.run("tunegate", "pods", "--check").returncode == 1
    assert laptop.run("tunegate", "pods", "--check", "injected").returncode == 0
    assert laptop.run("tunegate", "pods", "--check", "-n", "kube-system").returncode == 1
    none = laptop.run("tunegate", "pods", "-n", "nowhere")
    assert (none.returncode, "no such namespace: nowhere" in none.stderr) == (1, True)
    assert laptop.run("tunegate", "pods", "-l", "a in").returncode == 2


def test_a_watch_into_a_pipe_writes_what_changes(laptop: Laptop, tmp_path: Path) -> None:
    """A pod that comes, becomes Ready and goes; Ctrl-C ends it well."""
    admin = laptop.control_plane.admin
    with stream(laptop, tmp_path, "-n", "default", command="pods") as running:
        running.await_line(lambda line: "Pod/injected" in line)
        late = vllm_pod("late")
        late["spec"]["nodeName"] = "gpu-1"
        admin.create(late)
        running.await_line(lambda line: "Pod/late" in line)
        _schedule(laptop.control_plane, "late")
        running.await_line(lambda line: "Pod/late" in line and "5m40s" in line)
        admin.delete("/api/v1/namespaces/default/pods/late")
        running.await_line(lambda line: line == "default/late  gone")
        assert running.interrupt() == 0
        assert running.complaints() == ""
