"""Warnings reach people in a real cluster."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.webhook_lab.stage import Stage, await_, deployment, record

pytestmark = [pytest.mark.lab, pytest.mark.api]


def test_warnings_reach_whoever_creates_a_deployment(stage: Stage, tmp_path: Path) -> None:
    """They are printed, and the Deployment is created all the same."""
    one = deployment("warned")
    one["spec"]["template"]["spec"]["containers"][0]["args"] += ["--gpu-memory-utilisation=0.9"]
    file = tmp_path / "deployment.json"
    file.write_text(json.dumps(one))
    done = stage.lab.control_plane.kubectl("create", "-f", str(file))
    assert done.returncode == 0
    assert "deployment.apps/warned created" in done.stdout
    assert "--gpu-memory-utilization" in done.stderr
    assert "Warning: " in done.stderr


def test_explain_says_beforehand_what_the_cluster_then_does(stage: Stage, tmp_path: Path) -> None:
    """The pod of a Deployment has the very record, and the warnings, that were foretold."""
    one = deployment("foretold")
    one["spec"]["template"]["spec"]["containers"][0]["args"] += ["--gpu-memory-utilisation=0.9"]
    file = tmp_path / "deployment.json"
    file.write_text(json.dumps(one))
    (told,) = explained(file)
    answer = stage.create(one)
    path = "/api/v1/namespaces/default/pods?labelSelector=app%3Dforetold"
    pod = await_(lambda: next(iter(stage.admin.get(path)["items"]), None), "the pod")
    assert record(pod) == told["decisions"]
    assert list(answer.warnings) == [f"tunegate {line}" for line in told["warnings"]]
    server, foreseen = (each["spec"]["containers"][0] for each in (pod, told["pod"]))
    assert server["startupProbe"] == foreseen["startupProbe"]
    assert server["lifecycle"] == foreseen["lifecycle"]
    assert (
        pod["spec"]["terminationGracePeriodSeconds"]
        == (told["pod"]["spec"]["terminationGracePeriodSeconds"])
    )


def explained(file: Path) -> list[dict[str, Any]]:
    """Return what `tunegate explain` says of a file, without any cluster."""
    arguments = ["explain", "-f", str(file), "-o", "json"]
    code = f"import sys; from cli.main import main; sys.exit(main({arguments!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    decoded = json.loads(done.stdout)
    assert isinstance(decoded, list)
    return decoded
