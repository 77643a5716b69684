"""The command `tunegate uninstall`: take everything of an installation away, and say what stays."""

import argparse
import re
import sys
import time

from cli.errors import InputError, SilentError
from cli.nodes import FINE, NOT_FINE, say
from cli.removal import Aim, as_json, text
from common import names

TIMEOUT_SECONDS = 240
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_DURATION = re.compile(r"([0-9]{1,6})(s|m|h)?")
_UNITS = {None: 1, "s": 1, "m": 60, "h": 3600}

SUMMARY = "take tunegate's marks off every node, and stop agents and webhook"
DESCRIPTION = """\
Removes what an installation left in the cluster: first it stops the agents and
the webhook, then it takes gate taints, labels, condition and annotation off
every node, and deletes what agents and webhook made themselves. The chart runs
it before `helm uninstall`; by hand it is for what that could not do. May be run
again at any time: it does what is left."""

EPILOG = """\
What helm installed besides (accounts, roles, services) goes by helm:
  helm uninstall RELEASE -n NAMESPACE --no-hooks

examples:
  # what would go
  tunegate uninstall --dry-run
  # all of it, and the hosts' first MTU, sysctls and read-ahead as well
  tunegate uninstall --namespace tunegate --release tunegate --revert-hosts
  # for scripts
  tunegate uninstall -o json | jq '.left'

exit codes:
  0 nothing is left
  1 something is left: what, why and the commands that remove it are printed;
    or the cluster refused
  2 bad input
  3 the cluster does not answer; nothing was done
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    add("-n", "--namespace", default="tunegate", help="where it is installed (default: tunegate)")
    add("--release", default="tunegate", help="the helm release's name (default: tunegate)")
    add(
        "--revert-hosts",
        action="store_true",
        help="first have every agent put its host's first values back",
    )
    add("--dry-run", action="store_true", help="say what would be done, and change nothing")
    add("-o", "--output", choices=("text", "json"), default="text", help="text or JSON")
    add(
        "--timeout",
        type=_seconds,
        default=TIMEOUT_SECONDS,
        metavar="TIME",
        help="give up after this long: 90s, 5m (default: 4m)",
    )
    add(
        "--gate-taint",
        action="append",
        default=[],
        metavar="KEY",
        help="a taint key that also counts as the gate, where the agent has gate.taints set",
    )
    add(
        "--secret",
        default="",
        metavar="NAME",
        help="only this Secret of the webhook (default: by label)",
    )
    add("--config-map", default="", metavar="NAME", help="only this list of storage servers")
    add("--context", metavar="NAME", help="the kubeconfig's context to use")
    add("--kubeconfig", metavar="FILE", help="the kubeconfig to use (default: as for kubectl)")


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code; raises CliError."""
    aim = _aim(options)
    from cli.asking import Asker, Clock, may_pass  # noqa: PLC0415 - a quarter of a second for --help
    from cli.cluster import connect, worded  # noqa: PLC0415 - as above
    from cli.removing import Removal  # noqa: PLC0415 - as above
    from common.api_types import ApiError  # noqa: PLC0415 - as above

    api = connect(options.kubeconfig, options.context)
    try:
        asker = Asker(api, time.monotonic() + options.timeout, Clock(), is_dry_run=aim.is_dry_run)
        try:
            asker.ask("GET", "/version")
        except ApiError as error:
            said = worded(api.host, error)
            raise (SilentError(str(said)) if may_pass(error) else said) from error
        done = Removal(asker, aim, options.timeout, _Progress()).run()
    finally:
        api.close()
    say(f"{as_json(aim, done)}\n" if options.output == "json" else _lines(text(aim, done)))
    return NOT_FINE if done.left else FINE


def _aim(options: argparse.Namespace) -> Aim:
    wrong = [
        f"--{word}: {name!r} is no name in Kubernetes"
        for word in ("namespace", "release", "secret", "config-map")
        if (name := getattr(options, word.replace("-", "_"))) and not _NAME.fullmatch(name)
    ]
    wrong += [
        f"--{word}: must not be empty"
        for word in ("namespace", "release")
        if not getattr(options, word)
    ]
    if wrong:
        raise InputError("\n  ".join(wrong))
    return Aim(
        namespace=options.namespace,
        release=options.release,
        gate_keys=(*names.GATE_TAINTS, *options.gate_taint),
        is_revert=options.revert_hosts,
        is_dry_run=options.dry_run,
        secret=options.secret,
        config_map=options.config_map,
    )


def _seconds(text_: str) -> int:
    found = _DURATION.fullmatch(text_)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text_!r} is no time: say 90s or 5m")
    return int(found[1]) * _UNITS[found[2]]


class _Progress:
    """Say each new line on standard error."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, line: str) -> None:
        if line != self._last:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
        self._last = line


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
