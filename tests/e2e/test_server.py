"""/healthz, /readyz and /metrics as docs/agent.md has them, and log lines that a machine reads."""

import re
import socket
from pathlib import Path

import pytest

from common.telemetry import VERSION
from tests.e2e.harness import Stage, await_, condition, gates, http_get, label
from tests.lab.api import Object

pytestmark = pytest.mark.api
PORT = 9469
DOCS = Path(__file__).parents[2] / "docs" / "agent.md"
SAMPLE = re.compile(r"^(tunegate_agent_\w+)(?:\{(.*)\})? ([0-9.e+-]+)$")
Samples = dict[tuple[str, str], float]


def is_open(node: Object) -> bool:
    """Return whether the Node is tuned and open."""
    return label(node) == "tuned" and condition(node).get("status") == "True" and not gates(node)


def get(stage: Stage, path: str) -> tuple[int, str]:
    """Ask the agent's server, waiting until it listens."""
    return await_(lambda: http_get(stage, PORT, path), path)


def samples(stage: Stage) -> Samples:
    """Scrape and parse."""
    status, text = get(stage, "/metrics")
    assert status == 200
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found = [SAMPLE.match(line) for line in lines]
    assert all(found), "every sample is one of the agent's own"
    return {(m[1], m[2] or ""): float(m[3]) for m in found if m}


def documented() -> dict[str, frozenset[str]]:
    """Return every metric of docs/agent.md with its labels."""
    table = DOCS.read_text(encoding="utf-8").partition("## Metrics")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    return {
        name: frozenset(re.findall(r"`(\w+)`", labels))
        for names, labels in rows
        for name in re.findall(r"`(\w+)`", names)
    }


def of_mounts(name: str) -> bool:
    """Return whether a metric has samples only where something is mounted: nothing is, here."""
    return name.startswith(("tunegate_agent_nfs_", "tunegate_agent_read_ahead_"))


def test_readiness_follows_the_node(stage: Stage) -> None:
    """Alive at once; ready only when the Node says what was found, with the reason until then."""
    stage.join()
    environment = stage.environment(server_port=PORT)
    file = Path(environment["TUNEGATE_TOKEN_FILE"])
    token = file.read_text(encoding="ascii")
    file.write_text("not.a.token", encoding="ascii")
    stage.start_with(environment)
    assert get(stage, "/healthz") == (200, "ok\n")
    status, why = get(stage, "/readyz")
    assert (status, why[:11]) == (503, "waiting for")
    assert get(stage, "/nothing")[0] == 404
    file.write_text(token, encoding="ascii")
    stage.wait(is_open)
    await_(lambda: get(stage, "/readyz") == (200, "ok\n"), "ready")


def test_every_documented_metric_is_served(stage: Stage) -> None:
    """Names and labels are those of docs/agent.md, values are the truth."""
    stage.join()
    agent = stage.start(server_port=PORT)
    stage.wait(is_open)
    await_(lambda: samples(stage).get(("tunegate_agent_gate_open", "")) == 1, "gate_open")
    stage.host.set_mtu("eth1", 1500)
    agent.await_line("Repaired drift")
    repaired = ("tunegate_agent_drift_repaired_total", 'kind="link"')
    await_(lambda: samples(stage)[repaired] == 1, "the repair is counted")
    await_(lambda: samples(stage)["tunegate_agent_passes_total", 'outcome="tuned"'] >= 2, "pass")
    now = samples(stage)
    seen: dict[str, frozenset[str]] = {}
    for name, labels in now:
        seen[name] = frozenset(re.findall(r'(\w+)="', labels))
    assert seen == {name: labels for name, labels in documented().items() if not of_mounts(name)}
    values = {f"{name}{{{labels}}}" if labels else name: now[name, labels] for name, labels in now}
    prefix = "tunegate_agent"
    expected = {
        f'{prefix}_build_info{{version="{VERSION}"}}': 1,
        f'{prefix}_outcome{{outcome="tuned"}}': 1,
        f'{prefix}_outcome{{outcome="pending"}}': 0,
        f"{prefix}_contested_targets": 0,
        f'{prefix}_changes_total{{kind="link",result="applied"}}': 2,
        f'{prefix}_changes_total{{kind="link",result="refused"}}': 0,
        f'{prefix}_link_mtu_bytes{{device="eth1"}}': 9000,
        f'{prefix}_link_mtu_wanted_bytes{{device="eth1"}}': 9000,
        f"{prefix}_path_mtu_bytes": 9000,
        f"{prefix}_paths_unproven": 0,
    }
    assert {key: values.get(key) for key in expected} == expected
    assert all(value == 1 for key, value in values.items() if key.startswith(f"{prefix}_check"))
    assert 0 < values[f"{prefix}_gate_opened_seconds"] < 60
    assert values[f"{prefix}_gate_closed_seconds"] == 0
    assert 0 < values[f"{prefix}_last_pass_duration_seconds"] < 60
    assert values[f"{prefix}_last_pass_timestamp_seconds"] > 1.7e9


def test_labels_are_bounded(stage: Stage) -> None:
    """Twenty repairs and as many requests add no series but those of a new verb or code."""
    stage.join()
    agent = stage.start(server_port=PORT, watch_repairs=1000)
    stage.wait(is_open)
    before = samples(stage).keys()
    for number in range(20):
        stage.host.set_mtu("eth1", 1500 + number)
        await_(lambda: stage.host.mtu("eth1") == 9000, "repaired")
    await_(lambda: len(stage.events("DriftRepaired")) >= 20, "events")
    added = samples(stage).keys() - before
    assert {name for name, _ in added} <= {"tunegate_agent_api_requests_total"}
    assert len(added) <= 4
    assert agent.process.poll() is None


def test_a_port_in_use_does_not_keep_the_gate_closed(stage: Stage) -> None:
    """It is named in the log; the node is tuned and repaired all the same."""
    with stage.host.entered():
        rival = socket.create_server(("0.0.0.0", PORT))
    with rival:
        stage.join()
        agent = stage.start(server_port=PORT)
        stage.wait(is_open)
        assert str(PORT) in agent.await_line("Could not serve metrics")["address"]
        stage.host.set_mtu("eth1", 1500)
        agent.await_line("Repaired drift")


def test_log_lines_are_json_with_time_level_and_message(stage: Stage) -> None:
    """Every line of a life with a repair and an end parses, and has the same three fields."""
    stage.join()
    agent = stage.start()
    stage.wait(is_open)
    stage.host.set_mtu("eth1", 1500)
    agent.await_line("Repaired drift")
    await_(lambda: stage.events("DriftRepaired"), "the event")
    assert agent.process.stop() == 0
    lines = agent.lines()
    assert {one["level"] for one in lines} <= {"info", "warning", "error"}
    stamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
    assert all(stamp.fullmatch(one["time"]) and one["message"] for one in lines)
    assert [one["message"] for one in lines if one["level"] != "info"] == []
