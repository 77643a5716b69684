"""What is expected of every pod of the corpus: a kind a row, each made by a pure function."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from tests.golden.corpus import Json, cases, dumped
from webhook.recognise import recognise
from webhook.recognition import Arguments, Server


def recognition(pod: Json) -> Json:
    """Return what a pod was recognised as; values that are defaults are left out."""
    found = recognise(pod)
    said: Json = {"verdict": found.verdict.value, "rule": found.rule, "reason": found.reason}
    if found.servers:
        said["servers"] = [_server(server) for server in found.servers]
    return said


def _server(server: Server) -> Json:
    """Return one server, its arguments without defaults and without the flags themselves."""
    said = asdict(server)
    defaults = asdict(Arguments())
    shown = ("port", "scheme")
    said["arguments"] = {
        key: value
        for key, value in said["arguments"].items()
        if key in shown or (key != "flags" and value != defaults[key])
    }
    return {key: value for key, value in said.items() if value not in ("", None)}


KINDS: Final[dict[str, Callable[[Json], object]]] = {"recognition": recognition}
"""Each kind's expectation stands in `NAME.KIND.yaml` and is made from the pod by its function."""


def expected_files() -> dict[str, str]:
    """Return every expectation's file name and what must stand in it."""
    return {
        each.expectation(kind).name: dumped(made(each.pod()))
        for each in cases()
        for kind, made in KINDS.items()
    }
