"""Profiles on a real Node: chosen by labels and providerID before the first write, and again."""

import json
from pathlib import Path

import pytest

from common.names import ANNOTATION_STATE
from tests.e2e.harness import (
    NODE_PATH,
    Stage,
    await_,
    condition,
    gates,
    http_get,
    verdict,
)
from tests.lab.api import MERGE_PATCH, Object

pytestmark = pytest.mark.api
PORT = 9471
POOLS = """\
mtu: 9000
profiles:
- name: google
  match: {labels: {pool: small}, cloud: gcp}
  settings: {mtu: auto}
- name: small
  match: {labels: {pool: small}}
  settings: {mtu: 4000, sysctls: {net.ipv4.tcp_mtu_probing: null}}
"""


def label_node(stage: Stage, pool: str | None) -> None:
    """Label the Node as a cloud or ``kubectl label node`` does."""
    stage.admin.patch(NODE_PATH, {"metadata": {"labels": {"pool": pool}}}, MERGE_PATCH)


def state(node: Object) -> Object:
    """Return the state annotation, {} when there is none."""
    found: Object = json.loads(node["metadata"].get("annotations", {}).get(ANNOTATION_STATE, "{}"))
    return found


def wait_profile(stage: Stage, name: str | None) -> Object:
    """Wait for a Node that is tuned by this profile; None is the file's top level."""
    return stage.wait(
        lambda node: (
            verdict(node)[0] == "tuned"
            and bool(state(node))
            and state(node).get("profileName") == name
        )
    )


def scrape(stage: Stage, start: str) -> str:
    """Return the metric lines that begin so."""
    answer = http_get(stage, PORT, "/metrics")
    lines = answer[1].splitlines() if answer else []
    return "\n".join(line for line in lines if line.startswith(f"tunegate_agent_{start}"))


def test_labels_choose_before_the_first_write_and_whenever_they_change(
    stage: Stage, tmp_path: Path
) -> None:
    """The link never has the other pool's MTU; name and hash are on the Node and in the metrics."""
    (tmp_path / "agent.yaml").write_text(POOLS)
    stage.join()
    label_node(stage, "small")
    first = stage.host.sysctl("net.ipv4.tcp_mtu_probing")
    agent = stage.start(config=tmp_path / "agent.yaml", server_port=PORT)
    node = wait_profile(stage, "small")
    assert not gates(node)
    assert stage.host.mtu("eth1") == 4000
    assert stage.host.sysctl("net.ipv4.tcp_mtu_probing") == first
    written = [line["after"] for line in agent.lines() if line.get("target") == "link/eth1/mtu"]
    assert written == ["4000"]
    stage.wait(lambda node: condition(node).get("message", "").endswith("; profile small"))
    info = f'profile_info{{hash="{state(node)["profile"]}",profile="small"}} 1.0'
    await_(lambda: info in scrape(stage, "profile_info"), info)
    label_node(stage, None)
    wait_profile(stage, None)
    assert stage.host.mtu("eth1") == 9000
    assert stage.host.sysctl("net.ipv4.tcp_mtu_probing") == "1"
    stage.wait(lambda node: "profile" not in condition(node)["message"])
    assert not stage.events("DriftRepaired")


def test_the_provider_id_tells_the_cloud(stage: Stage, tmp_path: Path) -> None:
    """Google's ceiling, which no link of this machine has."""
    (tmp_path / "agent.yaml").write_text(POOLS)
    stage.join()
    label_node(stage, "small")
    stage.admin.patch(NODE_PATH, {"spec": {"providerID": "gce://p/z/gpu-0"}}, MERGE_PATCH)
    stage.start(config=tmp_path / "agent.yaml")
    wait_profile(stage, "google")
    assert stage.host.mtu("eth1") == 8896


def test_a_file_that_cannot_be_used_is_on_the_node_and_changes_nothing(
    stage: Stage, tmp_path: Path
) -> None:
    """Condition, one event and a metric; the label stays tuned, and the mended file counts."""
    path = tmp_path / "agent.yaml"
    path.write_text(POOLS)
    stage.join()
    label_node(stage, "small")
    stage.start(config=path, server_port=PORT, watch_poll_seconds=0.3)
    wait_profile(stage, "small")
    path.write_text(POOLS.replace("4000", "big"))
    node = stage.wait(lambda node: "cannot be used" in condition(node).get("message", ""))
    assert verdict(node) == ("tuned", "True", "Tuned")
    assert "profiles[1].settings.mtu: must be" in condition(node)["message"]
    assert stage.host.mtu("eth1") == 4000
    await_(lambda: stage.events("SettingsInvalid"), "the event")
    assert scrape(stage, "settings_valid").endswith(" 0.0")
    version = stage.quiet(1.0)["metadata"]["resourceVersion"]
    assert len(stage.events("SettingsInvalid")) == 1
    assert stage.node()["metadata"]["resourceVersion"] == version
    path.write_text(POOLS.replace("4000", "5000"))
    stage.wait(lambda node: state(node).get("links") == {"eth1": 5000})
    node = stage.wait(lambda node: "cannot be used" not in condition(node)["message"])
    assert scrape(stage, "settings_valid").endswith(" 1.0")
    assert verdict(node) == ("tuned", "True", "Tuned")
