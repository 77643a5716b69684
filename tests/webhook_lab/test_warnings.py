"""Warnings reach people in a real cluster."""

import json
from pathlib import Path

import pytest

from tests.webhook_lab.stage import Stage, deployment

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
