"""The preStop command: what it says, and that it is the reviewed scripts and nothing else."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from webhook.inject import drain_hook
from webhook.recognition import Arguments, Server

SCRIPTS = Path(drain_hook.__file__).parent
PYTHON = (SCRIPTS / "drain.py").read_text()


def server(arguments: Arguments) -> Server:
    """Return a server with these arguments."""
    return Server("vllm", "containers", 0, "vllm-serve", arguments)


def settings(arguments: Arguments) -> list[str]:
    """Return the words that the command gives its scripts."""
    return drain_hook.command(server(arguments), 120, 5)[4:9]


def test_the_command_names_the_server_and_the_times() -> None:
    """The loopback is asked unless the server listens elsewhere."""
    assert settings(Arguments()) == ["120", "5", "http", "127.0.0.1", "8000"]


def test_port_scheme_and_address_are_the_servers_own() -> None:
    """A server that listens on one address does not listen on the loopback."""
    given = Arguments(port=8443, scheme="HTTPS", host="fd00::7")
    assert settings(given) == ["120", "5", "https", "fd00::7", "8443"]
    assert settings(replace(given, host="[fd00::7]"))[3] == "fd00::7"


@pytest.mark.parametrize("host", ["$(POD_IP)", "$POD_IP", "${POD_IP}"])
def test_an_address_from_the_environment_is_expanded_by_the_hook(host: str) -> None:
    """Kubelet expands variables in a container's command, and not in a hook's."""
    assert drain_hook.knows(server(Arguments(host=host)))
    command = drain_hook.command(server(Arguments(host=host)), 120, 5)
    assert command[2].splitlines()[0] == 'set -- "$1" "$2" "$3" "${POD_IP:-127.0.0.1}" "$5" "$6"'


@pytest.mark.parametrize(
    "arguments", [Arguments(port=None), Arguments(host="$(hostname -i)"), Arguments(host="a$b")]
)
def test_an_unknown_place_is_refused(arguments: Arguments) -> None:
    """A hook that asks the wrong place would take a busy server for one that has gone."""
    assert not drain_hook.knows(server(arguments))
    with pytest.raises(ValueError, match="where container vllm listens is not known"):
        settings(arguments)


def test_every_local_rank_with_a_port_of_its_own_is_asked() -> None:
    """The supervisor of such ranks has no /metrics."""
    flags = {"data-parallel-multi-port-external-lb": ""}
    assert settings(Arguments(flags=flags, data_parallel_local=3))[4] == "8000 8001 8002"
    assert settings(Arguments(data_parallel=3, data_parallel_local=3))[4] == "8000"


def test_what_runs_is_what_was_read() -> None:
    """Only comments and docstrings are left out of what a pod carries."""
    carried = drain_hook.command(server(Arguments()), 120, 5)[-1]
    assert ast.dump(ast.parse(carried)) == ast.dump(_without_docstrings(ast.parse(PYTHON)))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """Return a module as an interpreter sees it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(
            node
        ):
            del node.body[0]
    return tree


def test_the_carried_python_is_as_old_as_the_oldest_images() -> None:
    """Images of vLLM 0.6 carry Python 3.8 to 3.12."""
    ast.parse(PYTHON, feature_version=(3, 8))


def test_the_command_is_small() -> None:
    """It stands in every pod, and people read it there."""
    command = drain_hook.command(server(Arguments()), 120, 5)
    assert sum(map(len, command)) < 7_000
    assert all(word.isascii() and word.isprintable() for word in " ".join(command).splitlines())
