"""The examples as `tunegate explain` sees them: vLLM is recognised, and nothing is amiss."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.main import main
from tests.monitoring.test_alerts import promtool

FOLDER = Path("examples")
FILES = sorted(FOLDER.glob("*.yaml"))
SERVERS = {"server.yaml", "spot.yaml", "time-slicing.yaml", "mig.yaml"}
FAULTS = {
    "OneNfsConnection": ("model-storage.yaml", "    - nconnect=8", "    - hard"),
    "WeightsWritable": ("server.yaml", "readOnly: true", "readOnly: false"),
    "SurgeNeedsSpareGpu": ("server.yaml", "    type: RollingUpdate\n    rollingUpdate:", "    x:"),
    "ServiceNamedVllm": ("server.yaml", "enableServiceLinks: false", "enableServiceLinks: true"),
    "LatestTagCached": (
        "server.yaml",
        ":v0.33.0",
        ":latest\n          imagePullPolicy: IfNotPresent",
    ),
    "NoScratchSpace": ("server.yaml", "mountPath: /tmp", "mountPath: /elsewhere"),
    "IdleGpus": ("server.yaml", 'nvidia.com/gpu: "1"', 'nvidia.com/gpu: "2"'),
    "WishNotMet": ("spot.yaml", "drain-timeout: 75s", "drain-timeout: soon"),
}
"""A warning, and the change to the examples that earns it."""


def explained(path: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what `tunegate explain` says of a file or folder."""
    assert main(["explain", "-f", str(path), "-o", "json"]) == 0
    judged: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return judged


def warnings(path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return all warnings about a file or folder."""
    return [said for pod in explained(path, capsys) for said in pod["warnings"]]


@pytest.mark.parametrize("path", [FOLDER, *FILES], ids=lambda path: path.name)
def test_explain_has_no_warning(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Alone, and all of them together."""
    assert warnings(path, capsys) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_servers_get_everything_and_jobs_are_left_alone(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an example leaves out, the webhook adds."""
    pods = explained(path, capsys)
    decisions = [{one["outcome"] for one in pod["decisions"].values()} for pod in pods]
    wanted = [{"injected"}] if path.name in SERVERS else [set()] * len(pods)
    assert decisions == wanted


@pytest.mark.parametrize("warning", FAULTS)
def test_a_fault_in_an_example_is_seen(
    warning: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tests above can fail."""
    name, right, wrong = FAULTS[warning]
    for path in FILES:
        text = path.read_text()
        if path.name == name:
            assert right in text
            text = text.replace(right, wrong).replace("name: qwen\n", "name: vllm\n")
        (tmp_path / path.name).write_text(text)
    assert any(said.startswith(warning) for said in warnings(tmp_path, capsys))


def test_the_drain_on_spot_nodes_ends_before_the_node_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """AWS gives two minutes; the grace period that is injected fits."""
    (pod,) = explained(FOLDER / "spot.yaml", capsys)
    assert pod["pod"]["spec"]["terminationGracePeriodSeconds"] < 120


def test_each_example_has_its_line() -> None:
    """README names every file, once, and no file that is not there."""
    named = re.findall(
        r"^\| \[(\S+)\]\((\S+)\) \| \S", (FOLDER / "README.md").read_text(), re.MULTILINE
    )
    assert named == [(shown, shown) for shown, _link in named]
    assert sorted(shown for shown, _link in named) == [path.name for path in FILES]


def test_prometheus_can_read_what_keda_asks(tmp_path: Path) -> None:
    """Each query is PromQL; those about vLLM ask for series that vLLM really has."""
    documents = [yaml.safe_load(path.read_text()) for path in FOLDER.glob("keda-*.yaml")]
    queries = [one["metadata"]["query"] for each in documents for one in each["spec"]["triggers"]]
    rules = [{"record": f"asked:{number}", "expr": text} for number, text in enumerate(queries)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "keda", "rules": rules}]}))
    done = promtool("check", "rules", "--lint=none", file)
    assert (done.returncode, len(queries)) == (0, 3), done.stderr
    scrape = Path("tests/data/vllm/idle-0.32.0.txt").read_text()
    for name in {name for text in queries for name in re.findall(r"vllm:\w+", text)}:
        assert f"\n{name}{{" in scrape


def test_the_bench_shows_both_runs(tmp_path: Path) -> None:
    """The script in its ConfigMap, on results as `vllm bench serve --save-result` writes them."""
    documents = yaml.safe_load_all((FOLDER / "bench.yaml").read_text())
    (scripts,) = [each["data"] for each in documents if each["kind"] == "ConfigMap"]
    (tmp_path / "compare.py").write_text(scripts["compare.py"])
    keys = (
        "request_throughput",
        "output_throughput",
        "median_ttft_ms",
        "p99_ttft_ms",
        "median_tpot_ms",
    )
    shown = {}
    for run, value in (("before", 1.0), ("after", 2.0)):
        (tmp_path / f"{run}.json").write_text(json.dumps(dict.fromkeys(keys, value)))
        done = subprocess.run(
            [sys.executable, tmp_path / "compare.py", tmp_path],
            capture_output=True,
            text=True,
            check=True,
        )
        shown[run] = [line.split()[-2:] for line in done.stdout.splitlines()]
    assert shown["before"][1][-1] == "1.0"
    assert shown["after"] == [["before", "after"], *[["1.0", "2.0"]] * len(keys)]
