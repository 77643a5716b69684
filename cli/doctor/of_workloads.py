"""DaemonSets, Deployments and pods: what is the agent, the webhook, an autoscaler, vLLM. Pure."""

import re
from collections.abc import Iterator
from typing import Final

from cli.doctor.facts import Autoscaler, AutoscalerStatus, Daemon, OwnPod, Part, PodSeen, Refusal
from cli.doctor.selection import selection_of
from cli.yaml_tree import TreeError, tree_of
from common import names
from webhook import pods
from webhook.decisions import Json
from webhook.recognise import recognise
from webhook.recognition import Verdict

AUTOSCALER: Final = "cluster-autoscaler"
STATUS_MAP: Final = "cluster-autoscaler-status"
_VERSION: Final = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})(?:[.+-]|$)")
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|h|m|s)")
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_COUNTS: Final = re.compile(r"ready=([0-9]+) unready=([0-9]+).*?notStarted=([0-9]+)")


def daemon_of(raw: Json) -> Daemon:
    """Return one DaemonSet."""
    template = _template(raw)
    return Daemon(
        namespace=pods.text(pods.metadata(raw).get("namespace")) or "default",
        name=pods.name(raw),
        selection=selection_of(template),
        images=_images(template),
        labels={**pods.labels(template), **pods.labels(raw)},
        owners=tuple(
            pods.text(one.get("kind"))
            for one in pods.objects(pods.metadata(raw).get("ownerReferences"))
        ),
    )


def part_of(raw: Json, command: str) -> Part | None:
    """Return the agent or the webhook when this workload runs it, told by ``command``."""
    template = _template(raw)
    is_labelled = _is_labelled(raw, command)
    if not is_labelled and not any(_runs(one, command) for one in _containers(template)):
        return None
    status, spec = pods.mapping(raw.get("status")), pods.spec(raw)
    is_daemon = "desiredNumberScheduled" in status or raw.get("kind") == "DaemonSet"
    wanted = status.get("desiredNumberScheduled") if is_daemon else spec.get("replicas")
    namespace = pods.text(pods.metadata(raw).get("namespace")) or "default"
    return Part(
        title=f"{namespace}/{pods.name(raw)}",
        namespace=namespace,
        name=pods.name(raw),
        wanted=pods.number(wanted) or 0,
        ready=pods.number(status.get("numberReady" if is_daemon else "readyReplicas")) or 0,
        version=_part_version(raw, template, command),
        selection=selection_of(template),
        config_maps=tuple(
            name
            for volume in pods.volumes(template)
            if (name := pods.text(pods.mapping(volume.get("configMap")).get("name")))
        ),
    )


def _is_labelled(raw: Json, command: str) -> bool:
    """Return whether the chart's labels say so, whatever the image is called in a mirror."""
    labels = pods.labels(raw)
    component = labels.get("app.kubernetes.io/component")
    is_ours = labels.get("app.kubernetes.io/part-of") == "tunegate"
    return is_ours and command == f"tunegate-{component}"


def _runs(container: Json, command: str) -> bool:
    words = [*pods.texts(container.get("command")), *pods.texts(container.get("args"))]
    image = _image_name(pods.text(container.get("image")))
    return image == command or any(word.rpartition("/")[2] == command for word in words)


def _part_version(raw: Json, template: Json, command: str) -> str:
    for container in _containers(template):
        if _runs(container, command):
            tag = _tag(pods.text(container.get("image"))).removeprefix("v")
            if re.match(r"[0-9]+\.[0-9]+", tag):
                return tag
    return pods.labels(raw).get("app.kubernetes.io/version", "")


def refusal_of(raw: Json) -> Refusal:
    """Return what an Event of reason FailedCreate tells."""
    owner = pods.mapping(raw.get("involvedObject"))
    return Refusal(
        namespace=pods.text(owner.get("namespace")) or "default",
        owner=pods.text(owner.get("name")),
        message=pods.text(raw.get("message")).removeprefix("Error creating: "),
    )


def autoscaler_of(raw: Json) -> Autoscaler | None:
    """Return a cluster-autoscaler with its flags when this workload runs one."""
    template = _template(raw) if "template" in pods.spec(raw) else raw
    for container in _containers(template):
        image = pods.text(container.get("image"))
        if AUTOSCALER in _image_name(image):
            return _autoscaler(raw, container, image)
    return None


def _autoscaler(raw: Json, container: Json, image: str) -> Autoscaler:
    namespace = pods.text(pods.metadata(raw).get("namespace")) or "default"
    flags = list(_flags(container))
    named = _VERSION.match(_tag(image))
    return Autoscaler(
        title=f"{namespace}/{pods.name(raw)}",
        namespace=namespace,
        version=(int(named[1]), int(named[2])) if named else None,
        startup_keys=tuple(
            value.partition("=")[0].partition(":")[0]
            for name, value in flags
            if name in ("startup-taint", "ignore-taint")
        ),
        startup_prefixes=tuple(value for name, value in flags if name == "startup-taint-prefix"),
        max_startup_seconds=_last(flags, "max-node-startup-time", 900.0, _duration),
        ok_unready=int(_last(flags, "ok-total-unready-count", 3.0, _number)),
        max_unready_percent=_last(flags, "max-total-unready-percentage", 45.0, _number),
    )


def _flags(container: Json) -> Iterator[tuple[str, str]]:
    """Yield names and values of --name=value and --name value, also inside of a shell's words."""
    given = [*pods.texts(container.get("command")), *pods.texts(container.get("args"))]
    words = [word for text in given for word in text.split()]
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if word.startswith("-"):
            name, sign, value = word.lstrip("-").partition("=")
            yield name, value if sign else following


def _last(flags: list[tuple[str, str]], name: str, default: float, read: object) -> float:
    values = [value for known, value in flags if known == name]
    found = read(values[-1]) if values and callable(read) else None
    return found if isinstance(found, float) else default


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _duration(text: str) -> float | None:
    """Return seconds of a Go duration such as 15m or 1h30m."""
    parts = _DURATION.findall(text)
    return sum(float(amount) * _UNITS[unit] for amount, unit in parts) if parts else None


def status_of(raw: Json) -> AutoscalerStatus | None:
    """Return what a status ConfigMap says: YAML since 1.30, lines of text before."""
    said = pods.text(pods.mapping(raw.get("data")).get("status"))
    if not said:
        return None
    namespace = pods.text(pods.metadata(raw).get("namespace"))
    title = f"{namespace}/{pods.name(raw)}"
    try:
        trees = [tree for _, tree in tree_of(said)]
    except TreeError:
        trees = []
    whole = pods.mapping(pods.mapping(trees[0] if trees else None).get("clusterWide"))
    health = pods.mapping(whole.get("health"))
    if not health:
        return _old_status(title, said)
    counts = pods.mapping(pods.mapping(health.get("nodeCounts")).get("registered"))
    unready = counts.get("unready")
    total = pods.mapping(unready).get("total") if isinstance(unready, dict) else unready
    return AutoscalerStatus(
        title,
        pods.text(health.get("status")),
        pods.number(counts.get("ready")),
        pods.number(total) if total is not None else 0,
        pods.number(counts.get("notStarted")),
    )


def _old_status(title: str, said: str) -> AutoscalerStatus | None:
    health = re.search(r"Health:\s+(\w+)", said)
    counts = _COUNTS.search(said)
    if not health or not counts:
        return None
    ready, unready, not_started = map(int, counts.groups())
    return AutoscalerStatus(title, health[1], ready, unready, not_started)


def passes_gate(raw: Json, gate_keys: tuple[str, ...]) -> PodSeen | None:
    """Return a pod that serves vLLM and tolerates a gate taint, None for any other."""
    selection = selection_of(raw)
    key = next((key for key in gate_keys if selection.tolerates(key)), None)
    if key is None or recognise(raw).verdict is not Verdict.SERVES:
        return None
    owners = [*pods.objects(pods.metadata(raw).get("ownerReferences")), {}]
    owner = f"{pods.text(owners[0].get('kind'))}/{pods.text(owners[0].get('name'))}"
    is_named = any(one.key == key for one in selection.tolerations)
    return PodSeen(
        namespace=pods.text(pods.metadata(raw).get("namespace")) or "default",
        name=pods.name(raw),
        owner=owner.strip("/") or f"Pod/{pods.name(raw)}",
        node=pods.text(pods.spec(raw).get("nodeName")),
        key=key if is_named else "",
    )


def own_pod(raw: Json) -> OwnPod | None:
    """Return a pod of ours that is not Ready, with what its status says is in the way."""
    commands = (names.AGENT_COMMAND, names.WEBHOOK_COMMAND)
    ours = (
        one
        for one in commands
        if _is_labelled(raw, one) or any(_runs(each, one) for each in _containers(raw))
    )
    part = next(ours, None)
    trouble = _trouble(pods.mapping(raw.get("status")))
    if part is None or not trouble:
        return None
    return OwnPod(
        namespace=pods.text(pods.metadata(raw).get("namespace")) or "default",
        name=pods.name(raw),
        part=part,
        node=pods.text(pods.spec(raw).get("nodeName")) or _wanted_node(raw),
        trouble=trouble,
    )


def _trouble(status: Json) -> str:
    """Return why a pod is not Ready, "" when it is; the last word of its container first."""
    conditions = {pods.text(one.get("type")): one for one in pods.objects(status.get("conditions"))}
    if conditions.get("Ready", {}).get("status") == "True":
        return ""
    for one in pods.objects(status.get("containerStatuses")):
        waiting = pods.mapping(pods.mapping(one.get("state")).get("waiting"))
        last = pods.mapping(pods.mapping(one.get("lastState")).get("terminated"))
        ended = f", exit code {last['exitCode']} before" if "exitCode" in last else ""
        if waiting and pods.text(waiting.get("reason")) not in ("", "ContainerCreating"):
            return f"{_words(waiting)}{ended}"
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return _words(scheduled)
    return f"{pods.text(status.get('phase')) or 'Pending'}, not Ready"


def _words(state: Json) -> str:
    said = (pods.text(state.get("reason")), pods.text(state.get("message")))
    return ": ".join(filter(None, said)) or "not Ready"


def _wanted_node(raw: Json) -> str:
    """Return the node that a DaemonSet's pod is meant for while it has none."""
    for term in selection_of(raw).terms:
        for one in term:
            if one.is_name and len(one.values) == 1:
                return one.values[0]
    return ""


def is_agent(raw: Json) -> Part | None:
    """Return the agent when this DaemonSet runs it."""
    return part_of(raw, names.AGENT_COMMAND)


def is_webhook(raw: Json) -> Part | None:
    """Return the webhook when this Deployment runs it."""
    return part_of(raw, names.WEBHOOK_COMMAND)


def _template(raw: Json) -> Json:
    return pods.mapping(pods.spec(raw).get("template"))


def _containers(pod: Json) -> Iterator[Json]:
    yield from pods.objects(pods.spec(pod).get(pods.CONTAINERS))


def _images(template: Json) -> tuple[str, ...]:
    return tuple(pods.text(one.get("image")) for one in _containers(template))


def _image_name(image: str) -> str:
    """Return the last part of an image's path, without tag and digest."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def _tag(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]
