"""What the commands say about themselves."""

import os
import subprocess

import pytest

from agent.schema import SETTINGS
from tests.agent_lab.node_commands import AGENT

COMMANDS = {
    "plan": "what is left alone",
    "apply": "full-size packets",
    "verify": "Writes nothing",
    "revert": "somebody else wrote",
    "doctor": "no-probes",
    "bench": "O_DIRECT",
    "run": "SIGHUP",
}
WIDTH = 100


def said(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the agent's command line on a terminal of 100 columns."""
    environment = {**os.environ, "COLUMNS": str(WIDTH)}
    argv = [AGENT, *arguments]
    return subprocess.run(argv, check=False, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(("command", "words"), COMMANDS.items())
def test_the_help_of_each_command_teaches(command: str, words: str) -> None:
    """What it does, each option, each setting with its meaning; no line is too wide."""
    done = said(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: tunegate-agent {command} ")
    assert words in done.stdout
    assert ("--output" in done.stdout) == (command != "run")
    for setting in SETTINGS:
        assert f"  {setting.path} " in done.stdout
        assert setting.doc in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= WIDTH


def test_the_first_help_shows_where_to_begin() -> None:
    """Every command in one line, examples, and what the exit codes mean."""
    done = said("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert f"\n    {command} " in done.stdout
    assert "examples:" in done.stdout
    assert "exit codes: 0 fine; 1 not fine" in done.stdout


@pytest.mark.parametrize("arguments", [(), ("tune",), ("plan", "--wat"), ("plan", "--output", "x")])
def test_a_command_line_that_is_none_is_bad_input(arguments: tuple[str, ...]) -> None:
    """Exit 2 and how it is used."""
    done = said(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: tunegate-agent")
