"""
Readers of single settings: from a raw YAML value to a checked one, or a ValueError that says why.

The message follows the field's name, so it begins with what is expected.
"""

from collections.abc import Callable
from typing import Any

MAX_KEY_LENGTH = 63


def integer(low: int, high: int) -> Callable[[Any], int]:
    """Return a reader of whole numbers from low to high."""

    def read(raw: object) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int) or not low <= raw <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, not {raw!r}")
        return raw

    return read


def number(low: float, high: float) -> Callable[[Any], float]:
    """Return a reader of numbers from low to high."""

    def read(raw: object) -> float:
        if isinstance(raw, bool) or not isinstance(raw, int | float) or not low <= raw <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}, not {raw!r}")
        return raw

    return read


def choice(*words: str) -> Callable[[Any], str]:
    """Return a reader of one of these words."""

    def read(raw: object) -> str:
        if raw not in words:
            raise ValueError(f"must be {' or '.join(words)}, not {raw!r}")
        return str(raw)

    return read


def text(raw: object) -> str:
    """Read one line of text."""
    if not isinstance(raw, str) or not raw.isprintable():
        raise ValueError(f"must be one line of text, not {raw!r}")
    return raw


def boolean(raw: object) -> bool:
    """Read true or false."""
    if not isinstance(raw, bool):
        raise ValueError(f"must be true or false, not {raw!r}")  # noqa: TRY004 - one error type
    return raw


def strings(raw: object) -> list[str]:
    """Return a list of strings; one string is split at commas, as environment variables need."""
    if isinstance(raw, str):
        return [part.strip() for part in raw.split(",") if part.strip()]
    if isinstance(raw, list) and all(isinstance(item, str) for item in raw):
        return raw
    raise ValueError(f"must be a list of strings, not {raw!r}")


def each(raw: object, read: Callable[[str], Any]) -> tuple[Any, ...]:
    """Read every element; all their errors leave as one."""
    values, errors = [], []
    for item in strings(raw):
        try:
            values.append(read(item))
        except ValueError as error:
            errors.append(str(error))
    if errors:
        raise ValueError("; ".join(errors))
    return tuple(dict.fromkeys(values))


def is_label(label: str) -> bool:
    """Return whether this is a DNS label (RFC 1123 section 2.1), underscores let pass."""
    return (
        0 < len(label) <= MAX_KEY_LENGTH
        and label.isascii()
        and label.replace("-", "").replace("_", "").isalnum()
        and not label.startswith("-")
        and not label.endswith("-")
    )


def taint_keys(raw: object) -> tuple[str, ...]:
    """Read taint keys (Kubernetes qualified names: an optional DNS prefix, a slash, a name)."""
    return each(raw, taint_key)


def taint_key(item: object) -> str:
    """Read one taint key."""
    if not isinstance(item, str) or not is_qualified_name(item):
        raise ValueError(f"{item!r} is not a taint key: expected prefix/name or name")
    return item


def is_qualified_name(item: str) -> bool:
    """Return whether this is a key as labels and taints have: an optional DNS prefix and a name."""
    prefix, slash, name = item.rpartition("/")
    body = name.replace("-", "").replace("_", "").replace(".", "")
    is_name = 0 < len(name) <= MAX_KEY_LENGTH and body.isascii() and body.isalnum()
    return is_name and (not slash or all(is_label(label) for label in prefix.split(".")))


def near(name: str, known: set[str]) -> str:
    """Return ``; did you mean X?`` where a known name is close, else nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a typing mistake pays for it

    close = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
