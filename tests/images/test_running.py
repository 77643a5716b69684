"""The images at work: read-only root, the chart's user and capabilities, bytecode that is used."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from common.telemetry import VERSION
from tests.images.unpacked import Image
from tests.lab.pki import Authority

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

Pods = Mapping[str, Mapping[str, Any]]
NET_ADMIN = 1 << 12
"""capabilities(7), by their number in linux/capability.h."""
COMMANDS = {
    "agent": {"tunegate-agent": ["--version"]},
    "webhook": {
        "tunegate-webhook": ["version"],
        "tunegate": ["--version"],
        "kubectl-tunegate": ["--version"],
    },
}
PACKAGES = {"agent": ("agent", "common"), "webhook": ("cli", "common", "webhook")}
IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, "/opt/tunegate/lib")
for package in sys.argv[1:]:
    folder = f"/opt/tunegate/lib/{package}"
    for module in pkgutil.walk_packages([folder], f"{package}."):
        importlib.import_module(module.name)
        print(module.name)
"""
LOOK = """
import os, re, json
status = open("/proc/self/status").read()
def writable(path):
    try:
        open(path + "/probe", "w").close()
    except OSError:
        return False
    return True
print(json.dumps({
    "uid": os.getuid(),
    "capabilities": int(re.search(r"CapEff:\\s(\\w+)", status)[1], 16),
    "bounding": int(re.search(r"CapBnd:\\s(\\w+)", status)[1], 16),
    "new privileges": "NoNewPrivs:\\t1" not in status,
    "writable": [path for path in ("/", "/opt/tunegate", "/tmp", "/run", "/etc") if writable(path)],
}))
"""


def test_every_command_answers(image: Image, pods: Pods, tmp_path: Path) -> None:
    """Under a read-only root, and with no environment but the search path."""
    for command, arguments in COMMANDS[image.name].items():
        done = image.sandbox(pods).run(command, *arguments, folder=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert VERSION in done.stdout


def test_its_rights_are_those_that_the_chart_gives(
    image: Image, pods: Pods, tmp_path: Path
) -> None:
    """The agent may manage links and nothing else, the webhook nothing; neither writes its root."""
    done = image.sandbox(pods).run("python3", "-c", LOOK, folder=tmp_path)
    rights = {"agent": (0, NET_ADMIN), "webhook": (65532, 0)}
    uid, capabilities = rights[image.name]
    assert json.loads(done.stdout) == {
        "uid": uid,
        "capabilities": capabilities,
        "bounding": capabilities,
        "new privileges": False,
        "writable": [],
    }


def test_the_entry_point_runs_and_says_what_it_lacks(
    agent: Image, pods: Pods, tmp_path: Path
) -> None:
    """Without arguments it is the DaemonSet's process, which wants a node and the API server."""
    done = agent.sandbox(pods).run(folder=tmp_path)
    assert done.returncode == 2
    assert "TUNEGATE_NODE_NAME" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_agent_tunes_the_host_of_its_network(agent: Image, pods: Pods, tmp_path: Path) -> None:
    """Through the mount of /proc/sys/net; its journal goes to /run/tunegate."""
    state = tmp_path / "state"
    state.mkdir()
    binds = {"/host/proc/sys/net": Path("/proc/sys/net"), "/run/tunegate": state}
    script = (
        "export TUNEGATE_PROC_SYS_NET=/host/proc/sys/net; "
        "echo 0 >/host/proc/sys/net/ipv4/tcp_mtu_probing; "
        "tunegate-agent apply --output json; echo; cat /host/proc/sys/net/ipv4/tcp_mtu_probing"
    )
    done = agent.sandbox(pods, binds).run("sh", "-c", script, folder=tmp_path)
    assert done.stdout.splitlines()[-1] == "1", done.stderr
    assert list(state.iterdir()), "the first values are written down"


def test_the_webhook_serves_without_a_place_to_write(
    webhook: Image, pods: Pods, tmp_path: Path
) -> None:
    """It needs no /tmp: what OpenSSL wants as files is in memory."""
    probe = tmp_path / "probe"
    issued = Authority.create(probe).server("tls", ["localhost"])
    issued.key.chmod(0o644)  # of this test alone; the container is another user
    shutil.copy("tests/images/serving.py", probe)
    sandbox = webhook.sandbox(pods, {"/probe": probe})
    done = sandbox.run("python3", "/probe/serving.py", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "ready": True,
        "patched": True,
        "exit code": 0,
    }


def sources_read(said: str) -> set[str]:
    """Return the modules that were compiled for want of bytecode, of what `python3 -v` says."""
    return set(re.findall(r"^# code object from '?([^'\n]+\.py)'?$", said, re.MULTILINE))


def test_every_module_is_imported_and_none_is_compiled(
    image: Image, pods: Pods, tmp_path: Path
) -> None:
    """No dependency lacks; not one file of ours, of others or of Python's lacks its bytecode."""
    done = import_all(image, pods, tmp_path)
    files = [path for each in PACKAGES[image.name] for path in Path(each).rglob("*.py")]
    ours = {str(path.with_suffix("")).replace("/", ".") for path in files}
    ours = {name.removesuffix(".__init__") for name in ours}
    # the connection that needs the kubernetes package is not the agent's
    lacking = {"common.api"} if image.name == "agent" else set()
    assert ours - {*done.stdout.split(), *PACKAGES[image.name]} == lacking
    assert sources_read(done.stderr) == set()
    assert done.stderr.count(".pyc") > len(ours)


def test_bytecode_that_lacks_is_noticed(agent: Image, pods: Pods, tmp_path: Path) -> None:
    """The test above can fail."""
    (cached,) = (agent.root / "opt/tunegate/lib/agent/__pycache__").glob("run.*.pyc")
    content = cached.read_bytes()
    cached.unlink()
    try:
        done = import_all(agent, pods, tmp_path)
    finally:
        cached.write_bytes(content)
    assert sources_read(done.stderr) == {"/opt/tunegate/lib/agent/run.py"}


def import_all(image: Image, pods: Pods, folder: Path) -> subprocess.CompletedProcess[str]:
    """Have Python import all our modules and say what it reads."""
    sandbox = image.sandbox(pods)
    done = sandbox.run("python3", "-ISvc", IMPORT_ALL, *PACKAGES[image.name], folder=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return done
