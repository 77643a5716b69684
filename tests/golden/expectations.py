"""What is expected of every pod of the corpus: a kind a row, each made by a pure function."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from common.names import POD_ANNOTATION_INJECTED
from tests.golden.corpus import Json, cases, dumped
from webhook.mutate import mutate
from webhook.patch import escaped
from webhook.policy import Policy
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


def mutation(pod: Json) -> Json:
    """Return what is injected into a pod by the default policy: decisions, warnings and patch."""
    made = mutate(pod, Policy())
    return {
        "decisions": {
            feature.value: f"{entry.outcome}: {entry.reason}"
            for feature, entry in made.decisions.items()
        },
        "warnings": list(made.warnings),
        "patch": [
            {name: _without_scripts(value) for name, value in operation.items()}
            for operation in made.patch
            # the record is the decisions once more
            if not operation["path"].endswith(f"/{escaped(POD_ANNOTATION_INJECTED)}")
        ],
    }


def _without_scripts(value: object) -> object:
    """Return a value without the drain hook's programs, which tests of their own hold."""
    if isinstance(value, dict):
        names = {name: _without_scripts(inner) for name, inner in value.items()}
        return {name: inner for name, inner in names.items() if name != POD_ANNOTATION_INJECTED}
    if isinstance(value, list):
        return [_without_scripts(inner) for inner in value]
    return "(a program)" if isinstance(value, str) and len(value) > LONGEST else value


LONGEST: Final = 1000
"""Characters of the longest text in a patch that is not a program."""

KINDS: Final[dict[str, Callable[[Json], object]]] = {
    "recognition": recognition,
    "mutation": mutation,
}
"""Each kind's expectation stands in `NAME.KIND.yaml` and is made from the pod by its function."""


def expected_files() -> dict[str, str]:
    """Return every expectation's file name and what must stand in it."""
    return {
        each.expectation(kind).name: dumped(made(each.pod()))
        for each in cases()
        for kind, made in KINDS.items()
    }
