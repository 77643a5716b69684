"""Whether a pod serves vLLM, where, and by which rule: the one question before all others."""

from collections.abc import Iterator
from typing import Final

from common.names import POD_LABEL_INJECT
from webhook import arguments, pods
from webhook.decisions import Json
from webhook.images import Role, image_of
from webhook.recognition import Arguments, Recognition, Server, Verdict

MODULES: Final = ("vllm.entrypoints.openai.api_server", "vllm.entrypoints.api_server")


def recognise(pod: Json, *, opted_in: bool = False) -> Recognition:
    """
    Return what a raw pod is; any JSON tree will do.

    Args:
        opted_in: the pod is asked for by label although its manifest may not show vLLM.
    """
    if opted_out(pod) and not opted_in:
        return Recognition(
            Verdict.LEFT_ALONE, "opted-out", f"the label {POD_LABEL_INJECT} is disabled"
        )
    servers = tuple(_servers(pod))
    if servers:
        return Recognition(
            Verdict.SERVES,
            servers[0].rule,
            f"container {servers[0].container} serves vLLM",
            servers,
        )
    return Recognition(Verdict.OTHER, "no-hint", "nothing in the pod points to vLLM")


def opted_out(pod: Json) -> bool:
    """Return whether the pod's own label says that it is to be left alone."""
    return pods.labels(pod).get(POD_LABEL_INJECT) == "disabled"


def _servers(pod: Json) -> Iterator[Server]:
    for found in pods.running(pod):
        read = _read(found.raw)
        if read and "headless" not in read[1].flags:
            rule, said = read
            yield Server(found.name, found.place, found.index, rule, said)


def _read(container: Json) -> tuple[str, Arguments] | None:
    command, args = pods.texts(container.get("command")), pods.texts(container.get("args"))
    words = [*command, *args]
    if len(words) > 1 and words[0].rpartition("/")[2] == "vllm" and words[1] == "serve":
        return "vllm-serve", arguments.parse(words[2:])
    if len(words) > 2 and words[1] == "-m" and words[2] in MODULES:  # noqa: PLR2004
        return "api-server-module", arguments.parse(words[3:])
    if not command and image_of(pods.text(container.get("image"))).role is Role.SERVES:
        return "image-entrypoint", arguments.parse(args)
    return None
