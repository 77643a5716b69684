"""
What is wanted of an NFS mount's options, and by whom. Pure; plain data in, wishes out.

A wish is a value, a list of which any will do, ``">=30"`` or ``"<=30"`` or ``"=30"``, or
``{forbid: value}``; ``null`` means that nobody cares. A bare number of nconnect, rsize, wsize and
actimeo means "at least": more connections or a longer cache disappoint nobody.
"""

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase

from agent.nfs import NfsMount
from common.record import dataclass

Value = int | str | tuple[int, ...]

DEFAULT_WANT: Mapping[str, object] = {
    "nconnect": 8,
    "vers": [">=4.1", "3"],
    "proto": ["tcp", "tcp6", "rdma"],
    "hard": True,
    "ro": True,
    "actimeo": 30,
    "noac": False,
}
"""What a published recipe mounts model weights with; all but nconnect is advice."""

_AT_LEAST = frozenset({"nconnect", "rsize", "wsize", "actimeo"})
_FLAGS = frozenset({"hard", "ro", "noac"})
_OPERATORS = (">=", "<=", "=")
_FORBID = "forbid"


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison: ``operator`` is ``>=``, ``<=`` or ``=``."""

    operator: str
    value: Value

    def holds(self, value: Value) -> bool:
        """Return whether a value satisfies it; version 4 is any 4.x."""
        if isinstance(value, tuple) and isinstance(self.value, tuple):
            major = self.operator == "=" and len(self.value) == 1
            return _compare(self.operator, value[:1] if major else value, self.value)
        return _compare(self.operator, value, self.value)

    def __str__(self) -> str:
        """Return it for people: ``at least 8``, ``4.1``."""
        words = {">=": "at least ", "<=": "at most ", "=": ""}
        value = self.value
        shown = ".".join(map(str, value)) if isinstance(value, tuple) else str(value)
        return words[self.operator] + shown


def _compare(operator: str, value: Value, wanted: Value) -> bool:
    if operator == ">=":
        return value >= wanted  # type: ignore[operator]  # both of the option's own type
    if operator == "<=":
        return value <= wanted  # type: ignore[operator]  # both of the option's own type
    return value == wanted


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of one option: any of the terms, or none of them; ``origin`` says by whom."""

    option: str
    terms: tuple[Term, ...]
    is_forbidding: bool = False
    origin: str = ""

    def accepts(self, value: Value) -> bool:
        """Return whether a value is as wanted."""
        return any(term.holds(value) for term in self.terms) is not self.is_forbidding

    def exceeds(self, value: Value) -> bool:
        """Return whether more than this value is wanted."""
        larger = (term.value > value for term in self.terms if term.operator != "<=")  # type: ignore[operator]  # both of the option's own type
        return not self.is_forbidding and not self.accepts(value) and any(larger)

    def __str__(self) -> str:
        """Return it for people: ``nconnect at least 8 (nfs.want)``."""
        origin = f" ({self.origin})" if self.origin else ""
        if self.option in _FLAGS:
            return f"{'' if self.accepts(1) else 'not '}{self.option}{origin}"
        terms = " or ".join(map(str, self.terms))
        return f"{self.option} {'not ' if self.is_forbidding else ''}{terms}{origin}"


@dataclass(frozen=True, slots=True)
class ExportWant:
    """What is wanted of the exports that match; None where nobody cares."""

    match: str
    wishes: Mapping[str, Wish | None]

    def holds(self, mount: NfsMount) -> bool:
        """Return whether the pattern names this mount's server, or one of its exports."""
        host_pattern, slash, path_pattern = self.match.partition(":/")
        for point in mount.points:
            host, _, path = point.source.partition(":/")
            hosts = (host, host.strip("[]"), mount.server)
            if any(fnmatchcase(name, host_pattern) for name in hosts) and (
                not slash or fnmatchcase(path, path_pattern)
            ):
                return True
        return False


def parse_want(raw: object, origin: str = "nfs.want") -> dict[str, Wish | None]:
    """
    Return the wishes of a mapping of options.

    Raises:
        ValueError: Everything that is wrong with it, each with its option.
    """
    if not isinstance(raw, dict):
        raise ValueError(f"must be a mapping of mount options, not {raw!r}")  # noqa: TRY004 - one error type
    wishes: dict[str, Wish | None] = {}
    errors = []
    for name, value in raw.items():
        try:
            wishes[str(name)] = _wish(str(name), value, origin)
        except ValueError as error:
            errors.append(f"{name}: {error}")
    if errors:
        raise ValueError("; ".join(errors))
    return wishes


def parse_exports(raw: object) -> tuple[ExportWant, ...]:
    """
    Return the wishes of a list of ``{match, want}``, in order.

    Raises:
        ValueError: Everything that is wrong with it, each with its place.
    """
    if not isinstance(raw, list | tuple):
        raise ValueError(f"must be a list of {{match, want}}, not {raw!r}")  # noqa: TRY004 - one error type
    found, errors = [], []
    for number, entry in enumerate(raw, 1):
        try:
            found.append(_export(entry))
        except ValueError as error:
            errors.append(f"entry {number}: {error}")
    if errors:
        raise ValueError("; ".join(errors))
    return tuple(found)


def _export(raw: object) -> ExportWant:
    if not isinstance(raw, dict) or set(raw) != {"match", "want"}:
        raise ValueError("must be a mapping of match and want")
    match = raw["match"]
    if not isinstance(match, str) or not match or any(char.isspace() for char in match):
        raise ValueError(f"match: must be server or server:/export, globs allowed, not {match!r}")
    try:
        return ExportWant(match, parse_want(raw["want"], f"nfs.exports {match}"))
    except ValueError as error:
        raise ValueError(f"want: {error}") from error


def wishes_for(
    mount: NfsMount,
    want: Mapping[str, Wish | None],
    exports: Iterable[ExportWant],
    others: Iterable[Mapping[str, Wish | None]] = (),
) -> dict[str, Wish]:
    """Return what is wanted of one mount: the defaults, then each later word over the earlier."""
    merged = {**parse_want(DEFAULT_WANT, "built in"), **want}
    for export in exports:
        if export.holds(mount):
            merged |= export.wishes
    for wishes in others:
        merged |= wishes
    return {name: wish for name, wish in merged.items() if wish}


def _wish(option: str, raw: object, origin: str) -> Wish | None:
    read = _READ.get(option)
    if read is None:
        raise ValueError(f"is no mount option that is looked at; these are {', '.join(_READ)}")
    if raw is None:
        return None
    is_forbidding = isinstance(raw, dict)
    if isinstance(raw, dict):
        if set(raw) != {_FORBID}:
            raise ValueError(f"must be a value, a list, or {{{_FORBID}: value}}, not {raw!r}")
        raw = raw[_FORBID]
    values = raw if isinstance(raw, list) else [raw]
    if not values:
        raise ValueError("needs a value; null means that nobody cares")
    if option in _FLAGS:
        return Wish(option, (Term("=", _flag(values, is_forbidding=is_forbidding)),), origin=origin)
    terms = tuple(_term(option, value, read, is_exact=is_forbidding) for value in values)
    return Wish(option, terms, is_forbidding, origin)


def _flag(values: list[object], *, is_forbidding: bool) -> int:
    if len(values) != 1 or not isinstance(values[0], bool):
        raise ValueError(f"must be true or false, not {values[0]!r}")
    return int(values[0] is not is_forbidding)


def _term(option: str, raw: object, read: Callable[[str], Value], *, is_exact: bool) -> Term:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise ValueError(f"must be a value of the option, not {raw!r}")  # noqa: TRY004 - one error type
    word = str(raw).strip()
    operator = next((sign for sign in _OPERATORS if word.startswith(sign)), "")
    value = read(word.removeprefix(operator).strip())
    if operator in (">=", "<=") and isinstance(value, str):
        raise ValueError(f"has no order, so {operator} means nothing: {raw!r}")
    return Term(operator or (">=" if option in _AT_LEAST and not is_exact else "="), value)


def _number(word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise ValueError(f"must be a whole number, not {word!r}")
    return int(word)


def version(word: str) -> tuple[int, ...]:
    """Return an NFS version as numbers that compare; raises ValueError."""
    parts = word.split(".")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):  # noqa: PLR2004 - major, minor
        raise ValueError(f"must be a version such as 3 or 4.2, not {word!r}")
    return tuple(map(int, parts))


def _word(word: str) -> str:
    if not word or not word.isalnum():
        raise ValueError(f"must be one word, not {word!r}")
    return word


_READ: Mapping[str, Callable[[str], Value]] = {
    "nconnect": _number,
    "vers": version,
    "proto": _word,
    "rsize": _number,
    "wsize": _number,
    "hard": _number,
    "ro": _number,
    "actimeo": _number,
    "noac": _number,
    "sec": _word,
    "xprtsec": _word,
}
"""The options that are looked at, and how the values of each are read."""
