"""`tunegate explain`: what it prints, what it refuses, and that it is the webhook's own engine."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.main import main
from tests.unit.webhook.warn.manifests import args, container, deployment
from webhook.mutate import mutate
from webhook.policy import Policy
from webhook.templates import templates

FEATURES = ["tolerations", "startupProbe", "preStop", "gracePeriod", "shm"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, *documents: Any) -> str:  # noqa: ANN401 - any tree
    """Write a file of YAML documents into the folder and return its name."""
    Path(name).write_text(yaml.safe_dump_all(documents))
    return name


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:  # noqa: ANN401 - any JSON
    """Return what -o json prints."""
    assert main(["explain", *arguments, "-o", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what bad input is told; nothing is printed."""
    assert main(["explain", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def test_it_is_the_webhooks_own_engine(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same patch and the same pod, in the promised shape."""
    (shown,) = explained(capsys, "-f", write("a.yaml", deployment()))
    mutation = mutate(templates(deployment())[0].pod, Policy())
    assert list(shown) == ["name", "kind", "patch", "pod", "decisions", "warnings"]
    assert (shown["name"], shown["kind"]) == ("llama", "Deployment")
    assert shown["patch"] == list(mutation.patch)
    assert shown["pod"] == mutation.pod
    assert list(shown["decisions"]) == FEATURES
    assert set(shown["decisions"]["shm"]) == {"outcome", "reason"}
    assert shown["warnings"] == []


def test_a_pod_that_is_left_alone_has_no_patch(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is in the list all the same."""
    nginx = deployment({"name": "web", "image": "nginx"})
    (shown,) = explained(capsys, "-f", write("a.yaml", nginx))
    assert (shown["patch"], shown["decisions"], shown["warnings"]) == ([], {}, [])


def test_the_text_says_what_and_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Verdict, features, warnings with the place of their cure, and a diff."""
    wrong = deployment(container(args=args("--gpu-memory-utilisation=0.9")))
    assert main(["explain", "-f", write("a.yaml", wrong)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Deployment llama (a.yaml:1), spec.template\n  serves vLLM: ")
    assert [feature for feature in FEATURES if f"\n  {feature} " not in said] == []
    assert "did you mean" in said
    assert "docs/warnings.md#unknownflag" in said
    assert "\n+++ as it will run\n" in said
    assert "\n+    startupProbe:\n" in said
    assert "lines more (-o json shows them)" in said
    assert said.endswith("1 pod: 1 changed, 0 unchanged, 0 left alone; 1 warning.\n")
    assert "\x1b" not in said


def test_yaml_is_the_same_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In another notation."""
    name = write("a.yaml", deployment())
    as_json = explained(capsys, "-f", name)
    assert main(["explain", "-f", name, "-o", "yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == as_json


def test_files_folders_and_standard_input_are_read(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file once; a folder's inner folders only when asked."""
    (folder / "in" / "deeper").mkdir(parents=True)
    for name, file in (("one", "in/a.yaml"), ("two", "in/b.json"), ("three", "in/deeper/c.yml")):
        write(file, {**deployment(), "metadata": {"name": name}})
    (folder / "in" / "notes.txt").write_text("not: [read")
    text = json.dumps({**deployment(), "metadata": {"name": "piped"}})
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    found = explained(capsys, "-f", "in", "-f", "in/a.yaml", "-f", "-")
    assert [one["name"] for one in found] == ["one", "two", "piped"]
    assert [one["name"] for one in explained(capsys, "-R", "-f", "in")] == ["one", "two", "three"]


def test_lists_and_several_templates_give_all_their_pods(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order of the file."""
    worker = deployment(container(args=args("--headless")))
    group = {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": "group"},
        "spec": {
            "leaderWorkerTemplate": {
                "size": 2,
                "leaderTemplate": deployment()["spec"]["template"],
                "workerTemplate": worker["spec"]["template"],
            }
        },
    }
    items = {"apiVersion": "v1", "kind": "List", "items": [deployment(), group]}
    found = explained(capsys, "-f", write("a.yaml", items))
    assert [(one["kind"], bool(one["patch"])) for one in found] == [
        ("Deployment", True),
        ("LeaderWorkerSet", True),
        ("LeaderWorkerSet", False),
    ]


def test_what_stands_in_the_same_files_counts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A namespace that opts out, a claim's access mode, a Service's name."""
    opted_out = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "default", "labels": {"tunegate.io/inject": "disabled"}},
    }
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "vllm"}, "spec": {}}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "models"},
        "spec": {"accessModes": ["ReadWriteOnce"]},
    }
    (shown,) = explained(capsys, "-f", write("a.yaml", deployment(), opted_out))
    assert shown["patch"] == []
    (shown,) = explained(capsys, "-f", write("a.yaml", deployment(), service, claim))
    names = {line.partition(":")[0] for line in shown["warnings"]}
    assert names == {"ServiceNamedVllm", "ClaimOnOneNode"}


def test_policy_and_namespace_are_obeyed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the webhook would."""
    name = write("a.yaml", deployment())
    (folder / "policy.yaml").write_text("features: {shm: false}\n")
    (shown,) = explained(capsys, "-f", name, "--policy", "policy.yaml")
    assert shown["decisions"]["shm"]["outcome"] == "disabled"
    assert any(line.startswith("NoSharedMemory: ") for line in shown["warnings"])
    off = "tunegate.io/disable=preStop"
    (shown,) = explained(capsys, "-f", name, "--namespace-annotation", off)
    assert shown["decisions"]["preStop"]["outcome"] == "disabled"
    out = "tunegate.io/inject=disabled"
    assert explained(capsys, "-f", name, "--namespace-label", out)[0]["patch"] == []


def test_all_that_is_bad_is_named_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Documents, files, policy and options; nothing is printed."""
    (folder / "bad.yaml").write_text("a: b: c\n---\nx:\n\ty: 1\n")
    (folder / "policy.yaml").write_text("fetures: {}\n")
    (folder / "none").mkdir()
    said = refused(
        capsys,
        *("-f", "bad.yaml", "-f", "gone.yaml", "-f", "none", "-f", write("a.yaml", deployment())),
        *("--policy", "policy.yaml", "--namespace-label", "x"),
    )
    for told in (
        "bad.yaml:1:5: mapping values",
        "bad.yaml:4:1: a tab",
        "gone.yaml: No such file",
        "none: has no file that ends in",
        "policy.yaml: fetures: no such setting",
        "--namespace-label x: must be KEY=VALUE",
    ):
        assert f"\n  {told}" in said


def test_what_is_not_kubernetes_is_named_and_passed_over(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless nothing is left."""
    assert main(["explain", "-f", write("a.yaml", {"image": {"tag": 1}}, deployment())]) == 0
    assert "note: a.yaml:1: not a Kubernetes object" in capsys.readouterr().err
    said = refused(capsys, "-f", write("b.yaml", {"image": {"tag": 1}}))
    assert "b.yaml:1: not a Kubernetes object" in said
    assert "no Kubernetes object to explain" in refused(capsys, "-f", write("c.yaml"))


def test_workloads_without_visible_containers_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """KServe makes them elsewhere; a Service has none by its nature."""
    model = {"apiVersion": "x/v1", "kind": "LLMInferenceService", "metadata": {"name": "m"}}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    broken = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": 3}
    assert main(["explain", "-f", write("a.yaml", model, service, broken)]) == 0
    said = capsys.readouterr()
    assert said.out == "No pods in 3 objects.\n"
    assert "LLMInferenceService m names no containers: KServe" in said.err
    assert "Deployment d holds no containers" in said.err
    assert "Service s" not in said.err


def test_a_container_that_its_controller_completes_is_not_called_something_else(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """KServe adds image and command; saying "not vLLM" would be wrong."""
    service = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "LLMInferenceService",
        "metadata": {"name": "qwen"},
        "spec": {"template": {"containers": [{"name": "main", "resources": {}}]}},
    }
    assert main(["explain", "-f", write("a.yaml", service)]) == 0
    said = capsys.readouterr().out
    assert "not to be told: container main has neither image nor command" in said
    assert "not vLLM" not in said


def test_a_file_without_end_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before it is read whole."""
    with (folder / "big.yaml").open("wb") as file:
        os.truncate(file.fileno(), 2**40)
    assert "big.yaml: larger than 32 MiB" in refused(capsys, "-f", "big.yaml")


def test_names_cannot_write_to_the_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A manifest from elsewhere may hold anything."""
    evil = json.dumps({**deployment(), "metadata": {"name": "a\u001b[2Jb"}})
    (folder / "a.json").write_text(evil)
    assert main(["explain", "-f", "a.json"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_without_the_command_nothing_of_the_engine_is_loaded() -> None:
    """`tunegate nodes` does not pay for it."""
    code = "import sys, cli.main; print('yaml' in sys.modules, 'webhook.mutate' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
