"""The command `tunegate nodes`: ask once, judge, print; or go on watching."""

import argparse
import os
import shutil
import sys
from collections.abc import Iterable

from cli import live
from cli.document import fleet_json
from cli.errors import CliError, InputError
from cli.fleet import Choice, Fleet, fleet
from cli.follow import Query, follow
from cli.node import read_node
from cli.table import table
from cli.troubles import WIDTH, explanation, summary
from common import names

FINE, NOT_FINE = 0, 1

SUMMARY = "every node: outcome, MTU, since when, stale, gate, and why"
DESCRIPTION = """\
Shows what each node's agent says, how long it has said so, whether that can
still be believed, and whether the node's gate lets pods in. One request,
however many nodes there are.

By default the nodes that bear any sign of tunegate: a label, condition or
annotation of the agent, or a gate taint. Closed gates come first, the longest
wait on top."""

EPILOG = """\
columns:
  OUTCOME  tuned; degraded (safe, but below target); failed; pending (no verdict
           yet); observing (mode observe); off (mode off); unknown (no agent
           has said anything)
  MTU      smallest MTU of the node's storage links, bytes
  SINCE    how long the verdict has stood
  STALE    yes: the verdict is not about now, because the node has booted since,
           or its kubelet or its agent is silent
  GATE     open, or closed and for how long at least
  WHY      the agent's reason, and why the row is stale; in words below

examples:
  # the fleet, and what needs a person
  tunegate nodes
  # some nodes; all there is to say about one, on one line
  tunegate nodes -l nvidia.com/gpu.present=true
  tunegate nodes gpu-7 -o wide
  # drawn again as it changes; Ctrl-C ends it
  tunegate nodes --watch
  # for scripts: what is not fine; go on only when every GPU node is ready
  tunegate nodes -o json | jq -r '.nodes[] | select(.isFine | not) | .name'
  tunegate nodes --check -l pool=gpu && ./load-models

exit codes:
  0 listed
  1 the cluster refused or does not answer, a named node does not exist, or
    --check found a node that is not tuned, stale or closed, or no node at all
  2 bad input
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="only these nodes (gpu-7 or node/gpu-7)")
    add("-l", "--selector", default="", help="only nodes with these labels, as for kubectl")
    add("-o", "--output", choices=("wide", "json"), default="", help="more columns, or JSON")
    add("-w", "--watch", action="store_true", help="go on showing what changes")
    add("--all", action="store_true", help="also nodes without any sign of tunegate")
    add(
        "--check",
        action="store_true",
        help="exit with 1 unless there are nodes and each is tuned, not stale and open",
    )
    add(
        "--gate-taint",
        action="append",
        default=[],
        metavar="KEY",
        help="a taint key that also counts as the gate, where the agent has gate.taints set",
    )
    add("--context", metavar="NAME", help="the kubeconfig's context to use")
    add("--kubeconfig", metavar="FILE", help="the kubeconfig to use (default: as for kubectl)")


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code; raises CliError."""
    if options.watch and options.check:
        raise InputError("--check looks once, --watch for ever: give one of them")
    from cli.cluster import Cluster  # noqa: PLC0415 - a quarter of a second that --help can spare

    only = tuple(dict.fromkeys(name.removeprefix("node/") for name in options.names))
    query = Query(options.selector, only[0] if len(only) == 1 else "")
    choice = Choice(only, options.all)
    gate_keys = (*names.GATE_TAINTS, *options.gate_taint)
    cluster = Cluster(options.kubeconfig, options.context)
    try:
        listing = cluster.list_nodes(query)
        if options.watch:
            view = live.View(gate_keys)
            view.take(listing)
            output = _output(options)
            news = follow(cluster, query, listing)
            live.run(news, view.take, lambda: output.show(view.fleet(choice), view.trouble))
        nodes = (read_node(raw, gate_keys) for raw in listing.nodes)
        shown = fleet(nodes, choice, listing.now_seconds)
    finally:
        cluster.close()
    _print(shown, options)
    return _verdict(shown, only, is_check=options.check)


def _print(shown: Fleet, options: argparse.Namespace) -> None:
    if options.output == "json":
        lines: Iterable[str] = (fleet_json(shown),)
    else:
        lines = _text(shown, is_wide=options.output == "wide")
    say("".join(f"{line}\n" for line in lines))


def _text(shown: Fleet, *, is_wide: bool) -> list[str]:
    is_coloured = takes_colours()
    columns = _size()[0] if sys.stdout.isatty() else None
    words_width = columns or WIDTH
    lines: list[str] = []
    if shown.rows:
        lines += table(shown, is_wide=is_wide, width=columns, is_coloured=is_coloured)
        if not is_wide:
            lines += explanation(shown, width=words_width, is_coloured=is_coloured)
        lines.append("")
    return [*lines, *summary(shown, words_width)]


def _verdict(shown: Fleet, only: tuple[str, ...], *, is_check: bool) -> int:
    found = {row.node.name for row in shown.rows}
    absent = [name for name in only if name not in found]
    if absent:
        raise CliError(f"no such node: {', '.join(absent)}")
    is_fine = bool(shown.rows) and all(row.is_fine for row in shown.rows)
    return FINE if is_fine or not is_check else NOT_FINE


def _output(options: argparse.Namespace) -> live.Output:
    is_wide = options.output == "wide"
    if sys.stdout.isatty() and options.output != "json":
        say("\x1b[2J")
        return live.Screen(say, _size, is_wide, takes_colours())
    return live.Lines(say, _complain, is_wide=is_wide, is_json=options.output == "json")


def say(text: str) -> None:
    """Write to standard output at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def _complain(text: str) -> None:
    sys.stderr.write(f"tunegate nodes: {text}\n")
    sys.stderr.flush()


def _size() -> tuple[int, int]:
    return shutil.get_terminal_size((WIDTH, 24))


def takes_colours() -> bool:
    """Return whether standard output takes colours."""
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not is_plain
