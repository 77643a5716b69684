"""
What a container runs: its command and args, and the programs that a shell script in them starts.

Kubernetes replaces `$(NAME)` by literal environment, `$$` is a plain `$`. Source:
https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from webhook import pods
from webhook.decisions import Json
from webhook.shell import SHELLS, Scope, UnreadableError, read

_REFERENCE: Final = re.compile(r"\$\$|\$\(([A-Za-z_.-][\w.-]*)\)", re.ASCII)
_KEYED: Final = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_WRAPPERS: Final = frozenset(
    {
        *("env", "nohup", "nice", "ionice", "stdbuf", "timeout", "sudo", "numactl", "taskset"),
        *("tini", "dumb-init", "catatonit", "setsid", "chrt", "time", "gosu", "su-exec"),
        *("uv", "conda", "micromamba", "poetry", "nsys", "opentelemetry-instrument", "ddtrace-run"),
    }
)
"""Programs that start the program that follows in their own arguments."""
_INITS: Final = frozenset({"tini", "dumb-init", "catatonit"})
"""Wrappers that stay PID 1 and pass SIGTERM on."""
_PROGRAM: Final = re.compile(r"vllm|ray|python[0-9.]*|pypy[0-9.]*|" + "|".join(sorted(SHELLS)))
_MAX_DEPTH: Final = 5
MAX_VALUE_CHARS: Final = 32_768
"""More than any argument; the kernel takes 128 KiB for one word."""
MAX_GROWTH_CHARS: Final = 4 * MAX_VALUE_CHARS
"""What values that stand for others may add to one container's environment, and to its words."""


@dataclass(frozen=True, slots=True)
class Call:
    """
    A program that runs in a container.

    Attributes:
        words: its argument vector; a word with a `$` is not known.
        sure: it runs whatever happens; shell: the shell that keeps SIGTERM from it, else "".
    """

    words: tuple[str, ...]
    sure: bool = True
    shell: str = ""

    @property
    def program(self) -> str:
        """Return the program's name without its folder."""
        return basename(self.words[0]) if self.words else ""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """
    All that a container runs, as far as its manifest tells.

    Attributes:
        calls: in their order; () where the image alone decides.
        files: what a script writes, by path.
        readable: False where a script could not be read.
        environment: literal values by name; None where a value is not visible.
        hidden_environment: there may be more variables (envFrom).
    """

    calls: tuple[Call, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    readable: bool = True
    environment: Mapping[str, str | None] = field(default_factory=dict)
    hidden_environment: bool = False


def basename(path: str) -> str:
    """Return the last part of a path."""
    return path.rpartition("/")[2]


def command_line(container: Json, pod: Json) -> CommandLine:
    """Return what a container runs; without a command, what its args say."""
    known = environment(container, pod)
    hidden = bool(pods.sequence(container.get("envFrom")))
    written = [*pods.texts(container.get("command")), *pods.texts(container.get("args"))]
    scope = Scope(dict(known), hidden=hidden)
    try:
        words = _substituted(written, known)
        calls = tuple(_calls(words, scope)) if words else ()
    except UnreadableError:
        return CommandLine(readable=False, environment=known, hidden_environment=hidden)
    return CommandLine(calls, scope.files, environment=known, hidden_environment=hidden)


def environment(container: Json, pod: Json) -> dict[str, str | None]:
    """Return the container's variables; None for one whose value is not in the manifest."""
    known: dict[str, str | None] = {}
    room = MAX_GROWTH_CHARS
    for entry in pods.objects(container.get("env")):
        name = pods.text(entry.get("name"))
        if "valueFrom" in entry and entry["valueFrom"] is not None:
            known[name] = _from_pod(pods.mapping(entry["valueFrom"]), pod)
            continue
        written = pods.text(entry.get("value"))
        if "$" not in written:  # nearly all: the loop is what recognising costs most
            known[name] = written
            continue
        value = substitute(written, known)
        room -= max(0, len(value) - len(written))
        known[name] = value if room >= 0 or value is written else None
    known.pop("", None)
    return {**_of_its_set(pod), **known}


def _of_its_set(pod: Json) -> dict[str, str]:
    """
    Return what LeaderWorkerSet's webhook sets, which may come after ours, from its own marks.

    Source: https://lws.sigs.k8s.io/docs/reference/labels-annotations-and-environment-variables/
    """
    index = pods.labels(pod).get("leaderworkerset.sigs.k8s.io/worker-index")
    size = pods.annotations(pod).get("leaderworkerset.sigs.k8s.io/size")
    found = {"LWS_WORKER_INDEX": index, "LWS_GROUP_SIZE": size}
    return {name: value for name, value in found.items() if value is not None}


def _from_pod(source: Json, pod: Json) -> str | None:
    """Return what a fieldRef gives, where the pod shows it already."""
    path = pods.text(pods.mapping(source.get("fieldRef")).get("fieldPath"))
    keyed = _KEYED.fullmatch(path)
    if keyed:
        return pods.strings(pods.metadata(pod).get(keyed[1])).get(keyed[2])
    if path in {"metadata.name", "metadata.namespace"}:
        return pods.text(pods.metadata(pod).get(path.partition(".")[2])) or None
    return None


def substitute(word: str, known: Mapping[str, str | None]) -> str:
    """
    Return a word with Kubernetes' references replaced; one that is not known stays.

    So does one whose value would make the word too long: values can double from name to name.
    """
    if "$" not in word:
        return word
    room = MAX_VALUE_CHARS - len(word)

    def replaced(reference: re.Match[str]) -> str:
        nonlocal room
        if reference[0] == "$$":
            return "$"
        value = known.get(reference[1])
        if value is None or len(value) > room:
            return reference[0]
        room -= len(value)
        return value

    return _REFERENCE.sub(replaced, word)


def _substituted(written: Sequence[str], known: Mapping[str, str | None]) -> list[str]:
    """Return words with references replaced; raises UnreadableError where they grow too much."""
    words: list[str] = []
    room = MAX_GROWTH_CHARS
    for word in written:
        words.append(substitute(word, known))
        room -= max(0, len(words[-1]) - len(word))
        if room < 0:
            raise UnreadableError
    return words


def _calls(words: Sequence[str], scope: Scope, depth: int = 0) -> list[Call]:
    """Return the programs that an argument vector starts."""
    unwrapped, waits = _unwrap(words)
    script = _script(unwrapped)
    if script is None or depth >= _MAX_DEPTH:
        return [Call(tuple(unwrapped))]
    scope.spend(sum(map(len, unwrapped)))
    scope.positional = list(unwrapped[script + 2 :])
    shell = basename(unwrapped[0])
    found: list[Call] = []
    for run in read(unwrapped[script], shell, scope):
        for call in _calls(run.words, scope, depth + 1):
            kept = "" if waits else run.shell or call.shell
            found.append(Call(call.words, run.sure and call.sure, kept))
    return found


def _unwrap(words: Sequence[str]) -> tuple[Sequence[str], bool]:
    """Return what a wrapper starts, and whether the wrapper passes SIGTERM on."""
    name = basename(words[0]) if words else ""
    if name not in _WRAPPERS and not name.endswith("entrypoint.sh"):
        return words, False
    start = next((i for i, word in enumerate(words) if i and _is_program(word)), 0)
    return words[start:], start > 0 and name in _INITS


def _is_program(word: str) -> bool:
    """Return whether a word is the path of a program that is looked for."""
    return bool(_PROGRAM.fullmatch(basename(word)))


def _script(words: Sequence[str]) -> int | None:
    """Return the index of the script of `sh -c` and its like, None where there is none."""
    if not words or basename(words[0]) not in SHELLS:
        return None
    given = False
    at = 1
    while at < len(words) and words[at][:1] in {"-", "+"} and len(words[at]) > 1:
        option = words[at]
        given |= "c" in option[1:] and not option.startswith("--")
        at += 2 if option in {"-o", "+o", "-O", "+O", "--rcfile", "--init-file"} else 1
    return at if given and at < len(words) else None
