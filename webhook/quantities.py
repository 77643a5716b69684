"""Sizes and durations as people write them in annotations and in the policy: one strict reader."""

import re
from decimal import Decimal
from math import ceil
from typing import Final

MIB: Final = 2**20
GIB: Final = 2**30
MAX_TEXT: Final = 64
"""No quantity of use is longer; a longer one would only cost time."""

_BINARY: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL: Final = ("", "k", "M", "G", "T", "P", "E")
_SUFFIXES: Final = {
    "": Decimal(1),
    **{f"{letter}i": Decimal(2 ** (10 * power)) for power, letter in enumerate("KMGTPE", 1)},
    **{letter: Decimal(10 ** (3 * power)) for power, letter in enumerate("kMGTPE", 1)},
    **{letter: Decimal(1).scaleb(-3 * power) for power, letter in enumerate("mun", 1)},
}
_QUANTITY: Final = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?[0-9]{1,2}))?",
)
_DURATION: Final = re.compile(r"(?:([0-9]{1,4})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,8})s)?")


def quantity(raw: object) -> Decimal:
    """
    Return the amount that a Kubernetes quantity stands for: a text, or a JSON number.

    Raises:
        ValueError: It is not a quantity; the message is fit for "NAME VALUE: ...".

    Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise ValueError("is not a quantity such as 16Gi")  # noqa: TRY004 - one error type
    written = str(raw)
    found = _QUANTITY.fullmatch(written) if len(written) <= MAX_TEXT else None
    if not found:
        raise ValueError("is not a quantity such as 16Gi")
    number, suffix, exponent = found.groups()
    if exponent:
        return Decimal(number).scaleb(int(exponent))
    return Decimal(number) * _SUFFIXES[suffix or ""]


def size_bytes(raw: object) -> int:
    """
    Return a size in bytes, at least 1; a fraction of a byte counts as one.

    Raises:
        ValueError: It is not a size above zero.
    """
    try:
        amount = quantity(raw)
    except ValueError:
        amount = Decimal(0)
    if amount <= 0:
        raise ValueError("is not a size such as 16Gi or 512Mi")
    return ceil(amount)


def duration_seconds(raw: object) -> int:
    """
    Return a duration in whole seconds, at least 1.

    Raises:
        ValueError: It is not a duration such as 30m, 120s or 1h30m.
    """
    found = _DURATION.fullmatch(raw) if isinstance(raw, str) else None
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if not total:
        raise ValueError("is not a duration such as 30m, 120s or 1h30m")
    return total


def size_text(size: int) -> str:
    """
    Return a size as Kubernetes itself writes it: in the largest unit that divides it.

    A text that the API server would write otherwise would not be known again as ours.
    """
    for power in range(6, 0, -1):
        if size % 2 ** (10 * power) == 0:
            return f"{size >> (10 * power)}{_BINARY[power]}"
    power = next(power for power in range(6, -1, -1) if size % 10 ** (3 * power) == 0)
    return f"{size // 10 ** (3 * power)}{_DECIMAL[power]}"


def duration_text(seconds: int) -> str:
    """Return a duration in the form in which one is accepted: 30m, 1h30m, 90s."""
    minutes, rest = divmod(seconds, 60)
    if rest and seconds <= MAX_PLAIN_SECONDS:
        return f"{seconds}s"
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{amount}{unit}" for amount, unit in parts if amount) or "0s"


MAX_PLAIN_SECONDS: Final = 300
"""Up to here people count seconds rather than minutes."""
