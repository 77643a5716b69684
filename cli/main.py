"""
`tunegate`, also found by kubectl as `kubectl tunegate`: the commands and their exit codes.

0: done. 1: the cluster refused, or something is not as it should be. 2: bad input.
3: `uninstall` had no answer from the cluster.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from cli import explain, nodes, pods, selftest, uninstall
from cli.doctor import command as doctor
from cli.errors import CliError
from common.telemetry import VERSION

FAILED, BAD_INPUT = 1, 2

_DESCRIPTION = """\
Looks after vLLM on GPU nodes that tunegate tunes, from where a kubeconfig is.
It works with your own rights, and all but uninstall only read. On the nodes
works tunegate-agent, beside the API server tunegate-webhook."""

_EPILOG = """\
examples:
  {program} nodes              which nodes are ready for vLLM, which not, why
  {program} nodes --watch      the same, kept up to date
  {program} pods               which vLLM pods were injected, which missed
  {program} explain -f FILE    what the webhook makes of a manifest, and why
  {program} doctor --cluster   what keeps gates, pools, autoscalers from working
  {program} uninstall          takes its marks off all nodes, and stops it
  {program} explain --help     all about it

exit codes: 0 done; 1 the cluster refused, or --check or the doctor found
something; 2 bad input
"""


class Command(Protocol):
    """What the module of a command has."""

    SUMMARY: str
    DESCRIPTION: str
    EPILOG: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's options."""

    def run(self, options: argparse.Namespace) -> int:
        """Run the command and return its exit code; raises CliError."""


COMMANDS: dict[str, Command] = {
    "nodes": nodes,
    "pods": pods,
    "explain": explain,
    "doctor": doctor,
    "selftest": selftest,
    "uninstall": uninstall,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may not know every character
    program = program_name(sys.argv[0])
    options = _parser(program).parse_args(arguments)
    try:
        return COMMANDS[options.command].run(options)
    except CliError as error:
        return _refuse(f"{program} {options.command}", str(error), error.exit_code)
    except ModuleNotFoundError as error:
        text = f"needs the Python package {error.name}: pip install 'tunegate[cli]'"
        return _refuse(program, text, BAD_INPUT)
    except OSError as error:
        with suppress(OSError):
            sys.stdout.close()  # or the interpreter would try once more at its end
        if isinstance(error, BrokenPipeError):
            return FAILED  # whoever read the output has gone
        return _refuse(program, f"cannot print: {error.strerror}", FAILED)
    except KeyboardInterrupt:
        return 0 if getattr(options, "watch", False) else FAILED


def program_name(invoked: str) -> str:
    """Return how the person called it: kubectl finds a plug-in by its file name."""
    is_plugin = os.path.basename(invoked).startswith("kubectl-")  # noqa: PTH119 - a name, not a path
    return "kubectl tunegate" if is_plugin else "tunegate"


def _parser(program: str) -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog=program,
        description=_DESCRIPTION,
        epilog=_EPILOG.format(program=program),
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"tunegate {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.DESCRIPTION,
            epilog=module.EPILOG.replace(f"tunegate {name}", f"{program} {name}"),
            formatter_class=raw,
        )
        module.add_arguments(command)
    return parser


def _refuse(program: str, text: str, exit_code: int) -> int:
    print(f"{program}: {text}", file=sys.stderr)
    return exit_code
