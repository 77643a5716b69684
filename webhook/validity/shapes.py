"""Shapes that many rules of Kubernetes speak of: names, whole numbers, lists."""

import re
from collections.abc import Iterator
from typing import Any, Final

from webhook.decisions import Json

Problems = Iterator[str]
"""Sentences, one for each rule that is broken, each with its field."""

MAX_INT32: Final = 2**31 - 1
MAX_INT64: Final = 2**63 - 1
DNS_LABEL: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
PORT_NAME: Final = re.compile(r"(?=.{1,15}$)(?=.*[a-z])(?!.*--)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
LABEL_VALUE: Final = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
"""Of a toleration, too (IsValidLabelValue)."""
_NAME_PART: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_DNS_NAME: Final = re.compile(
    r"(?=.{1,253}$)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
)


def items(owner: Json, name: str, where: str) -> Iterator[tuple[Any, str]]:
    """Yield the items of a list with their places; what is no list stands for one bad item."""
    found = owner.get(name)
    listed = found if isinstance(found, list) else [] if found is None else [None]
    for index, item in enumerate(listed):
        yield item, f"{where}.{name}[{index}]"


def is_int(value: object, least: int, most: int) -> bool:
    """Return whether a value is a whole number within bounds; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_qualified(name: object) -> bool:
    """Return whether a name is an optional DNS name, a slash, a name (IsQualifiedName)."""
    if not isinstance(name, str):
        return False
    prefix, slash, rest = name.rpartition("/")
    if slash and not _DNS_NAME.fullmatch(prefix):
        return False
    return bool(_NAME_PART.fullmatch(rest))
