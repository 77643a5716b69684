"""`tunegate pods`: rows, words and JSON, and the command against a server on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import main
from cli.pod_rows import PodRow, duration, in_order, pod_object, ready_text, summary, text
from common import names
from tests.answering import Server, kubeconfig, running_server
from tests.unit.webhook.live_pods import EPOCH, live_pod, other_pod, replica_set
from tests.unit.webhook.test_auditor import RECORD, audited
from webhook.decisions import Json
from webhook.owners import guessed


def row(pod: Json) -> PodRow:
    """Return a pod as a row."""
    found = audited(pod)
    return PodRow(found, guessed(pod, found.owner))


def lines(*pods: Json, width: int | None = None) -> list[str]:
    """Return what is printed of these."""
    rows = in_order(row(pod) for pod in pods)
    return list(text(rows, EPOCH + 200, width, is_coloured=False))


OWNED = {"owner": replica_set(), "labels": {"pod-template-hash": "7d9f"}}
MISSED = live_pod("missed", **OWNED)  # type: ignore[arg-type]  # both are keywords of it
FINE = live_pod("fine", record=RECORD, scheduled=10, ready=350)


def test_what_needs_somebody_is_on_top_with_what_to_do() -> None:
    """The command stands below the table; a summary ends it."""
    head, first, second, *words = lines(FINE, MISSED)
    assert head.split() == [
        *("NAMESPACE", "POD", "OWNER", "STATE", "INJECTED", "NODE", "READY", "WHY")
    ]
    assert first.split()[:4] == ["ml", "missed", "Deployment/llama", "missed"]
    assert "runs without" in first
    assert "not for 3m10s" in first
    assert second.split()[:7] == [
        *("ml", "fine", "Pod/fine", "injected", "startupProbe", "gpu-1", "5m40s")
    ]
    assert "Deployment/llama in ml: kubectl rollout restart deployment/llama -n ml" in words
    assert words[-1] == ("2 vLLM pods: 1 injected, 1 missed; median from scheduled to Ready 5m40s.")


def test_lines_are_cut_to_the_terminal_only() -> None:
    """A pipe gets all of it."""
    assert max(map(len, lines(MISSED, FINE, width=80)[:3])) <= 80
    assert max(map(len, lines(MISSED, FINE))) > 80


def test_a_name_cannot_write_to_the_readers_terminal() -> None:
    """What comes from the cluster is printed without control characters."""
    pod = live_pod("x", record='{"shm": {"outcome": "failed-safe", "reason": "\\u001b[31m"}}')
    assert "\x1b" not in "\n".join(lines(pod))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0s"), (59.9, "59s"), (60, "1m00s"), (340, "5m40s"), (7500, "2h05m"), (93600, "26h00m")],
)
def test_durations_have_two_units(seconds: float, expected: str) -> None:
    """What a person compares fits the eye."""
    assert duration(seconds) == expected


def test_a_pod_without_a_node_is_unscheduled() -> None:
    """For want of the toleration that was not injected, most often."""
    assert ready_text(row(live_pod(scheduled=None)), 0) == "unscheduled"


def test_no_pod_is_told() -> None:
    """An empty answer looks like a failure."""
    assert summary([]) == "No vLLM pod is there."


def test_the_json_has_what_scripts_need() -> None:
    """Times as numbers and as text, the cure as a command."""
    made = pod_object(row(MISSED))
    assert made["cure"] == "kubectl rollout restart deployment/llama -n ml"
    assert (made["injected"], made["isFine"], made["secondsToReady"]) == ([], False, None)
    assert "startupProbe" in str(made["missing"])
    made = pod_object(row(FINE))
    assert (made["secondsToReady"], made["cure"]) == (340, "")
    assert (made["scheduled"], made["node"]) == ("2026-01-01T00:00:10Z", "gpu-1")


@pytest.fixture
def server() -> Iterator[Server]:
    """Give a running server."""
    with running_server() as made:
        yield made


NAMESPACES = {"metadata": {}, "items": [{"metadata": {"name": "ml", "labels": {}}}]}


def pods_command(server: Server, folder: Path, *arguments: str) -> int:
    """Run the command against the server."""
    return main(["pods", "--kubeconfig", str(kubeconfig(folder, server)), *arguments])


def test_pods_are_listed_page_by_page(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Namespaces first; those that ended are not asked for."""
    first = {"metadata": {"continue": "more"}, "items": [MISSED, other_pod()]}
    server.prepare(NAMESPACES, then=[first, {"metadata": {}, "items": [FINE]}])
    assert pods_command(server, tmp_path, "-o", "json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(pod["name"], pod["state"]) for pod in shown["pods"]] == [
        ("missed", "missed"),
        ("fine", "injected"),
    ]
    paths = [path for path, _ in server.asked]
    assert paths[0] == "/api/v1/namespaces"
    assert "status.phase%21%3DSucceeded" in paths[1]
    assert "continue=more" in paths[2]


@pytest.mark.parametrize(
    ("pods", "expected"), [([FINE], 0), ([FINE, MISSED], 1), ([], 1), ([other_pod()], 1)]
)
def test_check_is_for_scripts(
    server: Server, tmp_path: Path, pods: list[Json], expected: int
) -> None:
    """No vLLM pod at all is no success."""
    server.prepare(NAMESPACES, then=[{"metadata": {}, "items": pods}])
    assert pods_command(server, tmp_path, "--check") == expected


def test_a_namespaces_switches_count(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one that opted out nothing was missed; --all says why."""
    labels = {names.POD_LABEL_INJECT: "disabled"}
    opted_out = {"metadata": {"name": "ml", "labels": labels}}
    server.prepare(opted_out, then=[{"metadata": {}, "items": [MISSED]}])
    assert pods_command(server, tmp_path, "-n", "ml", "--all") == 0
    assert "left-alone" in capsys.readouterr().out
    assert [path.partition("?")[0] for path, _ in server.asked] == [
        "/api/v1/namespaces/ml",
        "/api/v1/namespaces/ml/pods",
    ]


def test_a_named_pod_that_is_not_there_is_told(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, and its name."""
    server.prepare(NAMESPACES, then=[{"metadata": {}, "items": [FINE]}])
    assert pods_command(server, tmp_path, "nobody", "pod/fine") == 1
    assert "no such pod, or none that vLLM runs in: nobody" in capsys.readouterr().err


def test_a_policy_that_cannot_be_used_is_bad_input(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is asked."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("featurs: {}\n")
    assert pods_command(server, tmp_path, "--policy", str(policy)) == 2
    assert "featurs" in capsys.readouterr().err
    assert server.asked == []
