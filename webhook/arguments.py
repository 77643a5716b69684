"""
vLLM's own flags, read from an argument vector: only those that decide what is injected.

Forms that vLLM takes: `--flag value`, `--flag=value`, dashes or underscores, short `-tp 2`, dotted
JSON (`--kv-transfer-config.kv_role x`, kept under its dotted name). A value that still holds a
`$` is not known. Source: vLLM 0.33.0 utils/argparse_utils.py, config/parallel.py.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from webhook.recognition import DEFAULT_PORT, Arguments
from webhook.vllm_switches import SWITCHES

MAX_PORT: Final = 65_535
MAX_FILE_DEPTH: Final = 20
"""Of a configuration file: document and mapping are two, few values have more than one."""
SHORT: Final[Mapping[str, str]] = {
    "-tp": "tensor-parallel-size",
    "-pp": "pipeline-parallel-size",
    "-dp": "data-parallel-size",
    "-dpl": "data-parallel-size-local",
    "-dpn": "data-parallel-rank",
    "-dpr": "data-parallel-start-rank",
    "-dpa": "data-parallel-address",
    "-dpp": "data-parallel-rpc-port",
    "-dpb": "data-parallel-backend",
    "-dph": "data-parallel-hybrid-lb",
    "-dpe": "data-parallel-external-lb",
    "-dpm": "data-parallel-multi-port-external-lb",
    "-dcp": "decode-context-parallel-size",
    "-pcp": "prefill-context-parallel-size",
    "-asc": "api-server-count",
    "-ep": "enable-expert-parallel",
    "-n": "nnodes",
    "-r": "node-rank",
    "-q": "quantization",
    "-sc": "speculative-config",
    "-cc": "compilation-config",
    "-ac": "attention-config",
    "-O": "compilation-config",
}
_SIGNED: Final = re.compile(r"-\.?\d")


def parse(words: Sequence[str], *, default_port: int = DEFAULT_PORT) -> Arguments:
    """Return what the words after `vllm serve` (or after the module's name) say."""
    flags, free = split(words)
    return from_flags(flags, free[0] if free else "", default_port=default_port)


def from_flags(
    flags: dict[str, str], positional: str = "", *, default_port: int = DEFAULT_PORT
) -> Arguments:
    """Return what these flags say, by their canonical names."""
    data, local = _ranks(flags)
    model = flags.get("model", "") or positional
    return Arguments(
        flags=flags,
        model="" if "$" in model else model,
        port=_port(flags["port"]) if "port" in flags else default_port,
        scheme="HTTPS" if "ssl-certfile" in flags or "ssl-keyfile" in flags else "HTTP",
        host="" if flags.get("host") in {"0.0.0.0", "::", "[::]"} else flags.get("host", ""),  # noqa: S104
        tensor_parallel=_size(flags, "tensor-parallel-size"),
        pipeline_parallel=_size(flags, "pipeline-parallel-size"),
        data_parallel=data,
        data_parallel_local=local,
        nodes=_size(flags, "nnodes"),
        api_servers=_size(flags, "api-server-count", _default_servers(flags, data, local)),
        has_config_file="config" in flags,
    )


def from_file(text: str) -> dict[str, str]:
    """
    Return the flags of a `--config` file, {} for one that is no YAML mapping.

    Lists and mappings count by their name only. Source:
    https://docs.vllm.ai/en/latest/configuration/serve_args/
    """
    import yaml  # noqa: PLC0415 - few pods have a visible file

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if not _is_plain(yaml.parse(text, Loader=loader)):
            return {}
        loaded = yaml.load(text, Loader=loader)  # noqa: S506 - both are safe
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    if not isinstance(loaded, dict):
        return {}
    return {
        canonical(name): _scalar(value)
        for name, value in loaded.items()
        if isinstance(name, str) and value is not False and value is not None
    }


def _is_plain(events: Iterable[object]) -> bool:
    """
    Return whether a file is one that a person writes: no aliases, few levels.

    Merged aliases double with each line, and deep lists end the process: libyaml's composer has no
    bound on either.
    """
    depth = 0
    for event in events:
        kind = type(event).__name__
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if kind == "AliasEvent" or depth > MAX_FILE_DEPTH:
            return False
    return True


def _scalar(value: object) -> str:
    """Return a plain value as a flag's text; true is a switch, and what holds others has none."""
    return str(value) if isinstance(value, str | int | float) and value is not True else ""


def split(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the flags by canonical name (the last value wins), and the words that are no flag."""
    flags: dict[str, str] = {}
    free: list[str] = []
    for name, value in _pairs(words):
        if name:
            flags[name] = value
        else:
            free.append(value)
    return flags, free


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (flag, value) in their order; a word that belongs to no flag has the flag ""."""
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not is_flag(word):
            yield "", word
            continue
        name, equals, value = word.partition("=")
        name = canonical(name)
        if not equals and at < len(words) and _takes_value(name) and not is_flag(words[at]):
            value = words[at]
            at += 1
        yield name, value


def is_flag(word: str) -> bool:
    """Return whether a word is a flag, and not a value such as -1."""
    return len(word) > 1 and word[0] == "-" and not _SIGNED.match(word)


def canonical(flag: str) -> str:
    """Return a flag's long name with dashes: `--a_b` and `--a-b` are the same."""
    if flag in SHORT:
        return SHORT[flag]
    name, dot, rest = flag.lstrip("-").partition(".")
    return f"{name.replace('_', '-')}{dot}{rest}"


def _takes_value(name: str) -> bool:
    """Return whether the next word may be this flag's value; --omni is vLLM-Omni's switch."""
    return name not in SWITCHES and name != "omni" and not name.startswith("no-")


def whole(value: str) -> int | None:
    """Return a whole number that is spelled out, None for all else."""
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else None  # noqa: PLR2004


def _port(value: str) -> int | None:
    """Return a port that a probe may name, None for all else; 0 lets the system choose."""
    port = whole(value)
    return port if port and port <= MAX_PORT else None


def _size(flags: Mapping[str, str], name: str, default: int = 1) -> int:
    """Return a size of at least 1; one that is not visible counts as its default."""
    return max(1, whole(flags.get(name, "")) or default)


def _ranks(flags: Mapping[str, str]) -> tuple[int, int]:
    """
    Return how many data-parallel ranks there are, and how many run in this pod.

    With --data-parallel-rank each process is one rank; else all are local unless said otherwise.
    """
    total = whole(flags.get("data-parallel-size", "1"))
    local = 1 if "data-parallel-rank" in flags else whole(flags.get("data-parallel-size-local", ""))
    if not total:
        return max(1, local or 1), max(1, local or 1)
    return total, min(total, max(1, total if local is None else local))


def _default_servers(flags: Mapping[str, str], total: int, local: int) -> int:
    """Return how many API servers there are by default: vLLM 0.33.0 entrypoints/cli/serve.py."""
    if flags.keys() & {"data-parallel-rank", "data-parallel-external-lb"}:
        return 1
    return local if "data-parallel-hybrid-lb" in flags else total
