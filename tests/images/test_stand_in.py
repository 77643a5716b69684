"""The server that stands in for vLLM in the cluster's tests behaves as vLLM does."""

import json
import shutil
from pathlib import Path

import pytest

from tests.images.conftest import Take
from tests.images.sandbox import Sandbox

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

CONTAINER = {
    "securityContext": {
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
}


def test_it_loads_counts_streams_and_lets_go_of_everything(take: Take, tmp_path: Path) -> None:
    """Refused until it has loaded; gauges of what is in flight; SIGTERM aborts what runs."""
    image = take("vllm")
    probe = tmp_path / "probe"
    probe.mkdir()
    shutil.copy("tests/images/asking.py", probe)
    config = {"User": "0:0", **image.content.config}
    sandbox = Sandbox(image.root, config, {}, CONTAINER, {"/probe": probe})
    done = sandbox.run("python3", "/probe/asking.py", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "refused while it loads": True,
        "idle": 0,
        "events": ['{"objec', '{"objec', '{"objec', "[DONE]"],
        "busy": 1,
        "finished": False,
        "exit code": 0,
    }


def test_it_is_packed_as_the_official_image_is(take: Take) -> None:
    """`vllm serve` is the entry point, so that args alone make a server."""
    assert take("vllm").content.config["Entrypoint"] == ["vllm", "serve"]
