"""What one program of a container is: a vLLM server, something that is left alone, or neither."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from webhook.command_line import Call, basename
from webhook.recognition import DEFAULT_PORT

KAITO_PORT: Final = 5000
"""KAITO's inference_api.py sets it as the default: presets/workspace/inference/vllm."""
SAGEMAKER_PORT: Final = 8080
"""SageMaker asks for it: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html"""
_SUBCOMMANDS: Final = {
    "bench": "vllm-bench",
    "run-batch": "vllm-run-batch",
    "chat": "vllm-client",
    "complete": "vllm-client",
    "launch": "vllm-render",
}
_SERVER_MODULES: Final = frozenset(
    {"vllm.entrypoints.openai.api_server", "vllm.entrypoints.api_server"}
)
_MODULES: Final = (
    ("vllm.entrypoints.openai.run_batch", "vllm-run-batch"),
    ("vllm.entrypoints.grpc_server", "grpc"),
    ("vllm.benchmarks", "vllm-bench"),
    ("vllm_router", "router"),
    ("dynamo", "dynamo"),
    ("sglang", "sglang"),
    ("huggingfaceserver", "huggingfaceserver"),
)
_PROGRAMS: Final = {
    "vllm-router": "router",
    "pd-sidecar": "router",
    "llm-d-inference-sim": "simulator",
    "tritonserver": "triton",
    "text-generation-launcher": "tgi",
    "sglang": "sglang",
    "nim_serve": "nim",
    "lmcache_server": "companion",
}


@dataclass(frozen=True, slots=True)
class Form:
    """
    What a program is.

    Attributes:
        rule: the row of the table of rules; words: a server's arguments; default_port: its own.
    """

    rule: str
    words: tuple[str, ...] = ()
    default_port: int = DEFAULT_PORT
    serves: bool = False


def form_of(call: Call) -> Form | None:
    """Return what a program is, None for one that says nothing."""
    program = call.program
    if program in _PROGRAMS:
        return Form(_PROGRAMS[program])
    if program.startswith(("python", "pypy")):
        return _python(call.words)
    reader = _READERS.get(program)
    if reader:
        return reader(call.words)
    return _script(call.words)


def _vllm(words: tuple[str, ...]) -> Form:
    """Return what `vllm ...` is; options may stand before the subcommand."""
    sub = words[1] if len(words) > 1 else "--help"
    if sub == "serve":
        return Form("vllm-serve", words[2:], serves=True)
    return Form(_SUBCOMMANDS.get(sub, "vllm-tool"))


def _ray(words: tuple[str, ...]) -> Form | None:
    """
    Return what `ray ...` is: without --head, `ray start` joins another pod's cluster.

    `ray symmetric-run` runs its program on the head only, from the same command everywhere. Source:
    https://docs.ray.io/en/latest/cluster/cli.html
    """
    if words[1:2] == ("symmetric-run",):
        return Form("role-at-runtime")
    if words[1:2] != ("start",):
        return None
    return Form("ray-head" if "--head" in words else "ray-worker")


def _shell_script(words: tuple[str, ...]) -> Form | None:
    """Return what a script is that a shell runs by its path."""
    at = next((i for i, word in enumerate(words) if i and not word.startswith("-")), 0)
    return _script(words[at:]) if at else None


def _script(words: tuple[str, ...]) -> Form | None:
    """Return what a script is that is known by its name."""
    name = basename(words[0]) if words else ""
    if name in {"multi-node-serving.sh", "ray_init.sh"}:
        return Form("ray-worker" if words[1:2] == ("worker",) else "ray-head")
    if name == "sagemaker-entrypoint.sh":
        return Form("sagemaker", words[1:], SAGEMAKER_PORT, serves=True)
    return None


def _python(words: tuple[str, ...]) -> Form | None:
    """Return what `python ...` is."""
    at = 1
    while at < len(words) and words[at].startswith("-") and words[at] not in {"-m", "-c"}:
        at += 2 if words[at] in {"-X", "-W"} else 1
    target = words[at : at + 2]
    if target[:1] == ("-m",) and len(target) > 1:
        return _module(target[1], words[at + 2 :])
    return _file(target[0], words[at + 1 :]) if target and target[0] != "-c" else None


def _module(module: str, words: tuple[str, ...]) -> Form | None:
    """Return what `python -m ...` is."""
    if module in _SERVER_MODULES:
        return Form("api-server-module", words, serves=True)
    if module in {"vllm.entrypoints.cli.main", "vllm"}:
        form = _vllm(("vllm", *words))
        return Form("cli-module", form.words, serves=True) if form.serves else form
    return next(
        (Form(rule) for known, rule in _MODULES if f"{module}.".startswith(f"{known}.")), None
    )


def _file(path: str, words: tuple[str, ...]) -> Form | None:
    """Return what a Python file is that is known by its path."""
    if path.endswith("vllm/inference_api.py"):
        return Form("kaito", words, KAITO_PORT, serves=True)
    if path.endswith("vllm/entrypoints/openai/api_server.py"):
        return Form("api-server-module", words, serves=True)
    if basename(path) == "vllm":
        return _vllm(("vllm", *words))
    return None


_READERS: Final[dict[str, Callable[[tuple[str, ...]], Form | None]]] = {
    "vllm": _vllm,
    "ray": _ray,
    **dict.fromkeys(("sh", "bash", "dash", "ash", "zsh", "ksh"), _shell_script),
}
