"""
The preStop command that lets a vLLM server finish its requests before SIGTERM aborts them.

drain.sh and drain.py are what runs in the pod; here they are only read, stripped of comments and
put into one exec command. The pod's image needs nothing but sh; python3 or curl make it a drain.
"""

import re
from importlib import resources
from typing import Final

from webhook.recognition import Server

NAME: Final = "tunegate-drain"
"""What `ps` shows as the command's own name."""

LOOPBACK: Final = "127.0.0.1"
MAX_PORT: Final = 65_535
MAX_RANKS: Final = 64
"""More than a node has accelerators; each is asked in its turn."""

_VARIABLE: Final = re.compile(r"\$(?:\(([A-Za-z_]\w*)\)|\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
_STEP: Final = {"drain.sh": 2, "drain.py": 4}
_INDENT: Final = re.compile(r"^ +", re.MULTILINE)
_DOCSTRING: Final = re.compile(r'^ *"""(?:[^"]|"(?!""))*"""\n', re.MULTILINE)
_COMMENT: Final = re.compile(r"^ *#.*\n|\n(?=\n)", re.MULTILINE)


def _script(name: str) -> str:
    """Return a script without comments and docstrings, indented by single spaces."""
    text = resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
    text = _COMMENT.sub("", _DOCSTRING.sub("", text))
    return _INDENT.sub(lambda found: " " * (len(found[0]) // _STEP[name]), text).strip()


_SHELL: Final = _script("drain.sh")
_PYTHON: Final = _script("drain.py")


def knows(server: Server) -> bool:
    """Return whether it can be known where the server listens, in the pod at the latest."""
    said = server.arguments
    if said.port is None or not 0 < _ranks(server) <= min(MAX_RANKS, MAX_PORT + 1 - said.port):
        return False
    return "$" not in said.host or bool(_VARIABLE.fullmatch(said.host))


def command(server: Server, timeout_seconds: int, propagation_seconds: int) -> list[str]:
    """
    Return the exec command of the preStop hook for one server.

    Args:
        server: where it serves; its host may name an environment variable of the container.
        timeout_seconds: the hook's own deadline; must lie below the pod's grace period.
        propagation_seconds: no sample counts before; endpoints still send requests until then.

    Raises:
        ValueError: where the server listens is not known; `knows` tells before.

    """
    arguments = server.arguments
    if arguments.port is None or not knows(server):
        raise ValueError(f"where container {server.container} listens is not known")
    ports = " ".join(str(arguments.port + rank) for rank in range(_ranks(server)))
    settings = [str(timeout_seconds), str(propagation_seconds), arguments.scheme.lower()]
    host = arguments.host.strip("[]") or LOOPBACK
    variable = _VARIABLE.fullmatch(host)
    if variable is None:
        return ["sh", "-c", _SHELL, NAME, *settings, host, ports, _PYTHON]
    # kubelet expands variables in a container's command, not in a hook's
    name = variable[variable.lastindex or 1]
    given = f'set -- "$1" "$2" "$3" "${{{name}:-{LOOPBACK}}}" "$5" "$6"'
    return ["sh", "-c", f"{given}\n{_SHELL}", NAME, *settings, LOOPBACK, ports, _PYTHON]


def _ranks(server: Server) -> int:
    """Return how many ports are served: one for each local rank, on the port and those after it."""
    is_one_each = "data-parallel-multi-port-external-lb" in server.arguments.flags
    return server.arguments.data_parallel_local if is_one_each else 1
