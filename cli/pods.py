"""The command `tunegate pods`: which vLLM pods were injected, which were missed, and how fast."""

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cli import live
from cli.errors import CliError, ClusterError, InputError
from cli.explain import policy_of
from cli.follow import Listing, Query, follow
from cli.nodes import FINE, NOT_FINE, say, takes_colours

if TYPE_CHECKING:
    from cli.pod_rows import PodRow
    from cli.pods_live import Pods, PodSource
    from common.api import Api
    from common.api_types import Json
    from webhook.decisions import Mutation
    from webhook.policy import Namespace, Policy

WIDTH = 100
_RUNNING = "status.phase!=Succeeded,status.phase!=Failed"

SUMMARY = "every vLLM pod: injected or missed, why, how long until Ready"
DESCRIPTION = """\
Shows what became of each vLLM pod that runs or wants to: what the webhook
injected by the pod's own record, or that the webhook was not there when the pod
was created and what it runs without, and how long it took from scheduled to
Ready. What has to be done about a pod stands below the table."""

EPILOG = """\
columns:
  STATE     injected; complete (no record, and nothing would be added); missed
            (created while no webhook answered, or before there was one);
            failed-safe (in doubt, left as it was); with --all also left-alone
  INJECTED  the features that the record says were injected
  READY     from scheduled to Ready; "not for 3m10s" while it is not Ready
  WHY       what a missed pod runs without; why a pod was left as it was

examples:
  tunegate pods
  tunegate pods -n ml -l app=llama
  # drawn again as it changes; Ctrl-C ends it
  tunegate pods --watch
  # what was missed, as commands
  tunegate pods -o json | jq -r '.pods[] | select(.isFine | not) | .cure'
  # for scripts: go on only when every vLLM pod was injected
  tunegate pods --check -n ml && ./load-test

exit codes:
  0 listed; a watch ended by Ctrl-C
  1 the cluster refused or does not answer, a named pod does not exist, or
    --check found a pod that was missed or left as it was, or no vLLM pod at all
  2 bad input
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="only these pods (llama-0 or pod/llama-0)")
    add("-n", "--namespace", default="", help="only this namespace (default: all of them)")
    add("-l", "--selector", default="", help="only pods with these labels, as for kubectl")
    add("-o", "--output", choices=("wide", "json"), default="", help="nothing cut, or JSON")
    add("--all", action="store_true", help="also pods that the webhook leaves alone, and why")
    add(
        "--check",
        action="store_true",
        help="exit with 1 unless there are vLLM pods and none was missed or failed safe",
    )
    add("-w", "--watch", action="store_true", help="go on showing what changes")
    add("--policy", metavar="FILE", help="the webhook's policy (default: the defaults)")
    add("--context", metavar="NAME", help="the kubeconfig's context to use")
    add("--kubeconfig", metavar="FILE", help="the kubeconfig to use (default: as for kubectl)")


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code; raises CliError."""
    from cli.cluster import connect, worded  # noqa: PLC0415 - a quarter of a second for --help
    from cli.pods_live import Pods, PodSource  # noqa: PLC0415 - as above
    from common.api_types import ApiError  # noqa: PLC0415 - as above

    errors: list[str] = []
    if options.watch and options.check:
        errors.append("--check looks once, --watch for ever: give one of them")
    policy = policy_of(options.policy, errors)
    if errors:
        raise InputError("\n  ".join(errors))
    api = connect(options.kubeconfig, options.context)
    try:
        now_seconds, namespaces = _namespaces(api, options.namespace)
        row_of = _row_of(_judge(policy, namespaces), options)
        source = PodSource(api, _path(options), _query(options), row_of, now_seconds)
        pods, listing = Pods(), source.list_nodes(Query())
        pods.take(listing)
        if options.watch:
            _watch(source, listing, pods, options)
    except ApiError as error:
        raise worded(api.host, error) from error
    finally:
        api.close()
    _print(pods.rows(), now_seconds, options)
    return _verdict(pods.rows(), options)


def _watch(
    source: "PodSource", listing: Listing, pods: "Pods", options: argparse.Namespace
) -> None:
    """Go on showing what changes; KeyboardInterrupt ends it."""
    from cli.pods_live import Lines, Screen  # noqa: PLC0415 - as above

    ahead_seconds = listing.now_seconds - time.time()

    def clock() -> float:
        return time.time() + ahead_seconds

    output: Lines | Screen = Lines(say, _complain, clock, is_json=options.output == "json")
    if sys.stdout.isatty() and options.output != "json":
        say("\x1b[2J")
        output = Screen(say, _size, clock, is_coloured=takes_colours())
    news = follow(source, Query(), listing)
    live.run(news, pods.take, lambda: output.show(pods.rows(), pods.trouble))


def _namespaces(api: "Api", only: str) -> "tuple[float, dict[str, Namespace]]":
    """Return the server's clock, and what namespaces say; raises ApiError, ClusterError."""
    from common.api_types import NotFoundError  # noqa: PLC0415 - as above
    from webhook.marks import marks  # noqa: PLC0415 - as above

    try:
        answer = api.ask("GET", f"/api/v1/namespaces{f'/{only}' if only else ''}")
    except NotFoundError as error:
        raise ClusterError(f"no such namespace: {only}") from error
    raw = [answer.body] if only else answer.body.get("items") or ()
    return answer.now_seconds, {one.name: one for one in map(marks, raw)}


def _path(options: argparse.Namespace) -> str:
    place = f"/namespaces/{options.namespace}" if options.namespace else ""
    return f"/api/v1{place}/pods"


def _query(options: argparse.Namespace) -> dict[str, str]:
    query = {"fieldSelector": _RUNNING}
    if options.selector:
        query["labelSelector"] = options.selector
    return query


def _judge(policy: "Policy", namespaces: "dict[str, Namespace]") -> "Callable[[Json], Mutation]":
    from webhook.mutate import mutate  # noqa: PLC0415 - as above
    from webhook.pods import metadata, text  # noqa: PLC0415 - as above
    from webhook.policy import Namespace  # noqa: PLC0415 - as above

    def judge(pod: "Json") -> "Mutation":
        name = text(metadata(pod).get("namespace"))
        return mutate(pod, policy, namespaces.get(name) or Namespace(name))

    return judge


def _row_of(
    judge: "Callable[[Json], Mutation]", options: argparse.Namespace
) -> "Callable[[Json], PodRow | None]":
    """Return what makes a pod a row, or None of one that is not to be shown."""
    from cli.pod_rows import PodRow  # noqa: PLC0415 - as above
    from webhook.auditor import AUDITED, audit  # noqa: PLC0415 - as above
    from webhook.owners import guessed  # noqa: PLC0415 - as above

    only = {name.removeprefix("pod/") for name in options.names}

    def row_of(pod: "Json") -> "PodRow | None":
        found = audit(pod, judge)
        if found is None or (only and found.name not in only):
            return None
        is_shown = found.state in AUDITED or options.all or only
        return PodRow(found, guessed(pod, found.owner)) if is_shown else None

    return row_of


def _print(rows: "list[PodRow]", now_seconds: float, options: argparse.Namespace) -> None:
    from cli.pod_rows import rows_json, text  # noqa: PLC0415 - as above

    if options.output == "json":
        say(f"{rows_json(rows, now_seconds)}\n")
        return
    is_cut = sys.stdout.isatty() and options.output != "wide"
    width = _size()[0] if is_cut else None
    lines = text(rows, now_seconds, width, is_coloured=takes_colours())
    say("".join(f"{line}\n" for line in lines))


def _verdict(rows: "list[PodRow]", options: argparse.Namespace) -> int:
    from webhook.auditor import AUDITED  # noqa: PLC0415 - as above

    found = {row.audited.name for row in rows}
    absent = [name for name in options.names if name.removeprefix("pod/") not in found]
    if absent:
        raise CliError(f"no such pod, or none that vLLM runs in: {', '.join(absent)}")
    is_fine = all(row.is_fine for row in rows)
    is_any = any(row.audited.state in AUDITED for row in rows)
    return FINE if not options.check or (is_fine and is_any) else NOT_FINE


def _size() -> tuple[int, int]:
    return shutil.get_terminal_size((WIDTH, 24))


def _complain(text: str) -> None:
    sys.stderr.write(f"tunegate pods: {text}\n")
    sys.stderr.flush()
