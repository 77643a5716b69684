"""What one container of a pod is: a vLLM server, something that is left alone, or neither."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final

from webhook import arguments, pods
from webhook.command_line import Call, CommandLine, command_line
from webhook.decisions import Json
from webhook.forms import Form, form_of
from webhook.images import Role, image_of
from webhook.pods import Placed
from webhook.recognition import Arguments, Server
from webhook.shell import SHELLS

HEALTH: Final = "/health"
_LOOPBACK: Final = re.compile(r"localhost|127\..*|\[?::1\]?")
NO_SERVER: Final = frozenset({*SHELLS, "sleep", "tail", "cat", "true", "jupyter"})
"""What people put into args to look around in an image whose ENTRYPOINT runs its args."""
_LONG_SLEEP: Final = re.compile(r"inf(?:inity)?|\d+d|\d{5,}s?")
ENGINE_FLAGS: Final = frozenset(
    {
        *("tensor-parallel-size", "gpu-memory-utilization", "max-model-len", "max-num-seqs"),
        *("pipeline-parallel-size", "served-model-name", "enforce-eager", "kv-transfer-config"),
    }
)
"""Flags of vLLM's engine that no router and no exporter has."""
_OF_IMAGES: Final = frozenset({"image-entrypoint", "engine-flags"})
_WORKERS: Final = frozenset({"headless", "worker-rank", "ray-worker", "rank-unknown"})


class Weight(IntEnum):
    """How much a reason says about the pod; the heaviest one of its containers is given."""

    IMAGE = 0
    LOOKS = 1
    COMMAND = 2


@dataclass(frozen=True, slots=True)
class Judged:
    """
    What a container is.

    Attributes:
        rule: the row that knew it, "" for a container that has nothing to do with vLLM.
        server: where it serves; it is also set where it would if it were not left alone.
    """

    rule: str = ""
    weight: Weight = Weight.IMAGE
    server: Server | None = None
    serves: bool = False


def judge(found: Placed, pod: Json) -> Judged:
    """Return what a container is."""
    line = command_line(found.raw, pod)
    command = bool(pods.texts(found.raw.get("command")))
    forms = _forms(found.raw, line) if command else []
    if not line.readable:
        judged = Judged("unreadable", Weight.LOOKS) if hints(found.raw) else Judged()
    elif not command:
        judged = _by_image(found, line)
    else:
        judged = _by_forms(found, line, forms) if forms else _by_looks(found)
    if judged.server and pods.spec(pod).get("shareProcessNamespace") is True:
        return replace(judged, server=replace(judged.server, shell=""))
    return judged


def _forms(container: Json, line: CommandLine) -> list[tuple[Call, Form]]:
    """Return the programs of a container that are known; a name that others have needs a hint."""
    known = [(call, form) for call in line.calls if (form := form_of(call))]
    return [(call, form) for call, form in known if form.rule != "sagemaker" or hints(container)]


def hints(container: Json) -> bool:
    """Return whether anything in a container points to vLLM."""
    texts = [pods.text(container.get("name")), pods.text(container.get("image"))]
    texts += pods.texts(container.get("command")) + pods.texts(container.get("args"))
    texts += [pods.text(entry.get("name")) for entry in pods.objects(container.get("env"))]
    return any("vllm" in text.lower() for text in texts)


def _by_looks(found: Placed) -> Judged:
    """Return what a container is whose command says nothing."""
    image = image_of(pods.text(found.raw.get("image")))
    if image.role is Role.ALONE:
        return Judged(image.rule)
    if image.role is not Role.UNKNOWN or hints(found.raw):
        return Judged("unknown-command", Weight.LOOKS)
    return Judged()


def _by_image(found: Placed, line: CommandLine) -> Judged:
    """Return what a container is that gives no command: its image's ENTRYPOINT, and its args."""
    call = line.calls[0] if line.calls else Call(())
    image = image_of(pods.text(found.raw.get("image")))
    forms = _forms(found.raw, line)
    if forms and image.role is not Role.ALONE:
        return _by_forms(found, line, forms)
    words = call.words[1:] if call.words[:1] == ("serve",) else call.words
    if call.program in NO_SERVER:
        return _by_looks(found)
    if image.role is Role.SERVES:
        return _server(found, line, call, Form("image-entrypoint", words, serves=True))
    if image.role is Role.CARRIES and ENGINE_FLAGS & arguments.split(words)[0].keys():
        return _server(found, line, call, Form("engine-flags", words, serves=True))
    return _by_looks(found)


def _by_forms(found: Placed, line: CommandLine, forms: list[tuple[Call, Form]]) -> Judged:
    """Return what a container is whose command starts something that is known."""
    judged = [
        (
            call,
            _server(found, line, call, form) if form.serves else Judged(form.rule, Weight.COMMAND),
        )
        for call, form in forms
    ]
    serving = [(call, each) for call, each in judged if each.serves]
    working = [call for call, each in judged if each.rule in _WORKERS]
    if not serving:
        return next((each for _, each in judged if each.rule in _WORKERS), judged[0][1])
    call, first = min(serving, key=lambda each: not each[0].sure)
    if (working and not call.sure) or _may_wait_instead(line.calls, call):
        return Judged("role-at-runtime", Weight.COMMAND, first.server)
    server = first.server
    if server and any(form.rule == "ray-head" for _, form in forms):
        server = replace(server, arguments=_over_ray(server.arguments, line))
    if server and len({each.server.arguments.port for _, each in serving if each.server}) > 1:
        why = "the container starts servers on several ports"
        server = replace(server, http=False, why_no_http=why)
    return replace(first, server=server)


def _may_wait_instead(calls: Sequence[Call], server: Call) -> bool:
    """
    Return whether a script may wait for ever where it would serve: a startup probe would end that.

    What waits behind a server that starts in any case waits for the time after it.
    """
    waiting = (at for at, call in enumerate(calls) if not call.sure and _waits_for_ever(call))
    first = next(waiting, len(calls))
    return first < (calls.index(server) if server.sure else len(calls))


def _waits_for_ever(call: Call) -> bool:
    given = call.words[1:2]
    if call.program == "sleep":
        return bool(given and _LONG_SLEEP.fullmatch(given[0]))
    return call.program == "tail" and given in {("-f",), ("-F",)}


def _over_ray(said: Arguments, line: CommandLine) -> Arguments:
    """Return the arguments of an engine that reaches over all pods of its Ray cluster."""
    size = arguments.whole(line.environment.get("LWS_GROUP_SIZE") or "")
    return replace(said, nodes=max(said.nodes, size or 1))


def _alone(rule: str) -> Judged:
    """Return what a program is that does not serve; one that stands beside servers says little."""
    return Judged(rule, Weight.IMAGE if rule == "router" else Weight.COMMAND)


def _server(found: Placed, line: CommandLine, call: Call, form: Form) -> Judged:
    """Return what a server's own arguments make of it."""
    said = _arguments(found.raw, line, form)
    why = _why_no_http(said)
    server = Server(
        *(found.name, found.place, found.index, form.rule, said),
        shell=call.shell,
        http=not why,
        why_no_http=why,
    )
    rule = _why_left_alone(said.flags)
    return Judged(rule or form.rule, Weight.COMMAND, server, serves=not rule)


def _why_left_alone(flags: Mapping[str, str]) -> str:
    """Return the rule by which a server's flags leave it alone, or ""."""
    if "headless" in flags:
        return "headless"
    rank = flags.get("node-rank", "0")
    if not rank.isdecimal():
        return "rank-unknown"
    if int(rank[:9]):
        return "worker-rank"
    if "help" in flags or "version" in flags:
        return "vllm-tool"
    return "uds" if "uds" in flags else "grpc" if "grpc" in flags else ""


def _why_no_http(said: Arguments) -> str:
    """Return why no probe reaches a server over HTTP, or ""."""
    if said.port is None:
        return "the port is not in the manifest"
    if is_loopback(said.host):
        return f"the server listens on {said.host} only"
    if said.flags.get("ssl-cert-reqs") == "2":
        return "the server asks clients for a certificate"
    if "data-parallel-multi-port-external-lb" in said.flags:
        return "every data-parallel rank has a port of its own"
    return ""


def is_loopback(host: str) -> bool:
    """Return whether only the pod itself reaches a server that listens there."""
    return bool(_LOOPBACK.fullmatch(host))


def _arguments(container: Json, line: CommandLine, form: Form) -> Arguments:
    """Return a server's arguments, with those of a configuration file where it is visible."""
    words = form.words if form.rule != "sagemaker" else (*_from_environment(line), *form.words)
    flags, free = arguments.split(words)
    filed = _filed(flags, line)
    said = arguments.from_flags(
        {**filed, **flags}, free[0] if free else "", default_port=form.default_port
    )
    said = replace(said, has_config_file="config" in flags and not filed)
    may_hide_port = said.has_config_file or _has_hidden_flags(flags, free)
    if "port" in flags:
        return said
    if may_hide_port:
        return replace(said, port=declared_port(container))
    # what an image starts is taken for granted: its own probes know better than a default
    asked = pods.probe_port(container, HEALTH) if form.rule in _OF_IMAGES else None
    return replace(said, port=asked or said.port)


def _has_hidden_flags(flags: Mapping[str, str], free: list[str]) -> bool:
    """Return whether a word that is no flag may hold flags; the first one is the model."""
    return any("$" in word for word in (free if "model" in flags else free[1:]))


def _from_environment(line: CommandLine) -> list[str]:
    """Return the flags that vLLM's SageMaker entrypoint makes from SM_VLLM_* variables."""
    return [
        word
        for name, value in line.environment.items()
        if name.startswith("SM_VLLM_")
        for word in (f"--{name[8:].lower().replace('_', '-')}", value or "$")
    ]


def _filed(flags: Mapping[str, str], line: CommandLine) -> dict[str, str]:
    """Return the flags of a configuration file that the container's own script writes."""
    text = line.files.get(flags.get("config", ""), "")
    return arguments.from_file(text) if text else {}


def declared_port(container: Json) -> int | None:
    """Return the port that a container's own probes or its only declared port show."""
    asked = pods.probe_port(container, HEALTH)
    numbers = {pods.number(port.get("containerPort")) for port in pods.ports(container)}
    return asked or (numbers.pop() if len(numbers) == 1 else None)


def probed(container: Json) -> tuple[int | None, str]:
    """Return port and scheme of the container's own probes of /health."""
    schemes = {
        pods.text(action.get("scheme")) or "HTTP"
        for kind in ("startupProbe", "readinessProbe", "livenessProbe")
        if (action := _http_get(container, kind)).get("path") == HEALTH
    }
    return pods.probe_port(container, HEALTH), "HTTPS" if schemes == {"HTTPS"} else "HTTP"


def _http_get(container: Json, kind: str) -> dict[str, Any]:
    """Return the HTTP action of a probe."""
    return pods.mapping(pods.mapping(container.get(kind)).get("httpGet"))
