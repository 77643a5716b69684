"""
``tunegate-agent run`` whose configuration file changes under it, on the real kernel.

Written over, swapped as the kubelet swaps a ConfigMap, spoilt, taken away, mended.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_lab.running import STORAGE, Agent, Watched, await_, watching
from tests.lab.lab import Lab

pytestmark = pytest.mark.lab
WMEM = "net.ipv4.tcp_wmem"
PROBING = "net.ipv4.tcp_mtu_probing"
POLL = {"TUNEGATE_WATCH_POLL_SECONDS": "0.2"}


@pytest.fixture
def watched(nfs_world: Lab, tmp_path: Path) -> Iterator[Watched]:
    """Give the GPU node to watch."""
    with watching(nfs_world, tmp_path) as made:
        yield made


def start(watched: Watched, path: Path, **variables: str) -> Agent:
    """Start an agent with this configuration file; it is tuned when this returns."""
    options = ("--endpoint", STORAGE, "--config", str(path))
    return watched.run({**POLL, **variables}, options=options)


def renew(path: Path, text: str) -> None:
    """Put another text in the file's place; the agent may read at any moment."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text)
    fresh.rename(path)


def test_a_file_that_is_written_over_is_applied(watched: Watched) -> None:
    """MTU and rows as the file says now; what it no longer wants is as it was before us."""
    path = watched.node.folder / "agent.yaml"
    path.write_text("mtu: 8000\n")
    agent = start(watched, path)
    assert watched.node.values()["eth1"] == "8000"
    renew(path, f"mtu: 9000\nsysctls: {{{PROBING}: null, {WMEM}: 4096 65536 8388608}}\n")
    watched.await_value("eth1", "9000")
    watched.await_value(WMEM, "4096 65536 8388608")
    watched.await_value(PROBING, watched.node.first[PROBING])
    line = agent.await_line("Took up settings")
    assert line["changed"] == f"mtu,sysctls.{WMEM},sysctls.{PROBING}"
    assert not agent.said("Repaired drift")
    renew(path, "links: {exclude: [eth1]}\n")
    watched.await_value("eth1", watched.node.first["eth1"])
    assert agent.end() == 0
    assert watched.node.revert() == 0
    assert watched.node.values() == watched.node.first


def test_a_config_map_that_is_updated_is_applied(watched: Watched) -> None:
    """The file itself is a link that never changes; what it leads to is swapped in one rename."""
    folder = watched.node.folder / "mounted"
    for version, mtu in (("..v1", 8000), ("..v2", 7000)):
        (folder / version).mkdir(parents=True)
        (folder / version / "agent.yaml").write_text(f"mtu: {mtu}\n")
    (folder / "..data").symlink_to("..v1")
    (folder / "agent.yaml").symlink_to("..data/agent.yaml")
    agent = start(watched, folder / "agent.yaml")
    assert watched.node.values()["eth1"] == "8000"
    (folder / "..data_tmp").symlink_to("..v2")
    (folder / "..data_tmp").rename(folder / "..data")
    watched.await_value("eth1", "7000")
    assert agent.end() == 0


def test_a_file_that_cannot_be_used_or_is_gone_changes_nothing(watched: Watched) -> None:
    """Said once each, with all that is wrong; the mended file is taken up."""
    path = watched.node.folder / "agent.yaml"
    path.write_text("mtu: 8000\n")
    agent = start(watched, path)
    tuned = watched.node.values()
    renew(path, "mtu: 80000\ngate: {onFailed: shut}\n")
    line = agent.await_line("Could not use the settings")
    assert "mtu: must be a whole number" in str(line["err"])
    assert "gate.onFailed: must be" in str(line["err"])
    agent.await_line("Found", reason="SettingsInvalid", severity="note")
    agent.await_line("Judged the node", outcome="tuned")
    path.unlink()
    unusable = "Could not use the settings"
    await_(lambda: len(agent.said(unusable)) > 1, agent.process.log_text)
    assert "cannot read the configuration" in str(agent.said(unusable)[-1]["err"])
    watched.node.namespace.set_mtu("eth1", 1500)
    watched.await_value("eth1", "8000")
    renew(path, "mtu: 9000\n")
    watched.await_value("eth1", "9000")
    agent.await_line("The settings can be used again")
    assert len(agent.said(unusable)) == 2
    renew(path, "mtu: 8000\n")
    watched.await_value("eth1", "8000")
    assert watched.node.values() == tuned
    assert agent.end() == 0
    assert "Traceback" not in agent.process.log_text()


def test_sighup_takes_the_file_up_at_once(watched: Watched) -> None:
    """Though the next poll is an hour away."""
    path = watched.node.folder / "agent.yaml"
    path.write_text("mtu: 8000\n")
    agent = start(watched, path, TUNEGATE_WATCH_POLL_SECONDS="3600")
    renew(path, "mtu: 9000\n")
    agent.process.send_signal(signal.SIGHUP)
    watched.await_value("eth1", "9000")
    assert agent.end() == 0


def test_a_plan_on_the_node_is_made_by_the_profile_asked_for(watched: Watched) -> None:
    """Plan says which won and what it changes; apply and verify take the same options."""
    path = watched.node.folder / "agent.yaml"
    path.write_text(
        "profiles:\n"
        "- {name: small, match: {labels: {pool: small}}, settings: {mtu: 4000}}\n"
        "- {name: google, match: {cloud: gcp}, settings: {mtu: auto}}\n"
    )
    common = ("--config", str(path), "--endpoint", STORAGE)
    plan = watched.node.agent("plan", *common, "--node-label", "pool=small")
    assert "profile small (label pool=small)" in plan.stdout
    assert "eth1 MTU" in plan.stdout
    assert "1500 -> 4000" in plan.stdout
    unknown = watched.node.agent("plan", *common)
    assert "profile default (no profile matches)" in unknown.stdout
    assert "NodeLabelsUnknown" in unknown.stdout
    google = watched.node.agent("plan", *common, "--provider-id", "gce://p/z/n")
    assert "1500 -> 8896  (mtu auto, the most that gcp carries)" in google.stdout
    applied = watched.node.agent("apply", *common, "--profile", "small")
    assert applied.returncode == 0
    assert watched.node.values()["eth1"] == "4000"
    verified = watched.node.agent("verify", *common, "--node-label", "pool=small")
    assert verified.returncode == 0
    assert watched.node.agent("plan", *common, "--profile", "large").returncode == 2
    assert watched.node.revert() == 0
    assert watched.node.values() == watched.node.first
