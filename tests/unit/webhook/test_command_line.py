"""What a container runs."""

from typing import Any

import pytest

from webhook.command_line import Call, command_line, environment, substitute
from webhook.decisions import Json


def calls(*command: str, pod: Json | None = None, **container: Any) -> tuple[Call, ...]:  # noqa: ANN401
    """Return what a container with this command runs."""
    return command_line({"command": list(command), **container}, pod or {}).calls


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("$(A)-$(B)", "1-2 1"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(NONE)", "$(NONE)"),
        ("$(HIDDEN)", "$(HIDDEN)"),
        ("$A ${A} $( A )", "$A ${A} $( A )"),
    ],
)
def test_references_are_replaced_as_kubernetes_does(word: str, expected: str) -> None:
    """What is not known stays as it is written."""
    assert substitute(word, {"A": "1", "B": "2 1", "HIDDEN": None}) == expected


def test_values_build_on_those_before_them() -> None:
    """A later value does not reach back; the last one of a name wins."""
    container: Json = {
        "env": [
            {"name": "A", "value": "x$(B)"},
            {"name": "B", "value": "1"},
            {"name": "C", "value": "$(A)$(B)"},
            {"name": "B", "value": "2"},
            {"name": "D"},
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ]
    }
    assert environment(container, {}) == {
        "A": "x$(B)",
        "B": "2",
        "C": "x$(B)1",
        "D": "",
        "S": None,
    }


def test_what_the_pod_shows_of_itself_is_known() -> None:
    """Labels, annotations, name and namespace; not what only a node knows."""
    pod: Json = {
        "metadata": {
            "name": "p",
            "labels": {"a/b": "1", "leaderworkerset.sigs.k8s.io/worker-index": "3"},
            "annotations": {"c": "2"},
        }
    }

    def field(name: str, path: str) -> Json:
        return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}

    container: Json = {
        "env": [
            field("L", "metadata.labels['a/b']"),
            field("A", "metadata.annotations['c']"),
            field("N", "metadata.name"),
            field("M", "metadata.labels['none']"),
            field("I", "status.podIP"),
        ]
    }
    assert environment(container, pod) == {
        "L": "1",
        "A": "2",
        "N": "p",
        "M": None,
        "I": None,
        "LWS_WORKER_INDEX": "3",
    }


@pytest.mark.parametrize(
    ("command", "shell"),
    [
        (("sh", "-c", "vllm serve m"), "sh"),
        (("/bin/sh", "-ec", "vllm serve m"), "sh"),
        (("bash", "-o", "pipefail", "-c", "vllm serve m | cat"), "bash"),
        (("bash", "-lc", "vllm serve m"), ""),
        (("/bin/bash", "-c", "--", "vllm serve m"), ""),
        (("tini", "--", "sh", "-c", "vllm serve m"), ""),
        (("env", "A=b", "sh", "-c", "vllm serve m"), "sh"),
        (("bash", "-c", "sh -c 'vllm serve m'"), "sh"),
        (("sh", "-c", "exec bash -c 'exec vllm serve m'"), ""),
        (("sh", "-c", "bash -c 'exec vllm serve m'"), "sh"),
        (("sh", "-c", "bash -c 'vllm serve m; true'"), "sh"),
        (("vllm", "serve", "m"), ""),
        (("/opt/nvidia/nvidia_entrypoint.sh", "vllm", "serve", "m"), ""),
    ],
)
def test_the_shell_that_keeps_sigterm(command: tuple[str, ...], shell: str) -> None:
    """The outermost shell that stays is PID 1."""
    found = next(call for call in calls(*command) if call.words == ("vllm", "serve", "m"))
    assert found.shell == shell


def test_a_shell_that_runs_a_file_is_a_program() -> None:
    """What the file holds is not in the manifest."""
    assert calls("bash", "/scripts/start.sh", "-c") == (Call(("bash", "/scripts/start.sh", "-c")),)


def test_shells_inside_shells_end_somewhere() -> None:
    """Each one quotes the next; a pod may nest them for ever."""
    script = "vllm"
    for _ in range(8):
        script = "sh -c '" + script.replace("'", "'\\''") + "'"
    assert calls("sh", "-c", script)


def test_values_that_double_stay_small() -> None:
    """Fifty names of ten references each would be more than there are atoms."""
    env = [{"name": "A0", "value": "x" * 10}]
    env += [{"name": f"A{i}", "value": f"$(A{i - 1})" * 10} for i in range(1, 50)]
    found = calls("vllm", "serve", "$(A49)", env=env)
    assert sum(map(len, found[0].words)) < 100_000
