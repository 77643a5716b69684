"""Flags that no vLLM knows, but one nearly is. Pure."""

import difflib
from functools import lru_cache
from itertools import islice
from typing import Final

from webhook.warn.caution import Row, Severity
from webhook.warn.scene import Scene
from webhook.warn.vllm_flags import FIRST, LAST, LONG

ALIKE: Final = 0.86
SHORTEST: Final = 4
MAX_LENGTH_DIFFERENCE: Final = 4
LONGEST: Final = max(map(len, LONG))
MAX_GIVEN, MAX_JUDGED = 512, 16
"""A command line full of invented flags costs no more than this many look-ups."""


def unknown_flag(scene: Scene) -> str:
    """Judge the flags by their names; a flag that is like none may be a plug-in's."""
    given = islice(scene.arguments.flags, MAX_GIVEN)
    unknown = [name for name in given if not is_known(name)]
    for name in unknown[:MAX_JUDGED]:
        if near := nearest(name):
            return f"no vLLM knows --{name}: did you mean --{near}?"
    return ""


def is_known(name: str) -> bool:
    """Return whether argparse would take a flag: whole, negated, dotted, or cut short."""
    if name in LONG or len(name) < SHORTEST or not name.isascii():
        return True
    plain = name.partition(".")[0].removeprefix("no-")
    return plain in LONG or any(known.startswith(name) for known in LONG)


def nearest(name: str) -> str:
    """Return the flag that was most likely meant, "" if none is alike."""
    return _nearest(name) if len(name) <= LONGEST + MAX_LENGTH_DIFFERENCE else ""


@lru_cache(maxsize=256)
def _nearest(name: str) -> str:
    length = len(name)
    near = [one for one in LONG if abs(len(one) - length) <= MAX_LENGTH_DIFFERENCE]
    return next(iter(difflib.get_close_matches(name, sorted(near), n=1, cutoff=ALIKE)), "")


ROWS: Final = (
    Row(
        "UnknownFlag",
        Severity.BREAKS,
        f"A flag that no vLLM from {FIRST} to {LAST} has, and that is nearly one.",
        "vLLM ends with `unrecognized arguments` after its imports, and the pod starts again for "
        "ever.",
        "Write it as vLLM does.",
        "args: [--gpu-memory-utilization=0.9]\n",
        unknown_flag,
    ),
)
