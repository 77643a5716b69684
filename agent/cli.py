"""
The commands of ``tunegate-agent`` and their exit codes.

0: fine. 1: not fine (something to change, unsafe, could not apply). 2: bad input; nothing was
touched.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from agent.commands.terminal import BAD_INPUT, NOT_FINE
from agent.config import AgentConfig, load, with_endpoints
from agent.ports import AgentError
from agent.readers import endpoint
from agent.schema import SETTINGS
from common.parse import ConfigError
from common.telemetry import VERSION

_HELP_WIDTH = 78

_DESCRIPTION = """\
Makes this node's storage network fit for loading models over NFS, proves it, and (as a DaemonSet)
opens the node's gate. plan, apply, verify and revert need no Kubernetes.
"""

_EPILOG = """\
examples:
  tunegate-agent plan --endpoint nfs.example.com     what would change, and why
  tunegate-agent apply --endpoint 10.0.0.5           change it, prove the path, fall back if unsafe
  tunegate-agent verify --config agent.yaml          0: as wanted and proven; 1: not
  tunegate-agent revert                              the very first values again
  tunegate-agent doctor                              what is wrong here, and what to do

exit codes: 0 fine; 1 not fine (drift, unsafe, could not apply); 2 bad input, nothing touched
"""

_COMMANDS = {
    "plan": (
        "show what would change and why; write nothing",
        """\
Prints each target with its value now, the value wanted and why, and what is left alone.
Exit code 1 when there is something to change.""",
    ),
    "apply": (
        "change it, prove it, fall back where it is not safe",
        """\
Writes first values to the journal, then each change, reads back, and sends full-size packets
to each storage server. A path that loses them gets its MTU back.""",
    ),
    "verify": (
        "hold the host against what is wanted and prove the paths",
        """\
Writes nothing. Exit code 0 only when nothing is to change and every check passed.""",
    ),
    "revert": (
        "put the very first values back",
        """\
Puts back every value that apply or run changed since boot, where theirs still stands; what
somebody else wrote since is left alone and named.""",
    ),
    "uninstall": (
        "revert this host and leave nothing on its Node",
        """\
Does what revert does; then takes gate taints, labels, condition and annotation off the Node where
node.name (TUNEGATE_NODE_NAME) and the API server's credentials are set as for run. Waits a minute
for an agent that is ending. With --stay it then waits for SIGTERM, for use as a DaemonSet.""",
    ),
    "doctor": (
        "say what is good here, what is not, and what to type next",
        """\
Reads the host, and the Node where there are credentials: rights, kernel, drivers, links, cloud,
paths, other programs that write the same values, the journal. Writes nothing. To prove the
paths it sends full-size packets to each storage server (--no-probes: none). Exit code 1
when something is a problem.""",
    ),
    "bench": (
        "measure how fast a file on NFS is read here, before and after",
        """\
Reads parts of one file in three ways (read, mmap, O_DIRECT), past the page cache as far as
the kernel lets, and says median and spread, what was in force, and what cannot be known. Reads
only, never more than --bytes in a run and --seconds in all; not beside pods that use the
server, unless --force. --apply measures, does what apply does, and measures again.""",
    ),
    "run": (
        "the DaemonSet's process: tune, prove, open the gate, watch for ever",
        """\
Needs the API server (in a pod: its ServiceAccount; else TUNEGATE_API_SERVER,
TUNEGATE_TOKEN_FILE, TUNEGATE_CA_FILE) and the node's name (node.name or TUNEGATE_NODE_NAME).
SIGTERM ends it and changes nothing on the host; SIGHUP reads the configuration again and tries
the full size again.""",
    ),
}

_READ_ONLY = ("plan", "verify", "doctor")
_ONE_PASS = ("plan", "apply", "verify", "doctor", "bench")
"""The commands that ask for a profile."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser(given[0] if given else "").parse_args(given)
    try:
        config = _config(options, os.environ)
        return _command(options.command)(config, options, os.environ)
    except ConfigError as error:
        return _refuse("the configuration cannot be used; nothing was touched", error.errors)
    except AgentError as error:
        print(f"tunegate-agent {options.command}: {error}", file=sys.stderr)
        return NOT_FINE
    except BrokenPipeError:
        return NOT_FINE  # whoever read the output has gone; nothing is left to say
    except (OSError, MemoryError) as error:
        return _break_off(options.command, f"broke off: {str(error) or 'out of memory'}")
    except KeyboardInterrupt:
        return _break_off(options.command, "interrupted")


def _break_off(command: str, how: str) -> int:
    """Say how a command ended before its work did, and what that leaves."""
    undo = "'tunegate-agent revert' puts first values back"
    if command in _READ_ONLY:
        undo = "nothing was written"
    print(f"tunegate-agent {command}: {how}; {undo}", file=sys.stderr)
    return NOT_FINE


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help of one width: to ask the terminal for its own, each start would import shutil."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_HELP_WIDTH)
        # argparse forgets that commands are indented, and would break the line after a long one
        self._action_max_length = max(map(len, _COMMANDS)) + 4


def _parser(first: str) -> argparse.ArgumentParser:
    """Return a parser of all commands, or of the one named: ``run`` pays for no other."""
    parser = argparse.ArgumentParser(
        prog="tunegate-agent", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=_Help
    )
    parser.add_argument("--version", action="version", version=f"tunegate-agent {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    settings = _settings_text()
    for name in (first,) if first in _COMMANDS else _COMMANDS:
        summary, description = _COMMANDS[name]
        command = commands.add_parser(
            name, help=summary, description=description, epilog=settings, formatter_class=_Help
        )
        _add_options(name, command)
    return parser


def _add_options(name: str, command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config", metavar="FILE", help="settings, YAML or JSON (also TUNEGATE_CONFIG)"
    )
    command.add_argument(
        "--endpoint",
        metavar="HOST[:PORT]",
        action="append",
        default=[],
        help="an NFS server to reach, beside the configured ones; may stand several times",
    )
    if name == "uninstall":
        command.add_argument("--stay", action="store_true", help="when done, wait for SIGTERM")
    if name in _ONE_PASS:
        command.add_argument(
            "--profile", metavar="NAME", help="use this profile, whatever the node is like"
        )
        command.add_argument(
            "--node-label",
            metavar="KEY=VALUE",
            action="append",
            default=[],
            help="a label of the node, to choose the profile by; may stand several times",
        )
        command.add_argument(
            "--provider-id",
            metavar="ID",
            help="the node's spec.providerID, which names its cloud (default: the firmware's word)",
        )
    if name != "run":
        command.add_argument(
            "--output", choices=("text", "json"), default="text", help="how to print"
        )
    if name == "doctor":
        from agent.commands.doctor import add_options  # noqa: PLC0415 - run does not need it

        add_options(command)
    if name == "bench":
        from agent.bench import asked  # noqa: PLC0415 - run does not need it

        asked.add_options(command)


def _settings_text() -> str:
    width = max(len(setting.path) for setting in SETTINGS)
    rows = [f"  {item.path:<{width}}  {item.doc}" for item in SETTINGS]
    head = (
        "settings (the variable TUNEGATE_PROBE_RETRY_SECONDS sets probe.retrySeconds, and so on):"
    )
    return "\n".join((head, *rows))


def _config(options: argparse.Namespace, environment: Mapping[str, str]) -> AgentConfig:
    config = load(_path(options, environment), environment)
    extra, errors = _endpoints(options)
    if options.command == "run" and not config.node_name:
        errors.append("node.name: is not set; set it, or TUNEGATE_NODE_NAME, to the node's name")
        errors += _missing_credentials(environment)
    if errors:
        raise ConfigError(tuple(errors))
    return with_endpoints(config, extra)


def _path(options: argparse.Namespace, environment: Mapping[str, str]) -> str | None:
    return options.config or environment.get("TUNEGATE_CONFIG") or None


def _endpoints(options: argparse.Namespace) -> tuple[list[tuple[str, int]], list[str]]:
    """Return the endpoints of the command line, and what is wrong with the others."""
    extra: list[tuple[str, int]] = []
    errors: list[str] = []
    for text in options.endpoint:
        try:
            extra.append(endpoint(text))
        except ValueError as error:
            errors.append(f"--endpoint: {error}")
    return extra, errors


def _missing_credentials(environment: Mapping[str, str]) -> Sequence[str]:
    from agent.cluster.credentials import from_environment  # noqa: PLC0415 - only run needs it
    from agent.cluster.errors import CredentialsError  # noqa: PLC0415 - only run needs it

    try:
        from_environment(environment)
    except CredentialsError as error:
        return str(error).split("; ")
    return ()


def _refuse(what: str, errors: Sequence[str]) -> int:
    print(f"tunegate-agent: {what}:", file=sys.stderr)
    for error in errors:
        print(f"  {error}", file=sys.stderr)
    return BAD_INPUT


def _run(config: AgentConfig, options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    from agent.cluster.errors import CredentialsError  # noqa: PLC0415 - only run talks to a cluster
    from agent.run import run  # noqa: PLC0415 - only run talks to a cluster
    from agent.source import (  # noqa: PLC0415 - only run reads its file again
        SettingsFile,
        can_be_read_again,
    )

    path = _path(options, environment)
    file = SettingsFile(path, environment, _endpoints(options)[0])
    try:
        return run(config, environment, file.read if can_be_read_again(path) else None)
    except CredentialsError as error:
        return _refuse("run needs the API server", str(error).split("; "))


_Command = Callable[[AgentConfig, argparse.Namespace, Mapping[str, str]], int]


def _command(name: str) -> _Command:
    """Return what does a command; ``run`` does not pay for what only people type."""
    if name == "run":
        return _run
    if name == "doctor":
        from agent.commands.doctor import doctor  # noqa: PLC0415 - people's commands print

        return doctor
    if name == "bench":
        from agent.commands.bench import bench  # noqa: PLC0415 - people's commands print

        return bench
    from agent.commands.tuning import COMMANDS  # noqa: PLC0415 - people's commands print

    return COMMANDS[name]
