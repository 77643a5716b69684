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

_BILLIONS: Final = re.compile(r"(?<![a-z0-9.])(?:(\d{1,3})x)?(\d{1,4}(?:[.]\d{1,3})?)b(?![a-z0-9])")
_WIDTHS: Final = (
    (re.compile(r"awq|gptq|int4|w4a16|nvfp4|mxfp4|4bit|bnb|fp4"), 0.5),
    (re.compile(r"fp8|int8|w8a8|8bit"), 1.0),
)


@lru_cache(maxsize=512)
def size_bytes(model: str) -> int | None:
    """Return the size that a name such as `Qwen3-30B-A3B-FP8` stands for; None if it tells none."""
    name = model.lower()
    found = [float(each) * int(times or 1) for times, each in _BILLIONS.findall(name)]
    if not found:
        return None
    width = next((width for pattern, width in _WIDTHS if pattern.search(name)), 2.0)
    return int(max(found) * GB * width)


def start_seconds(model: str) -> int:
    """Return how long a server may need from start to ready on a node that is not tuned."""
    size = size_bytes(model) or ASSUMED_BYTES
    return size // BYTES_PER_SECOND + COMPILE_SECONDS


def told(model: str) -> str:
    """Return the sum behind `start_seconds`, for people."""
    size = size_bytes(model) or ASSUMED_BYTES
    return f"{max(1, round(size / GB))} GB at 420 MB/s and compiling take {start_seconds(model)} s"
