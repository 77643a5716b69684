"""The command `tunegate selftest`: whether an installation works, from a pod inside its cluster."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from cli.fleet import Outcome, Row, judge
from cli.node import read_node
from cli.nodes import FINE, NOT_FINE, say
from cli.trial import TrialError, ask, caller
from common import names

if TYPE_CHECKING:
    from common.api import Api
    from common.api_types import Json

SUMMARY = "whether the webhook answers and agents have judged their nodes"
DESCRIPTION = """\
For `helm test`, in a pod of the cluster. Has the webhook review a made-up vLLM
pod as the API server does (by the Service's address, against the caBundle of
the live configuration), and compares what stands on the nodes with the agents
that run there. It creates and changes nothing."""

EPILOG = """\
It waits for what is still starting, at most --wait-seconds. A degraded node is
told, and is no failure: it is safe, and says itself what is below target.

examples:
  helm test tunegate -n tunegate
  tunegate selftest -n tunegate --name tunegate

exit codes:
  0 what is installed works
  1 something does not, or the cluster refused or does not answer
  2 bad input
"""

_ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
_POLL_SECONDS: Final = 2.0
_UNSETTLED: Final = (Outcome.UNKNOWN, Outcome.PENDING, Outcome.FAILED)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    add("-n", "--namespace", default="tunegate", help="where it is installed")
    add("--name", default="tunegate", help="the beginning of its objects' names")
    add("--wait-seconds", type=float, default=120.0, metavar="N", help="wait at most so long")
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
    from cli.cluster import connect, worded  # noqa: PLC0415 - a quarter of a second for --help
    from common.api_types import ApiError  # noqa: PLC0415 - as above

    api = connect(options.kubeconfig, options.context)
    looks = (lambda: webhook(api, options), lambda: nodes(api, options))
    try:
        deadline = time.monotonic() + options.wait_seconds
        results = [_settled(look, deadline) for look in looks]
    except ApiError as error:
        raise worded(api.host, error) from error
    finally:
        api.close()
    for lines, _problems in results:
        say("".join(f"{line}\n" for line in lines))
    problems = [problem for _lines, found in results for problem in found]
    sys.stderr.writelines(f"tunegate selftest: {one}\n" for one in problems)
    return NOT_FINE if problems else FINE


Result = tuple[list[str], list[str]]
"""What is well, a line each; what is not, a sentence each."""


def _settled(look: Callable[[], Result], deadline: float) -> Result:
    """Look until nothing is wrong, or the time is over."""
    while True:
        found = look()
        if not found[1] or time.monotonic() >= deadline:
            return found
        time.sleep(_POLL_SECONDS)


def webhook(api: "Api", options: argparse.Namespace) -> Result:
    """Have the webhook review a pod, where it is asked for pods at all; raises ApiError."""
    from common.api_types import NotFoundError  # noqa: PLC0415 - only the run needs it

    name = f"{options.name}-webhook"
    try:
        configuration = api.request("GET", f"{_ADMISSION}/{name}")
    except NotFoundError:
        return [f"webhook: no configuration {name}, so it is not asked for pods"], []
    service = api.request("GET", f"/api/v1/namespaces/{options.namespace}/services/{name}")
    try:
        hook = (configuration.get("webhooks") or [{}])[0]
        injected = ask(caller(hook, str(service["spec"]["clusterIP"])))
    except TrialError as error:
        return [], [f"webhook: {error}"]
    return [f"webhook: a vLLM pod gets {injected}"], []


def nodes(api: "Api", options: argparse.Namespace) -> Result:
    """Compare the nodes with the agents that run there; raises ApiError."""
    from common.api_types import NotFoundError  # noqa: PLC0415 - only the run needs it

    name = f"{options.name}-agent"
    path = f"/apis/apps/v1/namespaces/{options.namespace}/daemonsets/{name}"
    try:
        daemon_set = api.request("GET", path)
    except NotFoundError:
        return [f"nodes: no DaemonSet {name}, so no node is tuned"], []
    answer = api.ask("GET", "/api/v1/nodes", query={"resourceVersion": "0"})
    agents = api.request(
        "GET",
        f"/api/v1/namespaces/{options.namespace}/pods",
        query={"labelSelector": _selector(daemon_set)},
    )
    on = {str((one.get("spec") or {}).get("nodeName", "")) for one in agents.get("items") or ()}
    keys = (*names.GATE_TAINTS, *options.gate_taint)
    every = (read_node(raw, keys) for raw in answer.body.get("items") or ())
    rows = [judge(node, answer.now_seconds) for node in every if node.name in on]
    return compared(daemon_set.get("status") or {}, rows)


def compared(status: "Json", rows: Iterable[Row]) -> Result:
    """Return what is to be said of the nodes with an agent, the DaemonSet's status given."""
    wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
    lines, problems = [f"nodes: {ready} of {wanted} agents are ready"], []
    if not wanted:
        lines.append("nodes: none has a label of agent.gpuLabels or fits the selector, so far")
    if ready < wanted:
        problems.append(f"nodes: {wanted - ready} of {wanted} agents are not ready")
    for row in rows:
        gate = "open" if row.is_open else "closed"
        line = f"nodes: {row.node.name} is {row.outcome}, gate {gate} ({row.reason})"
        signs = ", ".join(one.sign for one in row.stale)
        if row.outcome in _UNSETTLED:
            problems.append(f"{line}: {row.message}")
        elif signs:
            problems.append(f"{line}, and that is not about now: {signs}")
        else:
            lines.append(line)
    return lines, problems


def _selector(daemon_set: "Json") -> str:
    labels = daemon_set["spec"]["selector"]["matchLabels"]
    return ",".join(f"{key}={value}" for key, value in labels.items())
