"""How large a model's weights are, as far as its name tells, and how long they load. Pure."""

import re
from functools import lru_cache
from typing import Final

GB: Final = 10**9
ASSUMED_BYTES: Final = 140 * GB
"""Where the name says nothing: 70 billion parameters of two bytes."""
BYTES_PER_SECOND: Final = 420_000_000
"""Published for an untuned node: a bound that a probe must survive, too."""
COMPILE_SECONDS: Final = 90
"""Imports, compiling and CUDA graphs of a large model: 54 s published without compiling."""

_PARAMETERS: Final = re.compile(
    r"(?<![a-z0-9.])(?:(\d{1,3})x)?(\d{1,4}(?:[.]\d{1,3})?)([bm])(?![a-z0-9])"
)
_BILLIONS: Final = {"b": 1.0, "m": 0.001}
_MAX_NAME: Final = 256
_WIDTHS: Final = (
    (re.compile(r"awq|gptq|int4|w4a16|nvfp4|mxfp4|4bit|bnb|fp4"), 0.5),
    (re.compile(r"fp8|int8|w8a8|8bit"), 1.0),
)


def size_bytes(model: str) -> int | None:
    """Return the size that a name such as `Qwen3-30B-A3B-FP8` stands for; None if it tells none."""
    return _size_bytes(model[-_MAX_NAME:].lower())


@lru_cache(maxsize=512)
def _size_bytes(name: str) -> int | None:
    found = [
        float(number) * int(times or 1) * _BILLIONS[unit]
        for times, number, unit in _PARAMETERS.findall(name)
    ]
    if not found:
        return None
    width = next((width for pattern, width in _WIDTHS if pattern.search(name)), 2.0)
    return int(max(found) * GB * width)


def start_seconds(model: str) -> int:
    """
    Return how long a server may need from start to ready on a node that is not tuned.

    Never more than for 140 GB: what is larger is spread over several nodes, or on faster storage.
    """
    return seconds_for(_size(model))


def seconds_for(size: int) -> int:
    """Return how long so many bytes take to read and to compile for."""
    return size // BYTES_PER_SECOND + COMPILE_SECONDS


def told(model: str) -> str:
    """Return the sum behind `start_seconds`, for people."""
    size = max(1, round(_size(model) / GB))
    return f"{size} GB at 420 MB/s and compiling take {start_seconds(model)} s"


def _size(model: str) -> int:
    return min(size_bytes(model) or ASSUMED_BYTES, ASSUMED_BYTES)
