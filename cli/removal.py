"""
What `tunegate uninstall` looks for, what came of it, and how that reads. Pure.

Objects of the chart are found by its labels; a configuration of the API server must also call a
Service of this namespace, because it has no namespace itself.
"""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence

from cli.traces import Traces, commands
from common import names
from common.api_types import Json
from common.record import dataclass, field
from common.wording import several

AGENT, WEBHOOK, UNINSTALL = "agent", "webhook", "uninstall"
REPORTERS = (names.AGENT_COMMAND, names.WEBHOOK_COMMAND)
"""`reportingComponent` of the Events that agent and webhook write."""

_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_MANAGED_BY = "app.kubernetes.io/managed-by"
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: its name, the API's folder, its plural; whether it has a namespace."""

    name: str
    folder: str
    plural: str
    is_namespaced: bool = True

    def path(self, namespace: str, name: str = "") -> str:
        """Return the path of the collection, or of one object."""
        place = f"/namespaces/{namespace}" if self.is_namespaced else ""
        return f"{self.folder}{place}/{self.plural}" + (f"/{name}" if name else "")

    def command(self, namespace: str, name: str) -> str:
        """Return the kubectl command that deletes one, or by `-l SELECTOR` some."""
        place = f" -n {shlex.quote(namespace)}" if self.is_namespaced else ""
        return f"kubectl delete {self.name.lower()} {name}{place} --ignore-not-found"


DAEMON_SET = Kind("DaemonSet", "/apis/apps/v1", "daemonsets")
DEPLOYMENT = Kind("Deployment", "/apis/apps/v1", "deployments")
JOB = Kind("Job", "/apis/batch/v1", "jobs")
POD = Kind("Pod", "/api/v1", "pods")
SECRET = Kind("Secret", "/api/v1", "secrets")
CONFIG_MAP = Kind("ConfigMap", "/api/v1", "configmaps")
LEASE = Kind("Lease", "/apis/coordination.k8s.io/v1", "leases")
CONFIGURATIONS = tuple(
    Kind(name, _ADMISSION, f"{name.lower()}s", is_namespaced=False)
    for name in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
)


@dataclass(frozen=True, slots=True)
class Aim:
    """What is to go: a release in a namespace, and what its webhook made under which names."""

    namespace: str
    release: str
    gate_keys: tuple[str, ...]
    is_revert: bool
    is_dry_run: bool
    secret: str = ""
    config_map: str = ""

    @property
    def made(self) -> tuple[tuple[Kind, str, str], ...]:
        """Return what the webhook makes itself: kind, name ("" where none was given), label."""
        return (
            (SECRET, self.secret, f"{names.SECRET_LABEL}={names.SECRET_SERVING}"),
            (CONFIG_MAP, self.config_map, f"{_MANAGED_BY}={names.WEBHOOK_COMMAND}"),
            (LEASE, names.LEADER_LEASE, ""),
        )

    def selector(self, component: str) -> str:
        """Return the label selector of a component's objects."""
        return (
            f"app.kubernetes.io/part-of=tunegate,app.kubernetes.io/instance={self.release},"
            f"app.kubernetes.io/component={component}"
        )

    def again(self) -> str:
        """Return the command that goes on where this one stopped."""
        words = ["--namespace", self.namespace, "--release", self.release]
        words += ["--revert-hosts"] if self.is_revert else []
        for key in dict.fromkeys(self.gate_keys):
            words += [] if key in names.GATE_TAINTS else ["--gate-taint", key]
        words += ["--secret", self.secret] if self.secret else []
        words += ["--config-map", self.config_map] if self.config_map else []
        return f"tunegate uninstall {shlex.join(words)}"


@dataclass(frozen=True, slots=True)
class Left:
    """Something that could not be removed: what, why, and the commands that remove it."""

    what: str
    why: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """What became of putting a host back: the agent's own sentence, or why there is none."""

    node: str
    is_back: bool
    message: str


@dataclass(slots=True)
class Done:
    """What was done so far; filled as the work goes on."""

    hosts: list[Host] = field(default_factory=list)
    nodes_seen: int = 0
    nodes_cleared: set[str] = field(default_factory=set)
    deleted: list[str] = field(default_factory=list)
    events: int = 0
    left: list[Left] = field(default_factory=list)


def is_ours(raw: Json, aim: Aim) -> bool:
    """Return whether a configuration calls only a Service of the release's namespace."""
    hooks = _list(raw.get("webhooks"))
    places = [_mapping(_mapping(one).get("clientConfig")).get("service") for one in hooks]
    return all(_mapping(place).get("namespace") == aim.namespace for place in places)


def was_made(kind: Kind, raw: Json) -> bool:
    """Return whether the webhook made this, and neither Helm nor a person."""
    labels = _mapping(_mapping(raw.get("metadata")).get("labels"))
    if kind is SECRET:
        return labels.get(names.SECRET_LABEL) == names.SECRET_SERVING
    return labels.get(_MANAGED_BY) != "Helm"


def has_failed(job: Json) -> bool:
    """Return whether a Job has ended without success."""
    conditions = _list(_mapping(job.get("status")).get("conditions"))
    states = [(_mapping(one).get("type"), _mapping(one).get("status")) for one in conditions]
    return ("Failed", "True") in states


def name_of(raw: Json) -> str:
    """Return an object's name."""
    return str(_mapping(raw.get("metadata")).get("name", ""))


def node_of(pod: Json) -> str:
    """Return where a pod runs, "" where it was not bound."""
    return str(_mapping(pod.get("spec")).get("nodeName") or "")


def left_on(node: Traces, why: str) -> Left:
    """Return what a Node still bears."""
    return Left(f"node {node.name}", why, commands(node))


def text(aim: Aim, done: Done) -> list[str]:
    """Return the lines for a person: what was done, what is left and how it goes."""
    would = "would be " if aim.is_dry_run else ""
    lines = [
        f"{several(done.nodes_seen, 'node')} read, {len(done.nodes_cleared)} {would}cleared.",
        f"{', '.join(done.deleted) or 'nothing'} {would}deleted.",
        f"{several(done.events, 'event')} {would}deleted.",
    ]
    lines += [f"host of {one.node}: {one.message}" for one in done.hosts]
    if aim.is_dry_run:
        return lines
    if not done.left:
        return [
            *lines,
            "Nothing of tunegate is left on nodes or beside the chart.",
            "A node that joins from now on keeps its gate taint: take it out of your node pools.",
        ]
    lines.append(f"LEFT ({len(done.left)}):")
    for one in done.left[:_NAMED]:
        lines += [f"  {one.what}: {one.why}", *(f"    {command}" for command in one.commands)]
    if len(done.left) > _NAMED:
        others = ", ".join(one.what for one in done.left[_NAMED : 4 * _NAMED])
        more = " ..." if len(done.left) > 4 * _NAMED else ""
        lines.append(f"  and {len(done.left) - _NAMED} more: {others}{more}")
    return [*lines, "Once the cause is gone, this does only what is left:", f"  {aim.again()}"]


def as_json(aim: Aim, done: Done) -> str:
    """Return the same as one JSON object."""
    return json.dumps(
        {
            "version": 1,
            "namespace": aim.namespace,
            "release": aim.release,
            "isDryRun": aim.is_dry_run,
            "isDone": not done.left and not aim.is_dry_run,
            "hosts": [
                {"node": one.node, "isBack": one.is_back, "message": one.message}
                for one in done.hosts
            ],
            "nodesSeen": done.nodes_seen,
            "nodesCleared": sorted(done.nodes_cleared),
            "deleted": done.deleted,
            "events": done.events,
            "left": [
                {"what": one.what, "why": one.why, "commands": list(one.commands)}
                for one in done.left
            ],
        },
        indent=2,
    )


def merged(found: Iterable[Left]) -> list[Left]:
    """Return each thing once, with the last reason: a later step may have tried it again."""
    return list({one.what: one for one in found}.values())


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []
