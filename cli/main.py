"""
`tunegate`, also found by kubectl as `kubectl tunegate`: the commands and their exit codes.

0: done. 1: the cluster refused, or something is not as it should be. 2: bad input.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from cli import nodes
from cli.errors import CliError
from common.telemetry import VERSION

FAILED, BAD_INPUT = 1, 2

_DESCRIPTION = """\
Looks after a fleet of nodes that tunegate tunes, from wherever a kubeconfig is.
It reads the cluster with your own rights; on the nodes works tunegate-agent."""

_EPILOG = """\
examples:
  {program} nodes            which nodes are ready for vLLM, which not, why
  {program} nodes --watch    the same, kept up to date
  {program} nodes --help     all about it

exit codes: 0 done; 1 the cluster refused, or --check found something;
2 bad input
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may not know every character
    program = program_name(sys.argv[0])
    parser = _parser(program)
    options = parser.parse_args(arguments)
    if options.watch and options.check:
        parser.error("--check looks once, --watch for ever: give one of them")
    try:
        return nodes.run(options)
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
        return 0 if options.watch else FAILED


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
    command = commands.add_parser(
        "nodes",
        help="every node: outcome, MTU, since when, stale, gate, and why",
        description=nodes.DESCRIPTION,
        epilog=nodes.EPILOG.replace("  tunegate ", f"  {program} "),
        formatter_class=raw,
    )
    nodes.add_arguments(command)
    return parser


def _refuse(program: str, text: str, exit_code: int) -> int:
    print(f"{program}: {text}", file=sys.stderr)
    return exit_code
