"""What `tunegate uninstall` says, takes and refuses; what it does is in test_uninstall."""

import json
import re
from pathlib import Path

import pytest

from cli import removal, traces
from cli.main import main
from cli.removal import Aim, Done, Left
from common import names
from tests.lab.fleet import fleet_node
from tests.unit.cli.test_uninstall import AIM, REVERT, gpu_node


def test_the_said_commands_name_what_is_there_and_nothing_else() -> None:
    """A command that fails because half of it was gone already helps nobody."""
    raw = gpu_node(labels={names.LABEL_MODE: "off"})
    raw["metadata"]["annotations"][names.ANNOTATION_MODE_BEFORE] = "observe"
    del raw["metadata"]["labels"][names.LABEL_MTU]
    taint, label, annotate, condition = traces.commands(traces.read(raw, names.GATE_TAINTS))
    assert taint == f"kubectl taint node gpu-1 {names.STARTUP_TAINT}:NoSchedule-"
    assert label == (
        "kubectl label node gpu-1 tunegate.io/network- tunegate.io/mode=observe --overwrite"
    )
    assert annotate == ("kubectl annotate node gpu-1 tunegate.io/state- tunegate.io/mode-before-")
    assert "--subresource=status" in condition
    assert traces.commands(traces.read(fleet_node("cpu-1", None, status=""), ())) == ()


def test_many_things_left_are_told_briefly() -> None:
    """And the command that goes on is always there."""
    done = Done(left=[Left(f"node gpu-{number}", "why", ("do it",)) for number in range(100)])
    lines = removal.text(REVERT, done)
    assert "LEFT (100):" in lines
    assert len(lines) < 30
    again = "  tunegate uninstall --namespace tunegate --release tunegate --revert-hosts"
    assert lines[-1] == again


def test_the_command_that_goes_on_has_all_that_was_given() -> None:
    """Else it would look under other names, or leave a taint."""
    keys = (*names.GATE_TAINTS, "example.com/gate")
    aim = Aim("ns", "r", keys, is_revert=False, is_dry_run=False, secret="s", config_map="c")  # noqa: S106 - a name
    assert aim.again() == (
        "tunegate uninstall --namespace ns --release r --gate-taint example.com/gate "
        "--secret s --config-map c"
    )


def test_a_thing_tried_twice_is_left_once() -> None:
    """With the last reason."""
    found = removal.merged([Left("a", "1"), Left("b", "2"), Left("a", "3")])
    assert found == [Left("a", "3"), Left("b", "2")]


def test_every_field_is_documented() -> None:
    """In the order in which they are printed."""
    text = Path("docs/cli.md").read_text().partition("### JSON of uninstall\n")[2]
    table = text.partition("\n## ")[0]
    named = [
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([^`]+)`", line.split("|")[1])
    ]
    assert named == list(json.loads(removal.as_json(AIM, Done())))


def test_a_server_that_does_not_answer_is_told_before_anything_is_done(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Nothing was done, so there is no list of what is left."""
    file = tmp_path / "config"
    file.write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    assert main(["uninstall", "--kubeconfig", str(file), "--timeout", "1s"]) == 3
    said = capsys.readouterr()
    assert (said.out, "does not answer" in said.err) == ("", True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--namespace", "A B"],
        ["--release", ""],
        ["--timeout", "0s"],
        ["--timeout", "soon"],
        ["--secret", "x/y"],
    ],
)
def test_bad_input_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is asked."""
    try:
        code = main(["uninstall", *arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
    assert code == 2
    assert capsys.readouterr().err
