"""The command `tunegate doctor`: read a cluster or files about one, judge, print."""

import argparse
import shutil
import sys
import time
from typing import TYPE_CHECKING, Final

from cli.errors import InputError
from cli.nodes import FINE, NOT_FINE, say, takes_colours

if TYPE_CHECKING:
    from cli.doctor.diagnose import Diagnosis
    from cli.doctor.facts import Facts, Pool
    from cli.doctor.read_cluster import Reading
    from cli.manifests import Document

WIDTH: Final = 80
_LISTED: Final = "List"
_A_YEAR_MINUTES: Final = 525_600

SUMMARY = "what keeps a cluster's gates, pools and autoscalers from working"
DESCRIPTION = """\
Looks at a cluster with your own rights, or at files about one, and says what
stands between it and tuned nodes: pools without a gate or with a key that
blocks the autoscaler, gates that are stuck, DaemonSets that wait behind the
gate, an agent or a webhook that is not ready. Each finding has a name, a reason
and the lines that cure it. It changes nothing."""

EPILOG = """\
what can be looked at, one of them or both:
  --cluster   Nodes, DaemonSets, Deployments, pods, webhook configurations,
              admission policies, Karpenter's NodePools and NodeClaims,
              NodeReadinessRules. What you may not read is named and left out.
  -f FILE     manifests, and definitions of node pools that no API server knows:
              eksctl's ClusterConfig, KubeletConfiguration, kubeadm's and
              nodeadm's configuration, what doctl, gcloud, az and aws print as
              JSON; Helm values of this chart (gate.taints) and of charts whose
              DaemonSets wait behind the gate

One host, from the inside (MTU, sysctls, mounts, paths), is for the agent's own
doctor: tunegate-agent doctor.

examples:
  tunegate doctor --cluster
  # pools of a managed cluster are not in Kubernetes: show them, too
  doctl kubernetes cluster node-pool list CLUSTER -o json |
    tunegate doctor --cluster -f -
  az aks nodepool list -g GROUP --cluster-name CLUSTER | tunegate doctor -f -
  # before anything is applied
  tunegate doctor -f nodepool.yaml
  helm template gpu-operator nvidia/gpu-operator | tunegate doctor -f -
  # for scripts: the names of the problems
  tunegate doctor --cluster -o json |
    jq -r '.findings[] | select(.severity == "problem") | .name'

exit codes:
  0 no problem
  1 problems, or the cluster refused or does not answer
  2 bad input
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    add("--cluster", action="store_true", help="look at the cluster of the kubeconfig")
    add(
        "-f",
        "--filename",
        action="append",
        default=[],
        metavar="FILE",
        help="a file, a folder of files, or - for standard input; may be repeated",
    )
    add("-R", "--recursive", action="store_true", help="also the folders inside a folder")
    add("-o", "--output", choices=("text", "json"), default="text", help="how to print")
    add(
        "--gate-taint",
        action="append",
        default=[],
        metavar="KEY",
        help="a taint key that also counts as the gate, where the agent has gate.taints set",
    )
    add(
        "--stuck-after",
        type=float,
        default=5.0,
        metavar="MINUTES",
        help="a gate that is closed for longer is stuck (default: 5)",
    )
    add("--context", metavar="NAME", help="the kubeconfig's context to use")
    add("--kubeconfig", metavar="FILE", help="the kubeconfig to use (default: as for kubectl)")


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code; raises CliError."""
    if not options.cluster and not options.filename:
        raise InputError(
            "what shall be looked at? --cluster: the cluster of your kubeconfig; -f FILE: "
            "manifests and definitions of node pools; both together see most. One host from the "
            "inside is for `tunegate-agent doctor`."
        )
    if not 0 < options.stuck_after < _A_YEAR_MINUTES:
        raise InputError("--stuck-after: must be more than 0 minutes and less than a year")
    from cli.doctor.diagnose import diagnose  # noqa: PLC0415 - what --help can spare

    documents = _documents(options)
    head, facts = _facts(options, documents)
    diagnosis = diagnose(facts)
    _print(diagnosis, facts, head, options)
    return NOT_FINE if diagnosis.problems else FINE


def _documents(options: argparse.Namespace) -> "list[Document]":
    from cli.explain import documents, told  # noqa: PLC0415 - as above

    errors: list[str] = []
    found = list(documents(options, errors)) if options.filename else []
    if errors:
        raise InputError(told(errors))
    return found


def _facts(options: argparse.Namespace, documents: "list[Document]") -> "tuple[str, Facts]":
    from cli.doctor.assemble import facts_of  # noqa: PLC0415 - as above
    from cli.doctor.of_values import gate_keys  # noqa: PLC0415 - as above
    from cli.doctor.read_cluster import Reading  # noqa: PLC0415 - as above

    host, reading = _cluster(options) if options.cluster else ("", Reading())
    pools = _take(documents, reading)
    keys = [key for one in documents for key in gate_keys(one.tree)]
    facts = facts_of(
        reading.objects,
        now_seconds=reading.now_seconds or time.time(),
        read=reading.read,
        unread=reading.unread,
        pools=pools,
        more_gate_keys=[*keys, *options.gate_taint],
        stuck_seconds=options.stuck_after * 60,
    )
    files = ", ".join(dict.fromkeys(one.source for one in documents))
    return " and ".join(filter(None, (host, files))), facts


def _cluster(options: argparse.Namespace) -> "tuple[str, Reading]":
    from cli.cluster import connect, worded  # noqa: PLC0415 - as above
    from cli.doctor.read_cluster import read_cluster  # noqa: PLC0415 - as above
    from common.api_types import ApiError  # noqa: PLC0415 - as above

    api = connect(options.kubeconfig, options.context)
    try:
        return api.host, read_cluster(api)
    except ApiError as error:
        raise worded(api.host, error) from error
    finally:
        api.close()


def _take(documents: "list[Document]", reading: "Reading") -> "list[Pool]":
    """Add the files' objects to what was read; return the pools that they define."""
    from cli.doctor.assemble import pools_of  # noqa: PLC0415 - as above
    from cli.doctor.of_values import daemon_sets, is_ours  # noqa: PLC0415 - as above

    pools: list[Pool] = []
    foreign = []
    for document in documents:
        place = f"{document.source}:{document.line}"
        found = pools_of(document.tree, place)
        pools += found
        objects = list(_objects(document.tree)) or daemon_sets(document.tree, place)
        if not found and not objects and not is_ours(document.tree):
            foreign.append(f"{place}: neither a Kubernetes object nor the definition of a pool")
        for one in objects:
            reading.objects.setdefault(str(one["kind"]), []).append(one)
    for line in foreign:
        sys.stderr.write(f"note: {line}\n")
    if documents and len(foreign) == len(documents):
        raise InputError("nothing in the files can be judged")
    return pools


def _objects(tree: object) -> "list[dict[str, object]]":
    """Return the objects of a document; a List has many."""
    if not isinstance(tree, dict) or not isinstance(tree.get("kind"), str):
        return []
    kind, items = tree["kind"], tree.get("items")
    if not kind.endswith(_LISTED) or not isinstance(items, list):
        return [tree]
    inner = kind.removesuffix(_LISTED)
    named = [
        {"kind": inner, **one} if inner and "kind" not in one else one
        for one in items
        if isinstance(one, dict)
    ]
    return [found for one in named for found in _objects(one)]


def _print(diagnosis: "Diagnosis", facts: "Facts", head: str, options: argparse.Namespace) -> None:
    from cli.doctor import show  # noqa: PLC0415 - as above

    clouds = [cloud.value for cloud in facts.clouds]
    if options.output == "json":
        about = {
            "asOf": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(facts.now_seconds)),
            "lookedAt": head,
            "clouds": clouds,
            "gateTaints": list(facts.gate_keys),
        }
        say(f"{show.diagnosis_json(diagnosis, about)}\n")
        return
    where = f" ({', '.join(clouds)}, {len(facts.nodes)} nodes)" if facts.nodes else ""
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((WIDTH, 24))[0] if is_terminal else WIDTH
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    lines = show.text(
        diagnosis,
        f"{head}{where}",
        width=min(width, 100),
        is_coloured=takes_colours(),
        is_unicode=is_unicode,
    )
    say("".join(f"{line}\n" for line in lines))
